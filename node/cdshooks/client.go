package cdshooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/jwks"
)

// Limits of an EHR's registration, in entries and bytes.
const (
	maxURLs   = 5
	maxIssuer = 500
)

// ErrUnknown says that no such EHR is registered.
var ErrUnknown = errors.New("no EHR is registered under that issuer")

// Client is an EHR that may call the service.
type Client struct {
	// Issuer is iss of its tokens, a URL.
	Issuer string `json:"issuer"`

	// Keys are its public keys, as a JSON Web Key Set.
	Keys json.RawMessage `json:"keys"`

	// KeyURLs are https addresses of further sets, which a token may name (jku). They
	// are fetched when one does. None means that no token may.
	KeyURLs []string `json:"keyUrls"`

	// RequirePatient says that the EHR has to send the Patient with each call, to be
	// compared with the one of the same id who is stored here.
	RequirePatient bool `json:"requirePatient"`

	Added time.Time `json:"added"`
}

// keySet returns the keys that are registered, which were checked then.
func (c Client) keySet() (set jose.JSONWebKeySet, err error) {
	return set, json.Unmarshal(c.Keys, &set)
}

// CountKeys returns how many public keys are registered.
func (c Client) CountKeys() int {
	set, err := c.keySet()
	if err != nil {
		return 0
	}
	return len(set.Keys)
}

// Clients are the EHRs that are registered at the node. They are safe for concurrent use,
// also by several programs.
type Clients struct {
	db    *sqldb.DB
	trail *audit.Trail
	keys  *jwks.Published
}

// OpenClients brings the tables up to date. trail is of db; keys says how sets of
// keys are fetched.
func OpenClients(ctx context.Context, db *sqldb.DB, trail *audit.Trail, keys jwks.Config) (*Clients, error) {
	if err := migrate(ctx, db); err != nil {
		return nil, err
	}
	return &Clients{db, trail, jwks.NewPublished(keys)}, nil
}

// Add registers an EHR, in place of what was registered under its issuer.
func (c *Clients) Add(ctx context.Context, ehr Client, now time.Time) error {
	if u, err := url.Parse(ehr.Issuer); err != nil || u.Scheme == "" || len(ehr.Issuer) > maxIssuer {
		return fmt.Errorf("issuer: want the URL that the EHR puts into its tokens as iss, at most %d bytes", maxIssuer)
	}
	if len(ehr.KeyURLs) > maxURLs {
		return fmt.Errorf("addresses of keys: at most %d", maxURLs)
	}
	for _, address := range ehr.KeyURLs {
		if err := jwks.CheckURL(address); err != nil {
			return err
		}
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	if len(ehr.Keys) > 0 {
		var err error
		if set, err = jwks.Parse(ehr.Keys); err != nil {
			return err
		}
	}
	if len(set.Keys) == 0 && len(ehr.KeyURLs) == 0 {
		return errors.New("keys: want one at least, or an address of keys")
	}
	keys, err := json.Marshal(set)
	if err != nil {
		return err
	}
	urls, err := json.Marshal(append([]string{}, ehr.KeyURLs...))
	if err != nil {
		return err
	}
	return c.write(ctx, "add", ehr.Issuer, now, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO cds_client (issuer, keys, key_urls, require_patient, added_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (issuer) DO UPDATE SET keys = excluded.keys, key_urls = excluded.key_urls,
			require_patient = excluded.require_patient, added_at = excluded.added_at`,
			ehr.Issuer, keys, urls, ehr.RequirePatient, now.Unix())
		return err
	})
}

// Remove makes the node refuse an EHR from now on, or returns [ErrUnknown].
func (c *Clients) Remove(ctx context.Context, issuer string, now time.Time) error {
	return c.write(ctx, "remove", issuer, now, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM cds_client WHERE issuer = ?`, issuer)
		if err == nil && n == 0 {
			err = ErrUnknown
		}
		return err
	})
}

// write changes the registrations and says so on the trail, both or neither.
func (c *Clients) write(ctx context.Context, act, issuer string, now time.Time, change func(*sqldb.Tx) error) error {
	err := c.db.Write(ctx, func(tx *sqldb.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		return c.trail.Add(ctx, tx, audit.Record{At: now, Event: audit.EHRsChanged, Subject: "cds " + act + " " + issuer})
	})
	if err != nil {
		return fmt.Errorf("cdshooks: %s EHR: %w", act, err)
	}
	return nil
}

const clientColumns = `SELECT issuer, keys, key_urls, require_patient, added_at FROM cds_client`

func scanClient(row interface{ Scan(dest ...any) error }) (c Client, err error) {
	var keys, urls []byte
	var added int64
	if err := row.Scan(&c.Issuer, &keys, &urls, &c.RequirePatient, &added); err != nil {
		return c, err
	}
	c.Keys, c.Added = keys, time.Unix(added, 0).UTC()
	return c, json.Unmarshal(urls, &c.KeyURLs)
}

// All returns the EHRs in the order of their issuers.
func (c *Clients) All(ctx context.Context) ([]Client, error) {
	var list []Client
	err := c.db.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(ctx, clientColumns+` ORDER BY issuer`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			one, err := scanClient(rows)
			if err != nil {
				return err
			}
			list = append(list, one)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("cdshooks: EHRs: %w", err)
	}
	return list, nil
}

// one returns the EHR with an issuer, or [ErrUnknown].
func (c *Clients) one(ctx context.Context, issuer string) (ehr Client, err error) {
	err = c.db.Read(ctx, func(tx *sqldb.Tx) error {
		ehr, err = scanClient(tx.QueryRow(ctx, clientColumns+` WHERE issuer = ?`, issuer))
		return err
	})
	if errors.Is(err, sqldb.ErrNoRows) {
		err = ErrUnknown
	}
	if err != nil {
		return ehr, fmt.Errorf("cdshooks: EHR: %w", err)
	}
	return ehr, nil
}
