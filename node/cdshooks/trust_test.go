package cdshooks_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/cdshooks"
	"github.com/trialmesh/trialmesh/node/jwks"
)

// unsigned is a token with alg none, or with whatever is given as its signature.
func unsigned(header, claims object, signature string) string {
	part := func(v any) string { return base64.RawURLEncoding.EncodeToString([]byte(encode(v))) }
	return part(header) + "." + part(claims) + "." + signature
}

func TestOnlyRegisteredEHRsAreHeard(t *testing.T) {
	t.Parallel()
	s := newClinic(t)
	at := object{"aud": base + viewPath}
	with := func(more object) object {
		c := object{"aud": base + viewPath}
		for name, v := range more {
			c[name] = v
		}
		return c
	}
	good := object{"iss": issuer, "aud": base + viewPath, "exp": s.now.Add(time.Minute).Unix(), "iat": s.now.Unix(), "jti": "x"}
	stranger := newEHR()
	secret, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS384, Key: []byte(theEHR().public(t))}, new(jose.SignerOptions).WithType("JWT").WithHeader("kid", "ehr-1"))
	require.NoError(t, err)
	symmetric, err := secret.Sign([]byte(encode(good)))
	require.NoError(t, err)
	byPublicKey, err := symmetric.CompactSerialize()
	require.NoError(t, err)
	other := *theEHR()
	other.kid = "ehr-2"
	whole := theEHR().token(t, s.now, nil, at)
	parts := strings.Split(whole, ".")

	for name, c := range map[string]struct{ token, says string }{
		"no token":                    {"", "want a JWT as bearer token"},
		"no JWT":                      {"a-token-of-more-than-32-characters", "signed by ES384 or RS384"},
		"alg none":                    {unsigned(object{"alg": "none", "typ": "JWT", "kid": "ehr-1"}, good, ""), "signed by ES384 or RS384"},
		"a public key as secret":      {byPublicKey, "signed by ES384 or RS384"},
		"ES384 without a signature":   {unsigned(object{"alg": "ES384", "typ": "JWT", "kid": "ehr-1"}, good, ""), "issuer is not registered here, or"},
		"a signature of zeros":        {unsigned(object{"alg": "ES384", "typ": "JWT", "kid": "ehr-1"}, good, strings.Repeat("A", 128)), "issuer is not registered here, or"},
		"another key":                 {stranger.token(t, s.now, nil, at), "issuer is not registered here, or"},
		"another key that it brings":  {stranger.token(t, s.now, object{"jwk": jose.JSONWebKey{Key: stranger.key.(*ecdsa.PrivateKey).Public()}}, at), "issuer is not registered here, or"},
		"a kid that is not known":     {other.token(t, s.now, nil, at), "issuer is not registered here, or"},
		"another issuer":              {theEHR().token(t, s.now, nil, with(object{"iss": "https://elsewhere.example/"})), "issuer is not registered here, or"},
		"an issuer but for its slash": {theEHR().token(t, s.now, nil, with(object{"iss": strings.TrimSuffix(issuer, "/")})), "issuer is not registered here, or"},
		"a jku of its own":            {theEHR().token(t, s.now, object{"jku": "https://evil.example/keys"}, at), "jku is not registered"},
		"another typ":                 {unsigned(object{"alg": "ES384", "typ": "at+jwt", "kid": "ehr-1"}, good, "AAAA"), "typ JWT and a kid"},
		"no kid":                      {unsigned(object{"alg": "ES384", "typ": "JWT"}, good, "AAAA"), "typ JWT and a kid"},
		"a critical extension":        {unsigned(object{"alg": "ES384", "typ": "JWT", "kid": "ehr-1", "crit": []string{"exp"}}, good, "AAAA"), "not"},
		"the aud of discovery":        {theEHR().token(t, s.now, nil, object{"aud": base + cdshooks.Path}), "aud"},
		"the aud of feedback":         {theEHR().token(t, s.now, nil, object{"aud": base + viewPath + "/feedback"}), "aud"},
		"the aud of the Host header":  {theEHR().token(t, s.now, nil, object{"aud": "https://elsewhere.example" + viewPath}), "aud"},
		"no aud":                      {theEHR().token(t, s.now, nil, nil), "wants iss, aud, exp, iat and jti"},
		"no exp":                      {theEHR().token(t, s.now, nil, with(object{"exp": nil})), "wants iss, aud, exp, iat and jti"},
		"no iat":                      {theEHR().token(t, s.now, nil, with(object{"iat": nil})), "wants iss, aud, exp, iat and jti"},
		"no jti":                      {theEHR().token(t, s.now, nil, with(object{"jti": nil})), "wants iss, aud, exp, iat and jti"},
		"a jti of a page":             {theEHR().token(t, s.now, nil, with(object{"jti": strings.Repeat("x", 300)})), "wants iss, aud, exp, iat and jti"},
		"exp as text":                 {theEHR().token(t, s.now, nil, with(object{"exp": "tomorrow"})), "claims are malformed"},
		"exp beyond time":             {theEHR().token(t, s.now, nil, with(object{"exp": 1e300})), "no time"},
		"expired":                     {theEHR().token(t, s.now.Add(-time.Hour), nil, at), "expired"},
		"a day":                       {theEHR().token(t, s.now, nil, with(object{"exp": s.now.Add(24 * time.Hour).Unix()})), "more than five minutes"},
		"of tomorrow":                 {theEHR().token(t, s.now, nil, with(object{"iat": s.now.Add(2 * time.Minute).Unix()})), "in the future"},
		"changed claims":              {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(encode(good))) + "." + parts[2], "issuer is not registered here, or"},
		"too long":                    {theEHR().token(t, s.now, nil, with(object{"x": strings.Repeat("x", 9000)})), "want a JWT as bearer token"},
	} {
		a := s.send("POST", viewPath, view(nil, nil), c.token)
		require.Equal(t, 401, a.status, name)
		require.Contains(t, a.body, c.says, name)
		require.Equal(t, "Bearer", a.header.Get("WWW-Authenticate"), name)
	}
	require.Len(t, s.cards(s.send("POST", viewPath, view(nil, nil), whole)), 1, "the same but for nothing")
	require.Equal(t, 401, s.send("GET", cdshooks.Path, "", "").status, "discovery too")
	list := theEHR().token(t, s.now, nil, object{"aud": []string{"https://elsewhere.example", base + viewPath}})
	require.Len(t, s.cards(s.send("POST", viewPath, view(nil, nil), list)), 1, "one of several addresses")

	require.NoError(t, s.clients.Remove(t.Context(), issuer, s.now))
	s.refused(s.do("POST", viewPath, view(nil, nil)), 401, "issuer is not registered here")
	require.ErrorIs(t, s.clients.Remove(t.Context(), issuer, s.now), cdshooks.ErrUnknown)
	s.quiet()
}

func TestATokenCountsOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.fill()
		token := theEHR().token(t, s.now, nil, object{"aud": base + viewPath, "jti": "once"})
		statuses := make([]int, 8)
		var group sync.WaitGroup
		for i := range statuses {
			group.Go(func() { statuses[i] = s.send("POST", viewPath, view(nil, nil), token).status })
		}
		group.Wait()
		count := map[int]int{}
		for _, status := range statuses {
			count[status]++
		}
		require.Equal(t, map[int]int{200: 1, 401: 7}, count)
		s.refused(s.send("POST", viewPath, view(nil, nil), token), 401, "used before")

		same := theEHR().token(t, s.now, nil, object{"aud": base + cdshooks.Path, "jti": "once"})
		s.refused(s.send("GET", cdshooks.Path, "", same), 401, "used before")
		bad := theEHR().token(t, s.now, nil, object{"aud": base + viewPath, "jti": "twice"})
		s.refused(s.send("POST", viewPath, "{}", bad), 400, "hook")
		require.Equal(t, 200, s.send("POST", viewPath, view(nil, nil), bad).status, "what was refused used nothing up")

		trail, err := s.trail.Latest(t.Context(), 100)
		require.NoError(t, err)
		var screened []string
		for _, r := range trail {
			if r.Event == "patient screened" {
				screened = append(screened, r.Subject)
			}
		}
		require.Equal(t, []string{"trialmesh-patient-view, " + issuer + ", 1 cards", "trialmesh-patient-view, " + issuer + ", 1 cards"}, screened)

		s.now = s.now.Add(time.Hour)
		require.Equal(t, 200, s.do("GET", cdshooks.Path, "").status)
		var left int
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), "SELECT count(*) FROM cds_token").Scan(&left)
		}))
		require.Equal(t, 1, left, "tokens that expired are forgotten")
	})
}

func TestRS384(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	e := &ehr{key, jose.RS384, "rsa"}
	s := newClinic(t)
	s.register(cdshooks.Client{Issuer: issuer, Keys: e.public(t)})
	require.Len(t, s.cards(s.send("POST", viewPath, view(nil, nil), e.token(t, s.now, nil, object{"aud": base + viewPath}))), 1)
	e.algorithm = jose.RS256
	s.refused(s.send("POST", viewPath, view(nil, nil), e.token(t, s.now, nil, object{"aud": base + viewPath})), 401, "ES384 or RS384")
	e.algorithm = jose.PS384
	s.refused(s.send("POST", viewPath, view(nil, nil), e.token(t, s.now, nil, object{"aud": base + viewPath})), 401, "ES384 or RS384")
}

// TestKeysAreFetchedFromRegisteredAddressesOnly: and not more often than needed.
func TestKeysAreFetchedFromRegisteredAddressesOnly(t *testing.T) {
	t.Parallel()
	s := newClinic(t)
	s.register(cdshooks.Client{Issuer: issuer, KeyURLs: []string{keyURL}})
	first, second := newEHR(), newEHR()
	second.kid = "ehr-2"
	fetches, page := 0, string(first.public(t))
	s.web = func(w http.ResponseWriter, r *http.Request) {
		fetches++ // also of a redirect that were followed
		switch {
		case r.URL.String() != keyURL:
			http.NotFound(w, r)
		case strings.HasPrefix(page, "https://"):
			http.Redirect(w, r, page, http.StatusFound)
		default:
			_, _ = w.Write([]byte(page))
		}
	}
	send := func(e *ehr) answer {
		return s.send("POST", viewPath, view(nil, nil), e.token(t, s.now, object{"jku": keyURL}, object{"aud": base + viewPath}))
	}
	for range 3 {
		require.Len(t, s.cards(send(first)), 1)
	}
	require.Equal(t, 1, fetches)
	s.refused(s.send("POST", viewPath, view(nil, nil), first.token(t, s.now, nil, object{"aud": base + viewPath})), 401, "issuer is not registered here, or")

	// The EHR changes its key, beside one that it has for other ends.
	weak, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	var set jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal(second.public(t), &set))
	set.Keys = append(set.Keys, jose.JSONWebKey{Key: weak.Public(), KeyID: "weak"})
	page = encode(set)
	s.refused(send(second), 401, "issuer is not registered here, or")
	require.Equal(t, 1, fetches, "an unknown kid is no reason to ask at once")
	s.now = s.now.Add(time.Minute)
	require.Len(t, s.cards(send(second)), 1)
	require.Equal(t, 2, fetches)
	s.now = s.now.Add(time.Minute)
	s.refused(send(first), 401, "issuer is not registered here, or")
	require.Equal(t, 3, fetches)

	for name, bad := range map[string]string{
		"a redirect": "https://evil.example/keys", "no set": "<html>", "too large": strings.Repeat(" ", jwks.MaxBytes) + string(second.public(t)),
	} {
		s.now, page = s.now.Add(time.Hour), bad
		before := fetches
		s.refused(send(second), 503, "could not be fetched")
		s.refused(send(second), 503, "could not be fetched")
		require.Equal(t, before+1, fetches, name)
	}
	s.now, page = s.now.Add(time.Hour), string(second.public(t))
	require.Len(t, s.cards(send(second)), 1, "they are there again")
}

func TestRegistrationsThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	good := string(theEHR().public(t))
	weak, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	private := encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: theEHR().key, KeyID: "ehr-1", Algorithm: "ES384"}}})
	one := strings.TrimSuffix(strings.TrimPrefix(good, `{"keys":[`), `]}`)
	for name, c := range map[string]struct {
		client cdshooks.Client
		says   string
	}{
		"no key":              {cdshooks.Client{Issuer: issuer}, "want one at least"},
		"no issuer":           {cdshooks.Client{Keys: []byte(good)}, "issuer"},
		"an issuer of words":  {cdshooks.Client{Issuer: "our ehr", Keys: []byte(good)}, "issuer"},
		"a private key":       {cdshooks.Client{Issuer: issuer, Keys: []byte(private)}, "holds a private or symmetric key"},
		"a weak curve":        {cdshooks.Client{Issuer: issuer, Keys: []byte(encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: weak.Public(), KeyID: "w"}}}))}, "P-384"},
		"for another end":     {cdshooks.Client{Issuer: issuer, Keys: []byte(strings.Replace(good, `"sig"`, `"enc"`, 1))}, "P-384"},
		"no kid":              {cdshooks.Client{Issuer: issuer, Keys: []byte(strings.Replace(good, `"kid":"ehr-1",`, "", 1))}, "kid"},
		"one kid twice":       {cdshooks.Client{Issuer: issuer, Keys: []byte(`{"keys":[` + one + "," + one + "]}")}, "kid"},
		"keys of a page":      {cdshooks.Client{Issuer: issuer, Keys: []byte("<html>")}, "want a JSON Web Key Set"},
		"many keys":           {cdshooks.Client{Issuer: issuer, Keys: []byte(`{"keys":[` + strings.Repeat(one+",", 32) + one + "]}")}, "32 keys"},
		"an address in clear": {cdshooks.Client{Issuer: issuer, KeyURLs: []string{"http://ehr.example/keys"}}, "want https"},
		"many addresses":      {cdshooks.Client{Issuer: issuer, KeyURLs: make([]string, 6)}, "at most 5"},
	} {
		require.ErrorContains(t, s.clients.Add(t.Context(), c.client, s.now), c.says, name)
	}
	s.register(cdshooks.Client{Issuer: "urn:ehr:b", Keys: []byte(good), RequirePatient: true})
	s.register(cdshooks.Client{Issuer: "urn:ehr:a", KeyURLs: []string{keyURL}})
	all, err := s.clients.All(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, []string{keyURL}, all[0].KeyURLs)
	require.Equal(t, 0, all[0].CountKeys())
	require.Equal(t, 1, all[1].CountKeys())
	require.True(t, all[1].RequirePatient)
	require.Equal(t, s.now, all[1].Added)
	trail, err := s.trail.Latest(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, trail, 2, "what was refused changed nothing")
	require.Equal(t, "cds add urn:ehr:a", trail[0].Subject)
}

func TestConfigurationsThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	for _, c := range []struct {
		url  string
		good bool
	}{
		{"https://a.example", true},
		{"https://a.example:8443/node", true},
		{"http://127.0.0.1:7422", true},
		{"http://localhost", true},
		{"http://[::1]:1", true},
		{"", false},
		{"http://a.example", false},
		{"https://a.example/", false},
		{"https://u:p@a.example", false},
		{"https://a.example?x=1", false},
		{"a.example", false},
		{"http://127.0.0.1.evil.example", false},
	} {
		_, err := cdshooks.New(cdshooks.Config{DB: s.db, Trail: s.trail, Clients: s.clients, Patients: noPatients{}, Codes: noCodes, Name: "N", URL: c.url})
		require.Equal(t, c.good, err == nil, "%s: %v", c.url, err)
	}
	for _, bad := range []string{"*", "null", "a.example", "http://a.example", "https://a.example/", "https://a.example/path"} {
		_, err := cdshooks.New(cdshooks.Config{DB: s.db, Trail: s.trail, Clients: s.clients, Patients: noPatients{}, Codes: noCodes, Name: "N", URL: base, Origins: []string{origin, bad}})
		require.ErrorContains(t, err, fmt.Sprint("entry ", 1), bad)
	}
}
