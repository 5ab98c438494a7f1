package cdshooks

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
)

// Limits of an EHR's registration, in bytes and entries.
const (
	MaxKeys   = 64 << 10
	maxKeys   = 20
	maxURLs   = 5
	maxIssuer = 500
	minRSA    = 2048 // bits
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

// CountKeys returns how many public keys are registered.
func (c Client) CountKeys() int {
	set, err := parseKeys(c.Keys)
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
	keys  *keyCache
}

// OpenClients brings the tables up to date. trail is of db. Sets of keys are fetched by
// web, or where it is nil as [http.DefaultTransport] does.
func OpenClients(ctx context.Context, db *sqldb.DB, trail *audit.Trail, web http.RoundTripper) (*Clients, error) {
	if err := migrate(ctx, db); err != nil {
		return nil, err
	}
	return &Clients{db, trail, newKeyCache(web)}, nil
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
		if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(address) > maxIssuer {
			return errors.New("addresses of keys: want https")
		}
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	if len(ehr.Keys) > 0 {
		var err error
		if set, err = parseKeys(ehr.Keys); err != nil {
			return fmt.Errorf("keys: %w", err)
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
		return c.trail.Add(ctx, tx, audit.Record{At: now, Event: audit.ClientsChanged, Subject: "cds " + act + " " + issuer})
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

// parseKeys reads a JSON Web Key Set of public keys for ES384 or RS384, each with a name
// of its own.
func parseKeys(text []byte) (jose.JSONWebKeySet, error) {
	var set jose.JSONWebKeySet
	if len(text) > MaxKeys || json.Unmarshal(text, &set) != nil {
		return set, errors.New("it is no JSON Web Key Set")
	}
	if len(set.Keys) > maxKeys {
		return set, fmt.Errorf("more than %d keys", maxKeys)
	}
	seen := map[string]bool{}
	for i := range set.Keys {
		k := &set.Keys[i]
		switch {
		case !k.IsPublic():
			return set, errors.New("it holds a private key: that stays with the EHR, and this one is no longer secret")
		case k.KeyID == "" || seen[k.KeyID]:
			return set, errors.New("want a kid of its own for each key")
		case !usable(*k):
			return set, fmt.Errorf("want EC keys on P-384 for ES384, or RSA keys of %d bits or more for RS384", minRSA)
		}
		seen[k.KeyID] = true
		*k = jose.JSONWebKey{Key: k.Key, KeyID: k.KeyID, Algorithm: string(algorithmOf(k.Key)), Use: "sig"}
	}
	return set, nil
}

// usable reports whether a public key can have signed a token.
func usable(k jose.JSONWebKey) bool {
	algorithm := string(algorithmOf(k.Key))
	return algorithm != "" && (k.Algorithm == "" || k.Algorithm == algorithm) && (k.Use == "" || k.Use == "sig") && k.Valid()
}

// algorithmOf is what a public key may be used with, "" for nothing.
func algorithmOf(key any) jose.SignatureAlgorithm {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P384() {
			return jose.ES384
		}
	case *rsa.PublicKey:
		if k.N.BitLen() >= minRSA {
			return jose.RS384
		}
	}
	return ""
}
