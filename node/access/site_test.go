package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/node/audit"
)

const tokenURL = "https://node.example/v1/oauth/token"

var start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// site is a node as far as its clients go.
type site struct {
	*access.Service
	t     testing.TB
	db    *sqldb.DB
	trail *audit.Trail
	now   time.Time
}

func newSite(t testing.TB, db *sqldb.DB, change ...func(*access.Config)) *site {
	t.Helper()
	trail, err := audit.Open(t.Context(), db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	s := &site{t: t, db: db, trail: trail, now: start}
	s.Service = s.another(change...)
	return s
}

// another is the service of another process on the same database.
func (s *site) another(change ...func(*access.Config)) *access.Service {
	s.t.Helper()
	cfg := access.Config{DB: s.db, Trail: s.trail, TokenURL: tokenURL, Known: func(name string) bool { return name == "Patient" || name == "Observation" }}
	for _, c := range change {
		c(&cfg)
	}
	service, err := access.Open(s.t.Context(), cfg)
	require.NoError(s.t, err)
	return service
}

func newSQLite(t testing.TB, change ...func(*access.Config)) *site {
	t.Helper()
	return newSite(t, sqltest.SQLite(t), change...)
}

// key is a key pair of a client for ES384.
type key struct{ jwk jose.JSONWebKey }

func newKey(t testing.TB, kid string) key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	return key{jose.JSONWebKey{Key: private, KeyID: kid, Algorithm: "ES384"}}
}

// set is the public halves of keys.
func set(t testing.TB, keys ...key) []byte {
	t.Helper()
	var all jose.JSONWebKeySet
	for _, k := range keys {
		all.Keys = append(all.Keys, k.jwk.Public())
	}
	text, err := json.Marshal(all)
	require.NoError(t, err)
	return text
}

// claims are those of an assertion.
type claims map[string]any

// claimed is what a client says at a time, with a jti of its own.
func claimed(client string, now time.Time) claims {
	return claims{"iss": client, "sub": client, "aud": tokenURL, "exp": now.Add(4 * time.Minute).Unix(), "jti": rand.Text()}
}

// with is c with another value, or without one for nil.
func (c claims) with(name string, v any) claims {
	if c[name] = v; v == nil {
		delete(c, name)
	}
	return c
}

// signed is an assertion, with members for its header.
func signed(t testing.TB, algorithm jose.SignatureAlgorithm, by any, c claims, header map[jose.HeaderKey]any) string {
	t.Helper()
	opts := new(jose.SignerOptions).WithType("JWT")
	for name, v := range header {
		opts.WithHeader(name, v)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: by}, opts)
	require.NoError(t, err)
	payload, err := json.Marshal(c)
	require.NoError(t, err)
	made, err := signer.Sign(payload)
	require.NoError(t, err)
	text, err := made.CompactSerialize()
	require.NoError(t, err)
	return text
}

func (k key) signed(t testing.TB, c claims) string {
	t.Helper()
	return signed(t, jose.ES384, k.jwk, c, nil)
}

func asks(scope, assertion string) access.Request {
	return access.Request{GrantType: access.GrantType, AssertionType: access.AssertionType, Scope: scope, Assertion: assertion}
}

// add registers a client with a new key.
func (s *site) add(id, scopes string) key {
	s.t.Helper()
	k := newKey(s.t, "k1")
	_, err := s.Add(s.t.Context(), access.Registration{ID: id, Scopes: scopes, Keys: access.Keys{Set: set(s.t, k)}}, s.now)
	require.NoError(s.t, err)
	return k
}

// token is a token that must be given.
func (s *site) token(id, scope string, k key) access.Grant {
	s.t.Helper()
	g, err := s.Issue(s.t.Context(), asks(scope, k.signed(s.t, claimed(id, s.now))), s.now)
	require.NoError(s.t, err)
	return g
}

// whose is who has a token, which must be good.
func (s *site) whose(g access.Grant) access.Caller {
	s.t.Helper()
	c, err := s.Authenticate(s.t.Context(), g.Token.Reveal(), s.now)
	require.NoError(s.t, err)
	return c
}

// refused checks that a request for a token is refused.
func refused(t testing.TB, err error, code access.Code, says string) {
	t.Helper()
	var r *access.Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, code, r.Code, r.Description)
	require.Contains(t, r.Description, says)
}

// counts returns how many rows a table has.
func (s *site) count(table string) int {
	s.t.Helper()
	var n int
	require.NoError(s.t, s.db.Read(s.t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(context.Background(), `SELECT COUNT(*) FROM `+table).Scan(&n)
	}))
	return n
}
