package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/jwks"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Keys are the public keys of a client: exactly one of the fields is set.
type Keys struct {
	Set []byte // a JSON Web Key Set
	URL string // where it publishes one, https
}

// Registration is what the site says of a new client.
type Registration struct {
	// ID is the client's name, 1 to 64 letters, digits and . _ -, and its client_id.
	ID string

	// Scopes are what tokens of the client may allow at most, with spaces between them.
	Scopes string

	Keys Keys

	// TokenTime is how long a token holds, 1 minute to 1 hour. Defaults to 5 minutes,
	// which SMART has as the most that a server should give.
	TokenTime time.Duration
}

// Bounds of tokens and clients.
const (
	defaultTokenTime = 5 * time.Minute
	minTokenTime     = time.Minute
	maxTokenTime     = time.Hour
	maxClients       = 1000
)

// Client is a registered client.
type Client struct {
	ID        string
	Scopes    Scopes
	Keys      []jwks.Info // empty if it publishes them
	KeysURL   string
	TokenTime time.Duration
	Added     time.Time
	Changed   time.Time // when its keys were last replaced
}

// What the site is told about clients.
var (
	ErrClient  = problem.New(problem.NotFound, "no such client is registered")
	errThere   = problem.New(problem.Conflict, "a client of this name is registered: remove it, or rotate its keys")
	errClients = problem.New(problem.Conflict, "1,000 clients are registered: remove those that are not used")
	errBoth    = problem.New(problem.Invalid, "keys: want either a JSON Web Key Set or the URL of one")
	errID      = problem.New(problem.Invalid, "name: 1 to 64 letters, digits and . _ -, beginning with a letter or digit")
	errLife    = problem.New(problem.Invalid, "token time: one minute to one hour, in whole seconds")
)

var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// row is a client as its table has it.
type row struct {
	id, scopes, keys, url string
	seconds               int64
	added, changed        time.Time
}

const columns = `client_id, scopes, keys, keys_url, token_seconds, added_at, changed_at`

func scan(from interface{ Scan(...any) error }) (row, error) {
	var r row
	err := from.Scan(&r.id, &r.scopes, &r.keys, &r.url, &r.seconds, &r.added, &r.changed)
	return r, err
}

func find(ctx context.Context, tx *sqldb.Tx, id string) (row, error) {
	r, err := scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM access_client WHERE client_id = ?`, id))
	if errors.Is(err, sqldb.ErrNoRows) {
		return r, ErrClient
	}
	return r, err
}

// owner names the client whose keys these are: another after a rotation.
func (r row) owner() string { return r.id + " " + strconv.FormatInt(r.changed.UnixMicro(), 10) }

// same reports whether two rows let the same in.
func (r row) same(as row) bool {
	return r.scopes == as.scopes && r.keys == as.keys && r.url == as.url && r.seconds == as.seconds && r.changed.Equal(as.changed)
}

// set is the keys of a client that does not publish them.
func (r row) set() (jose.JSONWebKeySet, error) {
	var set jose.JSONWebKeySet
	if r.keys == "" {
		return set, nil
	}
	return set, json.Unmarshal([]byte(r.keys), &set)
}

func (r row) client() (Client, error) {
	c := Client{ID: r.id, KeysURL: r.url, TokenTime: time.Duration(r.seconds) * time.Second, Added: r.added, Changed: r.changed}
	set, err := r.set()
	if err != nil {
		return c, fmt.Errorf("keys of client %s: %w", r.id, err)
	}
	if c.Keys, err = jwks.Infos(set); err != nil {
		return c, fmt.Errorf("keys of client %s: %w", r.id, err)
	}
	if c.Scopes, err = ParseScopes(r.scopes); err != nil {
		return c, fmt.Errorf("client %s: %w", r.id, err)
	}
	return c, nil
}

// invalid makes a refusal of an error whose text repeats no secret.
func invalid(err error) error { return problem.New(problem.Invalid, err.Error()) }

// stored checks keys and returns them as the table has them.
func (k Keys) stored() (set string, err error) {
	switch {
	case (len(k.Set) == 0) == (k.URL == ""):
		return "", errBoth
	case k.URL != "":
		if err := jwks.CheckURL(k.URL); err != nil {
			return "", invalid(err)
		}
		return "", nil
	}
	keys, err := jwks.Parse(k.Set)
	if err != nil {
		return "", invalid(err)
	}
	text, err := json.Marshal(keys)
	return string(text), err
}

// check checks a registration and returns its row.
func (s *Service) check(r Registration, now time.Time) (row, error) {
	if !idForm.MatchString(r.ID) {
		return row{}, errID
	}
	if r.TokenTime == 0 {
		r.TokenTime = defaultTokenTime
	}
	if r.TokenTime < minTokenTime || r.TokenTime > maxTokenTime || r.TokenTime%time.Second != 0 {
		return row{}, errLife
	}
	scopes, err := ParseScopes(r.Scopes)
	if err != nil {
		return row{}, invalid(err)
	}
	for _, resourceType := range scopes.types() {
		if resourceType != every && !s.cfg.Known(resourceType) {
			return row{}, problem.New(problem.Invalid, "scopes: one names a type of resource that FHIR R4 does not have")
		}
	}
	text := scopes.String() // .* has become .cruds
	if len(text) > maxScope {
		return row{}, problem.New(problem.Invalid, "scopes: they are too many to be kept: use system/*")
	}
	keys, err := r.Keys.stored()
	return row{r.ID, text, keys, r.Keys.URL, int64(r.TokenTime / time.Second), now, now}, err
}

// Add registers a client. It is durable and in force when Add returns, as is what
// [Service.Rotate] and [Service.Remove] do. Refusals are of type problem.Error.
func (s *Service) Add(ctx context.Context, r Registration, now time.Time) (Client, error) {
	made, err := s.check(r, now)
	if err != nil {
		return Client{}, err
	}
	err = s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := tx.Lock(ctx, "access"); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM access_client`).Scan(&n); err != nil {
			return err
		}
		if n >= maxClients {
			return errClients
		}
		if err := forgetGone(ctx, tx, now); err != nil {
			return err
		}
		n64, err := tx.Exec(ctx, `INSERT INTO access_client (`+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			made.id, made.scopes, made.keys, made.url, made.seconds, made.added, made.changed)
		if err != nil {
			return err
		}
		if n64 == 0 {
			return errThere
		}
		return s.cfg.Trail.Add(ctx, tx, audit.Record{At: now, Event: audit.ClientAdded, Subject: made.id + ": " + made.scopes})
	})
	if err != nil {
		return Client{}, err
	}
	return made.client()
}

// Clients returns all clients, by name.
func (s *Service) Clients(ctx context.Context) ([]Client, error) {
	list := []Client{}
	err := s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT `+columns+` FROM access_client ORDER BY client_id`, nil, func(rows *sqldb.Rows) error {
			r, err := scan(rows)
			if err != nil {
				return err
			}
			c, err := r.client()
			list = append(list, c)
			return err
		})
	})
	return list, err
}

// Remove takes a client out, and its tokens with it.
func (s *Service) Remove(ctx context.Context, id string, now time.Time) error {
	return s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := revoke(ctx, tx, id); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `DELETE FROM access_client WHERE client_id = ?`, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrClient
		}
		return s.cfg.Trail.Add(ctx, tx, audit.Record{At: now, Event: audit.ClientRemoved, Subject: id})
	})
}

// Rotate replaces a client's keys. Tokens that were given for the earlier ones are
// revoked, as keys are replaced when somebody else may have them.
func (s *Service) Rotate(ctx context.Context, id string, keys Keys, now time.Time) (Client, error) {
	set, err := keys.stored()
	if err != nil {
		return Client{}, err
	}
	var changed row
	err = s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := revoke(ctx, tx, id); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE access_client SET keys = ?, keys_url = ?, changed_at = ? WHERE client_id = ?`, set, keys.URL, now, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrClient
		}
		if changed, err = find(ctx, tx, id); err != nil {
			return err
		}
		return s.cfg.Trail.Add(ctx, tx, audit.Record{At: now, Event: audit.ClientRotated, Subject: id})
	})
	if err != nil {
		return Client{}, err
	}
	return changed.client()
}

// lock makes changes of a client and the giving of its tokens follow one another.
func lock(ctx context.Context, tx *sqldb.Tx, id string) error { return tx.Lock(ctx, "access/"+id) }

// revoke takes all tokens of a client back. The transaction changes the client.
func revoke(ctx context.Context, tx *sqldb.Tx, id string) error {
	if err := lock(ctx, tx, id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM access_token WHERE client_id = ?`, id)
	return err
}
