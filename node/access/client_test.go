package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/node/audit"
)

// TestScopesThatGrowAreRefused: .* is kept as .cruds, and what is kept has to be readable.
func TestScopesThatGrowAreRefused(t *testing.T) {
	t.Parallel()
	s := newSQLite(t, func(c *access.Config) { c.Known = func(string) bool { return true } })
	var wide []string
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'a'; b <= 'g'; b++ {
			wide = append(wide, fmt.Sprintf("system/%c%cserviceReq.*", a, b))
		}
	}
	_, err := s.Add(t.Context(), access.Registration{ID: "wide", Scopes: strings.Join(wide, " "), Keys: access.Keys{Set: set(t, newKey(t, "k"))}}, s.now)
	require.ErrorContains(t, err, "too many")
	_, err = s.Clients(t.Context())
	require.NoError(t, err)
}

func TestClientsComeAndGo(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		none, err := s.Clients(t.Context())
		require.NoError(t, err)
		require.Empty(t, none)

		k := s.add("ehr", "system/*.read ingest")
		_, err = s.Add(t.Context(), access.Registration{ID: "app", Scopes: "ingest", Keys: access.Keys{URL: "https://app.example/jwks"}, TokenTime: time.Hour}, s.now)
		require.NoError(t, err)
		list, err := s.another().Clients(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.Equal(t, []string{"app", "ehr"}, []string{list[0].ID, list[1].ID})
		require.Equal(t, "https://app.example/jwks", list[0].KeysURL)
		require.Equal(t, time.Hour, list[0].TokenTime)
		require.Equal(t, 5*time.Minute, list[1].TokenTime)
		require.Equal(t, "ingest system/*.rs", list[1].Scopes.String())
		require.Equal(t, start, list[1].Added.UTC())
		require.Len(t, list[1].Keys, 1)
		require.Equal(t, "k1", list[1].Keys[0].ID)
		require.Equal(t, "ES384", list[1].Keys[0].Algorithm)
		require.Len(t, list[1].Keys[0].Thumbprint, 43)

		_, err = s.Add(t.Context(), access.Registration{ID: "ehr", Scopes: "audit", Keys: access.Keys{Set: set(t, k)}}, s.now)
		require.ErrorContains(t, err, "is registered")
		require.ErrorIs(t, s.Remove(t.Context(), "her", s.now), access.ErrClient)
		_, err = s.Rotate(t.Context(), "her", access.Keys{Set: set(t, k)}, s.now)
		require.ErrorIs(t, err, access.ErrClient)

		next := newKey(t, "k2")
		changed, err := s.Rotate(t.Context(), "ehr", access.Keys{Set: set(t, k, next)}, s.now.Add(time.Hour))
		require.NoError(t, err)
		require.Len(t, changed.Keys, 2)
		require.Equal(t, start.Add(time.Hour), changed.Changed.UTC())
		require.Equal(t, start, changed.Added.UTC())
		require.NoError(t, s.Remove(t.Context(), "ehr", s.now))

		trail, err := s.trail.Latest(t.Context(), 9)
		require.NoError(t, err)
		require.Equal(t, []audit.Record{
			{At: start, Event: audit.ClientRemoved, Subject: "ehr"},
			{At: start.Add(time.Hour), Event: audit.ClientRotated, Subject: "ehr"},
			{At: start, Event: audit.ClientAdded, Subject: "app: ingest"},
			{At: start, Event: audit.ClientAdded, Subject: "ehr: ingest system/*.rs"},
		}, trail)
	})
}

// mute is a trail that cannot be written.
type mute struct{}

var errMute = errors.New("the trail is full")

func (mute) Add(context.Context, *sqldb.Tx, audit.Record) error { return errMute }

// What cannot be remembered does not happen.
func TestNoClientChangesWithoutTheTrail(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	k := s.add("ehr", "ingest")
	g := s.token("ehr", "ingest", k)
	broken := s.another(func(c *access.Config) { c.Trail = mute{} })
	_, err := broken.Add(t.Context(), access.Registration{ID: "app", Scopes: "ingest", Keys: access.Keys{Set: set(t, k)}}, s.now)
	require.ErrorIs(t, err, errMute)
	_, err = broken.Rotate(t.Context(), "ehr", access.Keys{Set: set(t, newKey(t, "k2"))}, s.now)
	require.ErrorIs(t, err, errMute)
	require.ErrorIs(t, broken.Remove(t.Context(), "ehr", s.now), errMute)
	require.Equal(t, "ehr", s.whose(g).Client())
	s.token("ehr", "ingest", k)
	require.Equal(t, 1, s.count("access_client"))
}

func TestARegistrationIsChecked(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	good := newKey(t, "k1")
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{good.jwk}})
	require.NoError(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	short := `{"keys":[{"kty":"RSA","kid":"a","n":"` + strings.Repeat("y", 170) + `","e":"AQAB"}]}`
	goodSet := string(set(t, good))
	for name, c := range map[string]struct {
		id, scopes, keys, url string
		life                  time.Duration
		says                  string
	}{
		"no name":               {scopes: "ingest", keys: goodSet, says: "name"},
		"a name with a slash":   {id: "a/b", scopes: "ingest", keys: goodSet, says: "name"},
		"no scope":              {id: "a", keys: goodSet, says: "there is none"},
		"no such scope":         {id: "a", scopes: "ingest root", keys: goodSet, says: "number 2 is not known"},
		"no such type":          {id: "a", scopes: "system/Visit.rs", keys: goodSet, says: "FHIR R4 does not have"},
		"no keys":               {id: "a", scopes: "ingest", says: "either"},
		"keys and their URL":    {id: "a", scopes: "ingest", keys: goodSet, url: "https://a.example/", says: "either"},
		"no JSON":               {id: "a", scopes: "ingest", keys: "{", says: "JSON Web Key Set"},
		"a private key":         {id: "a", scopes: "ingest", keys: string(private), says: "private or symmetric key"},
		"a shared secret":       {id: "a", scopes: "ingest", keys: `{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}`, says: "private or symmetric key"},
		"another curve":         {id: "a", scopes: "ingest", keys: string(set(t, key{jose.JSONWebKey{Key: p256, KeyID: "a"}})), says: "no key that can be used"},
		"a short key":           {id: "a", scopes: "ingest", keys: short, says: "no key that can be used"},
		"no kid":                {id: "a", scopes: "ingest", keys: string(set(t, key{jose.JSONWebKey{Key: good.jwk.Key}})), says: "no key that can be used"},
		"a key to encrypt with": {id: "a", scopes: "ingest", keys: strings.Replace(goodSet, `"alg":"ES384"`, `"use":"enc"`, 1), says: "no key that can be used"},
		"two of one kid":        {id: "a", scopes: "ingest", keys: string(set(t, good, newKey(t, "k1"))), says: "one kid"},
		"too many keys":         {id: "a", scopes: "ingest", keys: `{"keys":[` + strings.Repeat("{},", 32) + `{}]}`, says: "JSON Web Key Set"},
		"a URL in the clear":    {id: "a", scopes: "ingest", url: "http://a.example/jwks", says: "https"},
		"a URL with a password": {id: "a", scopes: "ingest", url: "https://u:p@a.example/jwks", says: "https"},
		"this machine":          {id: "a", scopes: "ingest", url: "https://localhost/jwks", says: "loopback"},
		"this machine's number": {id: "a", scopes: "ingest", url: "https://[::ffff:127.0.0.1]/jwks", says: "loopback"},
		"a cloud's metadata":    {id: "a", scopes: "ingest", url: "https://169.254.169.254/jwks", says: "link-local"},
		"a token for long":      {id: "a", scopes: "ingest", keys: goodSet, life: 2 * time.Hour, says: "one hour"},
		"a token for a moment":  {id: "a", scopes: "ingest", keys: goodSet, life: time.Second, says: "one minute"},
	} {
		_, err := s.Add(t.Context(), access.Registration{ID: c.id, Scopes: c.scopes, Keys: access.Keys{Set: []byte(c.keys), URL: c.url}, TokenTime: c.life}, s.now)
		require.ErrorContains(t, err, c.says, name)
	}
	require.Zero(t, s.count("access_client"))

	mixed := strings.Replace(goodSet, `{"keys":[`, `{"keys":[{"kty":"OKP","crv":"X25519","kid":"x","x":"AAAA"},{"kty":"new"},`, 1)
	c, err := s.Add(t.Context(), access.Registration{ID: "a", Scopes: "ingest", Keys: access.Keys{Set: []byte(mixed)}}, s.now)
	require.NoError(t, err, "keys for something else may be in the set")
	require.Len(t, c.Keys, 1)
}

func TestTokensEnd(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		k, other := s.add("ehr", "system/*.rs ingest"), newKey(t, "k1")
		_, err := s.Add(t.Context(), access.Registration{ID: "other", Scopes: "audit", Keys: access.Keys{Set: set(t, other)}, TokenTime: time.Hour}, s.now)
		require.NoError(t, err)
		spared := s.token("other", "audit", other)
		gone := func(g access.Grant) {
			t.Helper()
			_, err := s.another().Authenticate(t.Context(), g.Token.Reveal(), s.now)
			require.ErrorIs(t, err, access.ErrToken)
		}

		g := s.token("ehr", "ingest system/Patient.rs", k)
		require.Equal(t, 5*time.Minute, g.Expires)
		c := s.whose(g)
		require.Equal(t, "ehr", c.Client())
		require.False(t, c.IsOperator())
		require.True(t, c.Allows(access.Ingest) && c.May("Patient", access.Read|access.Search))
		require.False(t, c.Allows(access.Audit) || c.May("Patient", access.Create) || c.May("Observation", access.Read) || c.Allows(""))
		s.now = s.now.Add(5*time.Minute - time.Second)
		s.whose(g)
		s.now = s.now.Add(time.Second)
		gone(g)

		g = s.token("ehr", "ingest", k)
		next := newKey(t, "k1") // of the same name
		_, err = s.Rotate(t.Context(), "ehr", access.Keys{Set: set(t, next)}, s.now)
		require.NoError(t, err)
		gone(g)
		_, err = s.Issue(t.Context(), asks("ingest", k.signed(t, claimed("ehr", s.now))), s.now)
		refused(t, err, access.InvalidClient, "not signed")

		g = s.token("ehr", "ingest", next)
		require.NoError(t, s.Remove(t.Context(), "ehr", s.now))
		gone(g)
		_, err = s.Issue(t.Context(), asks("ingest", next.signed(t, claimed("ehr", s.now))), s.now)
		refused(t, err, access.InvalidClient, "not signed")
		s.add("ehr", "ingest")
		gone(g)

		require.Equal(t, "other", s.whose(spared).Client(), "another client's is untouched")
		for _, text := range []string{"", "x", spared.Token.Reveal() + "x", strings.ToLower(spared.Token.Reveal())} {
			_, err := s.Authenticate(t.Context(), text, s.now)
			require.ErrorIs(t, err, access.ErrToken)
		}
	})
}

func TestTokensAreKeptAsHashesAndNeverShown(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	g := s.token("ehr", "ingest", s.add("ehr", "ingest"))
	require.Len(t, g.Token.Reveal(), 52)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", g, g, g, g.Token), g.Token.Reveal())
	_, err := json.Marshal(g)
	require.ErrorContains(t, err, "Reveal")
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		var hash string
		require.NoError(t, tx.QueryRow(t.Context(), `SELECT hash FROM access_token`).Scan(&hash))
		require.Len(t, hash, 64)
		require.NotContains(t, hash, g.Token.Reveal())
		return nil
	}))
}

func TestARequestIsOfTheRightForm(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	k := s.add("ehr", "ingest")
	for name, c := range map[string]struct {
		change func(*access.Request)
		code   access.Code
	}{
		"another grant":     {func(r *access.Request) { r.GrantType = "password" }, access.UnsupportedGrant},
		"a client's secret": {func(r *access.Request) { r.AssertionType = "" }, access.InvalidRequest},
		"no assertion":      {func(r *access.Request) { r.Assertion = "" }, access.InvalidRequest},
		"no scope":          {func(r *access.Request) { r.Scope = "" }, access.InvalidScope},
		"another's scope":   {func(r *access.Request) { r.Scope = "system/*.cruds audit" }, access.InvalidScope},
		"scopes for ever":   {func(r *access.Request) { r.Scope = strings.Repeat("ingest ", 1000) }, access.InvalidScope},
	} {
		r := asks("ingest", k.signed(t, claimed("ehr", s.now)))
		c.change(&r)
		_, err := s.Issue(t.Context(), r, s.now)
		require.Error(t, err, name)
		refused(t, err, c.code, "")
	}
}

func TestAClientThatAsksAgainAndAgainWaits(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	k, other := s.add("ehr", "ingest"), s.add("other", "ingest")
	for range 60 {
		s.token("ehr", "ingest", k)
	}
	_, err := s.Issue(t.Context(), asks("ingest", k.signed(t, claimed("ehr", s.now))), s.now)
	refused(t, err, access.Busy, "too often")
	s.token("other", "ingest", other)
	for range 100 { // a stranger keeps nobody out
		_, err := s.Issue(t.Context(), asks("ingest", "a.b.c"), s.now)
		refused(t, err, access.InvalidClient, "")
	}
	s.now = s.now.Add(time.Second)
	last := k.signed(t, claimed("ehr", s.now))
	_, err = s.Issue(t.Context(), asks("ingest", last), s.now)
	require.NoError(t, err)
	s.now = s.now.Add(time.Second)
	for range 5 {
		_, err = s.Issue(t.Context(), asks("ingest", last), s.now)
		refused(t, err, access.InvalidClient, "used before")
	}
	s.token("ehr", "ingest", k)
}

func TestACallerIsNobodyUntilSaid(t *testing.T) {
	t.Parallel()
	c := access.From(t.Context())
	require.False(t, c.IsOperator() || c.Allows(access.Status) || c.May("Patient", access.Read))
	c = access.From(access.With(t.Context(), access.Operator()))
	require.True(t, c.IsOperator() && c.Allows(access.Status) && c.May("Patient", access.Read))
	require.Empty(t, c.Client())
}
