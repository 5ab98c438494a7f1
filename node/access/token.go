package access

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Request is a request for a token, RFC 6749 section 4.4.2 with RFC 7523 section 2.2.
type Request struct {
	GrantType     string
	Scope         string
	AssertionType string
	Assertion     string
	ClientID      string // may be empty, as the assertion has it
}

// Token is the text of a token. It neither prints nor marshals.
type Token struct{ text string }

// Reveal returns the text, for the answer to the client.
func (t Token) Reveal() string { return t.text }

// Format keeps the token out of logs.
func (Token) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("token:redacted")) }

// MarshalJSON keeps the token out of documents.
func (Token) MarshalJSON() ([]byte, error) {
	return nil, errors.New("access: a token is written by Reveal only")
}

// Grant is a token that was given.
type Grant struct {
	Token   Token
	Client  string
	Scope   string // as the client is told
	Expires time.Duration
}

// What a request for a token must say.
const (
	GrantType     = "client_credentials"
	AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// Issue gives a token for an assertion. It allows what was asked for as far as the client
// is registered for it. A refusal is of type [*Refusal].
func (s *Service) Issue(ctx context.Context, r Request, now time.Time) (Grant, error) {
	switch {
	case r.GrantType != GrantType:
		return Grant{}, errGrant
	case r.AssertionType != AssertionType || r.Assertion == "":
		return Grant{}, errForm
	case len(r.Scope) > maxScope:
		return Grant{}, errScopes
	}
	a, refused := parseAssertion(r.Assertion)
	if refused != nil {
		return Grant{}, refused
	}
	if r.ClientID != "" && r.ClientID != a.client {
		return Grant{}, errClient
	}
	var client row
	err := s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		client, err = find(ctx, tx, a.client)
		return err
	})
	if errors.Is(err, ErrClient) {
		return Grant{}, errClient
	}
	if err != nil {
		return Grant{}, err
	}
	keys, err := s.keys(ctx, client, a, now)
	if err != nil {
		return Grant{}, err
	}
	jti, ends, refused := a.verify(keys, s.cfg.TokenURL, now)
	if refused != nil {
		return Grant{}, refused
	}
	return s.give(ctx, client, r.Scope, message.Sum([]byte(jti)), ends, now)
}

// keys returns those of a client that an assertion may be signed with.
func (s *Service) keys(ctx context.Context, client row, a assertion, now time.Time) ([]jose.JSONWebKey, error) {
	if a.keysURL != "" && a.keysURL != client.url {
		return nil, errClient
	}
	if client.url != "" {
		found, err := s.published.Keys(ctx, client.owner(), client.url, a.kid, now)
		if err != nil && ctx.Err() == nil {
			return nil, errPublished
		}
		return found, err
	}
	set, err := client.set()
	return set.Key(a.kid), err
}

// jtiMargin is how long a used assertion is remembered after nobody takes it any more:
// clocks of processes on one database may differ.
const jtiMargin = 10 * time.Minute

// give uses an assertion up and makes a token, in one transaction. An assertion is used
// up as well if there is no token for it.
func (s *Service) give(ctx context.Context, client row, wanted string, jti message.Digest, ends, now time.Time) (Grant, error) {
	registered, err := ParseScopes(client.scopes)
	if err != nil {
		return Grant{}, fmt.Errorf("client %s: %w", client.id, err)
	}
	scopes, text := registered.grant(wanted)
	life := time.Duration(client.seconds) * time.Second
	made := Grant{Token: Token{rand.Text() + rand.Text()}, Client: client.id, Scope: text, Expires: life}
	var refused *Refusal
	err = s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := lock(ctx, tx, client.id); err != nil {
			return err
		}
		// The keys that verified the assertion are of before.
		switch newest, err := find(ctx, tx, client.id); {
		case errors.Is(err, ErrClient), err == nil && !newest.same(client):
			refused = errClient
			return nil
		case err != nil:
			return err
		}
		if err := forget(ctx, tx, client.id, now); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `INSERT INTO access_assertion (client_id, jti, expires_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, client.id, jti.String(), ends)
		switch {
		case err != nil:
			return err
		case n == 0:
			refused = errReplay
			return nil
		case !s.limits.allow(client.id, now): // whoever repeats an assertion keeps nobody out
			refused = errRate
			return nil
		case scopes.IsZero():
			refused = errScopes
			return nil
		}
		_, err = tx.Exec(ctx, `INSERT INTO access_token (hash, client_id, scopes, expires_at) VALUES (?, ?, ?, ?)`,
			hashOf(made.Token.text), client.id, scopes.String(), now.Add(life))
		return err
	})
	if err == nil && refused != nil {
		return Grant{}, refused
	}
	if err != nil {
		return Grant{}, err
	}
	return made, nil
}

// forget drops what of a client has no effect any more. Rows of others are under the
// locks of their transactions.
func forget(ctx context.Context, tx *sqldb.Tx, id string, now time.Time) error {
	if _, err := tx.Exec(ctx, `DELETE FROM access_token WHERE client_id = ? AND expires_at <= ?`, id, now); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM access_assertion WHERE client_id = ? AND expires_at < ?`, id, now.Add(-skew-jtiMargin))
	return err
}

// forgetGone drops what was remembered of clients that are not registered any more.
func forgetGone(ctx context.Context, tx *sqldb.Tx, now time.Time) error {
	_, err := tx.Exec(ctx, `DELETE FROM access_assertion WHERE expires_at < ? AND client_id NOT IN (SELECT client_id FROM access_client)`, now.Add(-skew-jtiMargin))
	return err
}

// hashOf is what is kept of a token. Its text has 260 random bits, so the hash gives
// nothing away.
func hashOf(token string) string { return message.Sum([]byte(token)).String() }

// Authenticate returns whose token text is, or [ErrToken]. Nothing is remembered between
// two calls: a token ends at once.
func (s *Service) Authenticate(ctx context.Context, text string, now time.Time) (Caller, error) {
	var client, scopes string
	err := s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT c.client_id, t.scopes FROM access_token t JOIN access_client c ON c.client_id = t.client_id WHERE t.hash = ? AND t.expires_at > ?`,
			hashOf(text), now).Scan(&client, &scopes)
	})
	if errors.Is(err, sqldb.ErrNoRows) {
		return Caller{}, ErrToken
	}
	if err != nil {
		return Caller{}, err
	}
	allowed, err := ParseScopes(scopes)
	if err != nil {
		return Caller{}, fmt.Errorf("token of client %s: %w", client, err)
	}
	return NewCaller(client, allowed), nil
}

// How often a client gets tokens, by the second in the long run and at once.
const (
	tokenRate  = 1
	tokenBurst = 60
)

// limits bounds how often clients get tokens. It counts those that have shown who they
// are, so that no stranger can keep one of them out.
type limits struct {
	mu      sync.Mutex
	buckets map[string]*rate.Limiter // guarded by mu
}

func newLimits() *limits { return &limits{buckets: map[string]*rate.Limiter{}} }

func (l *limits) allow(client string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, known := l.buckets[client]
	if !known {
		if len(l.buckets) >= 2*maxClients {
			clear(l.buckets)
		}
		bucket = rate.NewLimiter(tokenRate, tokenBurst)
		l.buckets[client] = bucket
	}
	return bucket.AllowN(now, 1)
}
