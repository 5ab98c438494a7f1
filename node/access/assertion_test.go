package access_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/access"
)

// The two assertions that SMART's guide shows, with the keys it shows, at their time.
func TestTheGuidesAssertionsAreVerified(t *testing.T) {
	t.Parallel()
	const endpoint = "https://authorize.smarthealthit.org/token"
	now := time.Unix(1422568860, 0).Add(-time.Minute)
	read := func(name string) []byte {
		text, err := os.ReadFile("testdata/smart/" + name)
		require.NoError(t, err)
		return text
	}
	for _, algorithm := range []string{"RS384", "ES384"} {
		text, keys := strings.TrimSpace(string(read(algorithm+".jwt"))), read(algorithm+".public.json")
		client, jti, err := access.Verify(text, keys, endpoint, now)
		require.NoError(t, err)
		require.Equal(t, "https://bili-monitor.example.com", client)
		require.Equal(t, "random-non-reusable-jwt-id-123", jti)

		_, _, err = access.Verify(text, keys, tokenURL, now)
		refused(t, err, access.InvalidClient, "aud")
		_, _, err = access.Verify(text, keys, endpoint, time.Unix(1422568860, 0).Add(30*time.Second))
		refused(t, err, access.InvalidClient, "has expired")
		_, _, err = access.Verify(text, keys, endpoint, time.Unix(1422568860, 0).Add(-331*time.Second))
		refused(t, err, access.InvalidClient, "five minutes")
		head, tail, _ := strings.Cut(text, ".")
		_, _, err = access.Verify(head+"."+strings.Replace(tail, "e", "f", 1), keys, endpoint, now)
		refused(t, err, access.InvalidClient, "not signed")
	}
	_, _, err := access.Verify(strings.TrimSpace(string(read("ES384.jwt"))), read("RS384.public.json"), endpoint, now)
	refused(t, err, access.InvalidClient, "not signed")
}

// bare is a JSON Web Token with any header and signature.
func bare(header, payload, signature string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(header)) + "." + enc([]byte(payload)) + "." + enc([]byte(signature))
}

func TestForgedAssertionsGetNoToken(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	mine, theirs, stranger := s.add("ehr", "system/*.rs"), s.add("other", "ingest"), newKey(t, "k1")
	der, err := x509.MarshalPKIXPublicKey(mine.jwk.Public().Key)
	require.NoError(t, err)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	now := s.now
	said := func() claims { return claimed("ehr", now) }
	payload := `{"iss":"ehr","sub":"ehr","aud":"` + tokenURL + `","exp":` + "1795338240" + `,"jti":"x"}`
	p256 := bare(`{"alg":"ES256","kid":"k1","typ":"JWT"}`, payload, strings.Repeat("a", 64))
	for name, c := range map[string]struct{ assertion, says string }{
		"alg none":                       {bare(`{"alg":"none","kid":"k1","typ":"JWT"}`, payload, ""), "not signed"},
		"alg None":                       {bare(`{"alg":"None","kid":"k1","typ":"JWT"}`, payload, ""), "not signed"},
		"another algorithm":              {p256, "not signed"},
		"HS256 with the public key":      {signed(t, jose.HS256, jose.JSONWebKey{Key: public, KeyID: "k1"}, said(), nil), "not signed"},
		"HS384 with the bare public key": {signed(t, jose.HS384, jose.JSONWebKey{Key: der, KeyID: "k1"}, said(), nil), "not signed"},
		"another client's key":           {theirs.signed(t, said()), "not signed"},
		"a key that nobody knows":        {stranger.signed(t, said()), "not signed"},
		"a key that comes with it":       {signed(t, jose.ES384, stranger.jwk, said(), map[jose.HeaderKey]any{"jwk": stranger.jwk.Public()}), "not signed"},
		"keys from elsewhere":            {signed(t, jose.ES384, mine.jwk, said(), map[jose.HeaderKey]any{"jku": "https://evil.example/jwks"}), "not signed"},
		"keys from nowhere":              {signed(t, jose.ES384, mine.jwk, said(), map[jose.HeaderKey]any{"jku": 7}), "not signed"},
		"kid of no key":                  {signed(t, jose.ES384, jose.JSONWebKey{Key: mine.jwk.Key, KeyID: "k2"}, said(), nil), "not signed"},
		"no kid":                         {signed(t, jose.ES384, mine.jwk.Key.(*ecdsa.PrivateKey), said(), nil), "not signed"},
		"kid that climbs":                {signed(t, jose.ES384, jose.JSONWebKey{Key: stranger.jwk.Key, KeyID: "../other/k1"}, said(), nil), "not signed"},
		"not a JWT by its type":          {signed(t, jose.ES384, mine.jwk, said(), map[jose.HeaderKey]any{"typ": "at+jwt"}), "not signed"},
		"a header that must be heeded":   {signed(t, jose.ES384, mine.jwk, said(), map[jose.HeaderKey]any{"crit": []string{"x"}, "x": 1}), "not signed"},
		"no such client":                 {mine.signed(t, claimed("ehr2", now)), "not signed"},
		"a client in sub only":           {mine.signed(t, said().with("iss", nil)), "not signed"},
		"another subject":                {mine.signed(t, said().with("sub", "other")), "iss and sub"},
		"no subject":                     {mine.signed(t, said().with("sub", nil)), "iss and sub"},
		"no jti":                         {mine.signed(t, said().with("jti", nil)), "jti"},
		"a jti without end":              {mine.signed(t, said().with("jti", strings.Repeat("j", 256))), "jti"},
		"no exp":                         {mine.signed(t, said().with("exp", nil)), "exp"},
		"another server":                 {mine.signed(t, said().with("aud", "https://evil.example/v1/oauth/token")), "aud"},
		"this server's origin":           {mine.signed(t, said().with("aud", "https://node.example")), "aud"},
		"this server and another":        {mine.signed(t, said().with("aud", []string{tokenURL, "https://evil.example/"})), "aud"},
		"no audience":                    {mine.signed(t, said().with("aud", nil)), "aud"},
		"expired":                        {mine.signed(t, said().with("exp", now.Add(-31*time.Second).Unix())), "has expired"},
		"far ahead":                      {mine.signed(t, said().with("exp", now.Add(6*time.Minute).Unix())), "five minutes"},
		"for ever":                       {mine.signed(t, said().with("exp", 1<<61)), "five minutes"},
		"not yet":                        {mine.signed(t, said().with("nbf", now.Add(time.Minute).Unix())), "from the future"},
		"made tomorrow":                  {mine.signed(t, said().with("iat", now.Add(24*time.Hour).Unix())), "from the future"},
		"too long":                       {mine.signed(t, said().with("x", strings.Repeat("x", 16<<10))), "not signed"},
		"no JWT":                         {"a.b", "not signed"},
		"three dots":                     {mine.signed(t, said()) + ".x", "not signed"},
	} {
		_, err := s.Issue(t.Context(), asks("system/*.rs", c.assertion), now)
		require.Error(t, err, name)
		refused(t, err, access.InvalidClient, c.says)
	}
	_, err = s.Issue(t.Context(), asks("system/*.rs", mine.signed(t, said().with("exp", 1e300))), now)
	refused(t, err, access.InvalidClient, "not signed")
	r := asks("system/*.rs", mine.signed(t, said()))
	r.ClientID = "other"
	_, err = s.Issue(t.Context(), r, now)
	refused(t, err, access.InvalidClient, "not signed")
	require.Zero(t, s.count("access_token"))
	require.Zero(t, s.count("access_assertion"), "a stranger uses nothing up")

	// What clients' libraries really send is taken.
	for _, text := range []string{
		mine.signed(t, said().with("aud", []string{tokenURL}).with("iat", now.Unix()).with("nbf", now.Add(29*time.Second).Unix())),
		mine.signed(t, said().with("exp", float64(now.Add(5*time.Minute).Unix())+0.5)),
		mine.signed(t, said().with("exp", now.Add(-29*time.Second).Unix())),
		signed(t, jose.ES384, mine.jwk, said(), map[jose.HeaderKey]any{"x5t": "unknown"}),
	} {
		_, err := s.Issue(t.Context(), asks("system/*.rs", text), now)
		require.NoError(t, err)
	}
}

func TestAnAssertionIsUsedOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		k := s.add("ehr", "ingest")
		other := s.another()

		text := k.signed(t, claimed("ehr", s.now))
		var wait sync.WaitGroup
		results := make([]error, 8)
		for i := range results {
			wait.Go(func() {
				service := s.Service
				if i%2 == 1 {
					service = other
				}
				_, results[i] = service.Issue(t.Context(), asks("ingest", text), s.now)
			})
		}
		wait.Wait()
		given := 0
		for _, err := range results {
			if err == nil {
				given++
				continue
			}
			refused(t, err, access.InvalidClient, "used before")
		}
		require.Equal(t, 1, given, "eight at once, by two processes")

		for _, later := range []time.Duration{0, time.Minute, 4 * time.Minute} {
			_, err := s.another().Issue(t.Context(), asks("ingest", text), s.now.Add(later)) // after a restart
			refused(t, err, access.InvalidClient, "used before")
		}
		_, err := s.Issue(t.Context(), asks("ingest", text), s.now.Add(5*time.Minute))
		refused(t, err, access.InvalidClient, "has expired")

		spent := k.signed(t, claimed("ehr", s.now))
		_, err = s.Issue(t.Context(), asks("audit", spent), s.now)
		refused(t, err, access.InvalidScope, "registered for")
		_, err = s.Issue(t.Context(), asks("ingest", spent), s.now)
		refused(t, err, access.InvalidClient, "used before")

		k2 := s.add("other", "ingest")
		same := claimed("other", s.now).with("jti", "j")
		_, err = s.Issue(t.Context(), asks("ingest", k2.signed(t, same)), s.now)
		require.NoError(t, err)
		_, err = s.Issue(t.Context(), asks("ingest", k.signed(t, claimed("ehr", s.now).with("jti", "j"))), s.now)
		require.NoError(t, err, "the jti of another client is another")

		// What can do nothing any more is forgotten, and nothing before.
		require.Equal(t, 4, s.count("access_assertion"))
		s.now = s.now.Add(14 * time.Minute)
		s.token("ehr", "ingest", k)
		require.Equal(t, 5, s.count("access_assertion"))
		s.now = s.now.Add(time.Minute)
		s.token("ehr", "ingest", k)
		require.Equal(t, 3, s.count("access_assertion"))
		require.Equal(t, 3, s.count("access_token"))
		require.NoError(t, s.Remove(t.Context(), "other", s.now))
		s.add("third", "ingest")
		require.Equal(t, 2, s.count("access_assertion"))
		require.Equal(t, 2, s.count("access_token"))
	})
}

// FuzzAssertion reads arbitrary text as an assertion: none is taken but signed ones.
func FuzzAssertion(f *testing.F) {
	keys, err := os.ReadFile("testdata/smart/ES384.public.json")
	require.NoError(f, err)
	known, err := os.ReadFile("testdata/smart/ES384.jwt")
	require.NoError(f, err)
	good := strings.TrimSpace(string(known))
	for _, seed := range []string{good, bare(`{"alg":"none"}`, `{}`, ""), bare(`{"alg":"ES384","kid":"x","typ":"JWT"}`, `{"aud":[1]}`, "x"), "..", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _, err := access.Verify(text, keys, "https://authorize.smarthealthit.org/token", time.Unix(1422568800, 0))
		if err == nil {
			require.Equal(t, good[:strings.LastIndexByte(good, '.')], text[:strings.LastIndexByte(text, '.')], "what was signed is as it was")
			return
		}
		var r *access.Refusal
		require.ErrorAs(t, err, &r)
	})
}
