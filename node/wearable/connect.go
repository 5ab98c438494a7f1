package wearable

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"time"

	maker "github.com/trialmesh/trialmesh/connectors/partner/wearable"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

const (
	authorizationTime = 30 * time.Minute // that a patient has to allow it
	maxAuthorizations = 1000             // that are waited for

	// history is how far back the first pull of a connection goes.
	history = 30 * 24 * time.Hour
)

// Authorization is what a patient is to be asked for.
type Authorization struct {
	URL      string    // to open in the patient's browser
	Redirect string    // where the answer comes
	Expires  time.Time // after that it is not taken any more
}

// Begin asks for an authorization of a patient's account at a maker. timezone is the IANA
// name of the account's zone; only a maker whose clocks have an offset does without.
func (s *Service) Begin(ctx context.Context, name, patient, timezone string) (Authorization, error) {
	set, err := Read(s.cfg.Dir, name)
	switch {
	case errors.Is(err, errMaker):
		return Authorization{}, err
	case errors.Is(err, fs.ErrNotExist):
		return Authorization{}, errSetUp
	case err != nil:
		return Authorization{}, problem.New(problem.Invalid, "the settings of the maker: "+err.Error())
	}
	client, err := s.client(name)
	if err != nil {
		return Authorization{}, err
	}
	defer client.Close()
	if _, err := time.LoadLocation(timezone); err != nil || timezone == "Local" || timezone == "" && client.Zoned() || len(timezone) > 64 {
		return Authorization{}, errZone
	}
	if known, err := s.cfg.Known(ctx, patient); err != nil || !known {
		return Authorization{}, errors.Join(err, unless(err == nil, errPatient))
	}
	now := s.cfg.Now()
	state, verifier := maker.NewVerifier(), maker.NewVerifier()
	sealed, err := s.cfg.Sealer.Seal([]byte(verifier), verifierOf(state))
	if err != nil {
		return Authorization{}, err
	}
	err = s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := tx.Lock(ctx, "wearable/authorizations"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM wearable_authorization WHERE asked_at <= ?`, now.Add(-authorizationTime)); err != nil {
			return err
		}
		var open int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM wearable_authorization`).Scan(&open); err != nil {
			return err
		}
		if open >= maxAuthorizations {
			return problem.New(problem.TooMany, "as many authorizations are waited for as may be at once: try again in half an hour")
		}
		_, err := tx.Exec(ctx, `INSERT INTO wearable_authorization (state, maker, patient, timezone, verifier, asked_at) VALUES (?, ?, ?, ?, ?, ?)`,
			hashOf(state), name, patient, timezone, sealed, now)
		return err
	})
	if err != nil {
		return Authorization{}, fmt.Errorf("connect %s: %w", name, err)
	}
	return Authorization{URL: client.AuthURL(state, verifier), Redirect: set.Redirect, Expires: now.Add(authorizationTime)}, nil
}

func verifierOf(state string) string { return "wearable authorization " + hashOf(state) }

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// asked is an authorization that is waited for.
type asked struct {
	maker, patient, timezone, verifier string
}

// Complete takes the URL to which the maker has redirected the patient's browser, and connects
// the account. An authorization is taken once, however that goes. What Complete has sent to
// the maker it brings to its end, also when ctx has ended.
func (s *Service) Complete(ctx context.Context, redirected string) (Connection, error) {
	u, err := url.Parse(redirected)
	if err != nil {
		return Connection{}, errRedirect
	}
	query := u.Query()
	a, err := s.claim(ctx, query.Get("state"))
	if err != nil {
		return Connection{}, err
	}
	client, err := s.client(a.maker)
	if err != nil {
		return Connection{}, err
	}
	defer client.Close()
	if set, err := Read(s.cfg.Dir, a.maker); err != nil || !sameRedirect(u, set.Redirect) {
		return Connection{}, errors.Join(err, unless(err == nil, errRedirect))
	}
	if code := query.Get("error"); code != "" || query.Get("code") == "" {
		return Connection{}, refusedWith(code)
	}
	ctx = context.WithoutCancel(ctx)
	tokens, err := client.Exchange(ctx, query.Get("code"), a.verifier)
	switch {
	case errors.Is(err, maker.ErrRevoked):
		return Connection{}, errCode
	case errors.Is(err, maker.ErrClient), errors.Is(err, maker.ErrGone), maker.Refused(err):
		return Connection{}, problem.New(problem.Refused, a.maker+": "+err.Error())
	case err != nil:
		return Connection{}, problem.New(problem.Unavailable, a.maker+": "+err.Error()+": connect again")
	}
	c, err := s.keep(ctx, a, tokens)
	if err != nil {
		return Connection{}, fmt.Errorf("connect %s: %w", a.maker, err)
	}
	s.rouse()
	return c, nil
}

// claim takes the authorization that a state is of, so that nobody can a second time.
func (s *Service) claim(ctx context.Context, state string) (asked, error) {
	var a asked
	var sealed []byte
	var at time.Time
	err := s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `DELETE FROM wearable_authorization WHERE state = ? RETURNING maker, patient, timezone, verifier, asked_at`,
			hashOf(state)).Scan(&a.maker, &a.patient, &a.timezone, &sealed, &at)
	})
	switch {
	case errors.Is(err, sqldb.ErrNoRows), err == nil && !s.cfg.Now().Before(at.Add(authorizationTime)):
		return asked{}, errState
	case err != nil:
		return asked{}, fmt.Errorf("connect: %w", err)
	}
	verifier, err := s.cfg.Sealer.Unseal(sealed, verifierOf(state))
	a.verifier = string(verifier)
	return a, err
}

// sameRedirect reports whether u is where the application is registered, but for the query.
func sameRedirect(u *url.URL, redirect string) bool {
	want, err := url.Parse(redirect)
	path := func(u *url.URL) string {
		if u.Path == "" {
			return "/"
		}
		return u.Path
	}
	return err == nil && u.Scheme == want.Scheme && u.Host == want.Host && path(u) == path(want)
}

// errorCode is what a code of RFC 6749, section 4.1.2.1, looks like.
var errorCode = regexp.MustCompile(`^[a-z][a-z_]{0,39}$`)

func refusedWith(code string) error {
	if !errorCode.MatchString(code) {
		code = "no code came back"
	}
	return problem.New(problem.Refused, "the patient or the maker has not allowed it: "+code)
}

// unless is err if that is so.
func unless(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

// keep makes the connection, or gives the one that there is its new tokens.
func (s *Service) keep(ctx context.Context, a asked, tokens maker.Tokens) (Connection, error) {
	account := ""
	if tokens.Account() != "" {
		account = hashOf(a.maker + "/" + tokens.Account())
	}
	sealed, err := s.cfg.Sealer.Seal(tokens.Text(), sealedFor(a.maker, a.patient))
	if err != nil {
		return Connection{}, err
	}
	var id int64
	now := s.cfg.Now()
	err = s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := tx.Lock(ctx, "wearable/"+a.maker); err != nil {
			return err
		}
		var other int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM wearable_connection WHERE maker = ? AND account = ? AND account <> '' AND patient <> ?`,
			a.maker, account, a.patient).Scan(&other); err != nil || other > 0 {
			return errors.Join(err, unless(err == nil, errElse))
		}
		var before string
		err := tx.QueryRow(ctx, `SELECT connection_id, account FROM wearable_connection WHERE maker = ? AND patient = ?`, a.maker, a.patient).Scan(&id, &before)
		switch {
		case errors.Is(err, sqldb.ErrNoRows):
			err = tx.QueryRow(ctx, `INSERT INTO wearable_connection
				(maker, patient, timezone, account, state, tokens, since, connected_at, asked_at, failures, error, lease)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '', '') RETURNING connection_id`,
				a.maker, a.patient, a.timezone, account, string(Connected), sealed, now.Add(-history), now, now).Scan(&id)
		case err == nil && before != account:
			return errAccount
		case err == nil: // whoever pulls with the tokens before has lost them
			_, err = tx.Exec(ctx, `UPDATE wearable_connection SET timezone = ?, state = ?, tokens = ?, connected_at = ?, asked_at = ?,
				retry_at = NULL, failures = 0, error = '', lease = '', lease_until = NULL WHERE connection_id = ?`,
				a.timezone, string(Connected), sealed, now, now, id)
		}
		if err != nil {
			return err
		}
		return s.cfg.Trail.Add(ctx, tx, audit.Record{At: now, Event: audit.WearableConnected, Subject: fmt.Sprintf("%s connection %d", a.maker, id)})
	})
	if err != nil {
		return Connection{}, err
	}
	return s.connection(ctx, id)
}

// Disconnect tells the maker that the authorization is over, where that has a way to be told,
// and deletes the connection with its tokens. What was fetched stays. told is false if the
// maker was not told: then the patient has to take the access away in the account.
func (s *Service) Disconnect(ctx context.Context, id int64) (told bool, err error) {
	lift, err := s.bar(ctx, id)
	if err != nil {
		return false, fmt.Errorf("disconnect %d: %w", id, err)
	}
	defer lift()
	l, c, err := s.acquire(ctx, id)
	if errors.Is(err, errLost) {
		err = errBusy
	}
	if err != nil {
		return false, fmt.Errorf("disconnect %d: %w", id, err)
	}
	defer s.release(ctx, l)
	if c.State == Connected {
		if err := s.revoke(ctx, c); err != nil {
			s.cfg.Log.WarnContext(ctx, "the maker was not told that an authorization is over", "connection", id, "err", err)
		} else {
			told = true
		}
	} else {
		told = true // it said so
	}
	err = s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := l.check(ctx, tx); err != nil {
			return err
		}
		for _, table := range []string{"wearable_feed", "wearable_connection"} {
			if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE connection_id = ?`, id); err != nil {
				return err
			}
		}
		return s.cfg.Trail.Add(ctx, tx, audit.Record{At: s.cfg.Now(), Event: audit.WearableDisconnected, Subject: fmt.Sprintf("%s connection %d", c.Maker, id)})
	})
	if err != nil {
		return false, fmt.Errorf("disconnect %d: %w", id, err)
	}
	return told, nil
}

func (s *Service) revoke(ctx context.Context, c Connection) error {
	client, err := s.client(c.Maker)
	if err != nil {
		return err
	}
	defer client.Close()
	tokens, err := s.unsealed(c)
	if err != nil {
		return err
	}
	return client.Revoke(ctx, tokens)
}
