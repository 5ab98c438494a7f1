package api

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// register registers a client with a new key.
func (s *site) register(id, scope, algorithm string) fhirserver.Key {
	s.t.Helper()
	key, err := fhirserver.NewKey(algorithm)
	require.NoError(s.t, err)
	public, err := key.Public()
	require.NoError(s.t, err)
	status, _, answer := s.send(http.MethodPost, clientsPath, "application/json", strings.NewReader(fmt.Sprintf(`{"id":%q,"scope":%q,"jwks":%s}`, id, scope, public)))
	require.Equal(s.t, http.StatusCreated, status, answer)
	return key
}

// The node's own client of other servers is a client of this one: it finds the token
// endpoint by discovery.
func TestAClientOfBackendServicesGetsIn(t *testing.T) {
	t.Parallel()
	callers := make(chan string, 1)
	s := newSite(t, func(c *Config) {
		c.FHIR = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			callers <- access.From(r.Context()).Client()
			w.Header().Set("Content-Type", "application/fhir+json")
			fmt.Fprint(w, `{"resourceType":"Bundle","type":"searchset"}`)
		})
	})
	for _, algorithm := range []string{fhirserver.ES384, fhirserver.RS384} {
		id := "ehr." + algorithm
		key := s.register(id, "system/*.rs", algorithm)
		c, err := fhirserver.New(fhirserver.Config{Base: s.url + "/fhir", Client: id, Key: key, Now: func() time.Time { return start }})
		require.NoError(t, err)
		at, err := c.SearchURL("Patient", time.Time{}, 10)
		require.NoError(t, err)
		for _, err := range c.Search(t.Context(), at, new(fhirserver.Links)) {
			require.NoError(t, err)
		}
		require.Equal(t, id, <-callers)
	}
	list, err := s.trail.Latest(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, audit.Record{At: start, Event: audit.ClientAdded, Subject: "ehr.RS384: system/*.rs"}, list[0])
}

// asked is the form of a request for a token.
func (s *site) asked(key fhirserver.Key, id, scope string) url.Values {
	s.t.Helper()
	private, err := key.Private()
	require.NoError(s.t, err)
	var jwk jose.JSONWebKey
	require.NoError(s.t, json.Unmarshal(private, &jwk))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(jwk.Algorithm), Key: jwk}, new(jose.SignerOptions).WithType("JWT"))
	require.NoError(s.t, err)
	claims, err := json.Marshal(map[string]any{"iss": id, "sub": id, "aud": s.url + TokenPath, "exp": start.Add(time.Minute).Unix(), "jti": rand.Text()})
	require.NoError(s.t, err)
	signed, err := signer.Sign(claims)
	require.NoError(s.t, err)
	text, err := signed.CompactSerialize()
	require.NoError(s.t, err)
	return url.Values{
		"grant_type": {access.GrantType}, "scope": {scope}, "client_assertion_type": {access.AssertionType}, "client_assertion": {text},
	}
}

const formType = "application/x-www-form-urlencoded"

func TestATokenIsGivenAndTaken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key := s.register("loader", "jobs.read ingest", fhirserver.ES384)
	form := s.asked(key, "loader", "jobs.read reference.write")
	status, header, body := s.sendAs("", http.MethodPost, TokenPath, formType+"; charset=utf-8", strings.NewReader(form.Encode()))
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, "application/json; charset=utf-8", header.Get("Content-Type"))
	require.Equal(t, "no-store", header.Get("Cache-Control"))
	require.Equal(t, "no-cache", header.Get("Pragma"))
	given := decode[AccessToken](t, body)
	require.Equal(t, AccessToken{Token: given.Token, Type: "Bearer", Expires: 300, Scope: "jobs.read"}, given)

	status, _, body = s.sendAs("Bearer "+given.Token, http.MethodGet, "/v1/ingest/jobs/7", "", nil)
	require.Equal(t, http.StatusOK, status, body)
	status, header, body = s.sendAs("Bearer "+given.Token, http.MethodPost, codesPath, "text/csv", strings.NewReader("x"))
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "urn:trialmesh:problem:forbidden", decode[problem.Document](t, body).Type)
	require.Equal(t, `Bearer error="insufficient_scope", scope="reference.write"`, header.Get("WWW-Authenticate"))

	require.NotContains(t, s.logged.String(), "client let in", "it has read, and was refused")
	_, _, body = s.sendAs("", http.MethodPost, TokenPath, formType, strings.NewReader(s.asked(key, "loader", "ingest").Encode()))
	loading := decode[AccessToken](t, body)
	status, _, body = s.sendAs("Bearer "+loading.Token, http.MethodPost, filesPath+"?name="+thePatient, "application/json", strings.NewReader("{}"))
	require.Equal(t, http.StatusAccepted, status, body)
	require.Contains(t, s.logged.String(), `msg="client let in" client=loader method=POST route=/v1/ingest/files`)
	require.NotContains(t, s.logged.String(), thePatient)

	status, _, body = s.send(http.MethodGet, clientsPath, "", nil)
	require.Equal(t, http.StatusOK, status)
	list := decode[RegisteredClients](t, body).Clients
	require.Len(t, list, 1)
	require.Equal(t, "ingest jobs.read", list[0].Scope)
	status, _, _ = s.send(http.MethodDelete, clientsPath+"/loader", "", nil)
	require.Equal(t, http.StatusOK, status)
	status, header, _ = s.sendAs("Bearer "+given.Token, http.MethodGet, "/v1/ingest/jobs/7", "", nil)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, `Bearer error="invalid_token"`, header.Get("WWW-Authenticate"))
	status, _, _ = s.send(http.MethodDelete, clientsPath+"/loader", "", nil)
	require.Equal(t, http.StatusNotFound, status)
	require.NotContains(t, s.logged.String(), given.Token)
	require.NotContains(t, s.logged.String(), form.Get("client_assertion"))
}

func TestWhyThereIsNoToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key := s.register("loader", "ingest", fhirserver.ES384)
	used := s.asked(key, "loader", "ingest")
	status, _, body := s.sendAs("", http.MethodPost, TokenPath, formType, strings.NewReader(used.Encode()))
	require.Equal(t, http.StatusOK, status, body)
	for name, c := range map[string]struct {
		mediaType, body string
		want            access.Code
	}{
		"used before":           {formType, used.Encode(), access.InvalidClient},
		"another's scope":       {formType, s.asked(key, "loader", "audit").Encode(), access.InvalidScope},
		"no such client":        {formType, s.asked(key, "nobody", "ingest").Encode(), access.InvalidClient},
		"a password":            {formType, "grant_type=password&username=a&password=b", access.UnsupportedGrant},
		"a parameter twice":     {formType, s.asked(key, "loader", "ingest").Encode() + "&scope=audit", access.InvalidRequest},
		"nothing":               {formType, "", access.UnsupportedGrant},
		"JSON":                  {"application/json", "{}", access.InvalidRequest},
		"no form":               {formType, "%zz", access.InvalidRequest},
		"too large":             {formType, "a=" + strings.Repeat("a", maxForm), access.InvalidRequest},
		"a client's secret":     {formType, "grant_type=client_credentials&client_id=loader&client_secret=x&scope=ingest", access.InvalidRequest},
		"an assertion of bytes": {formType, "grant_type=client_credentials&scope=ingest&client_assertion=%00&client_assertion_type=" + url.QueryEscape(access.AssertionType), access.InvalidClient},
	} {
		status, header, body := s.sendAs("", http.MethodPost, TokenPath, c.mediaType, strings.NewReader(c.body))
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", name, body)
		require.Equal(t, "no-store", header.Get("Cache-Control"))
		told := decode[TokenError](t, body)
		require.Equal(t, c.want, told.Code, name)
		require.NotEmpty(t, told.Description)
		require.NotContains(t, told.Description, `"`, "RFC 6749 allows no quotes")
	}
	in := s.asked(key, "loader", "ingest")
	status, _, body = s.sendAs("", http.MethodPost, TokenPath+"?"+in.Encode(), formType, nil)
	require.Equal(t, http.StatusBadRequest, status, "parameters in an address get into logs: %s", body)
	status, _, _ = s.sendAs("", http.MethodGet, TokenPath, "", nil)
	require.Equal(t, http.StatusMethodNotAllowed, status)
	status, _, body = s.sendAs("Bearer "+token, http.MethodGet, "/v1/ingest/jobs?access_token=x", "", nil)
	require.Equal(t, http.StatusOK, status, body)
}

func TestClientsAreToldWhereTokensAre(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *Config) { c.FHIR = http.NotFoundHandler() })
	for path, more := range map[string]func(d Discovery){
		serverPath: func(d Discovery) { require.Equal(t, s.url, d.Issuer) },
		"/fhir" + smartPath: func(d Discovery) {
			require.Empty(t, d.Issuer)
			require.Equal(t, []string{"client-confidential-asymmetric", "permission-v1", "permission-v2"}, d.Capabilities)
		},
	} {
		status, header, body := s.sendAs("", http.MethodGet, path, "", nil)
		require.Equal(t, http.StatusOK, status, body)
		require.Equal(t, "application/json; charset=utf-8", header.Get("Content-Type"))
		d := decode[Discovery](t, body)
		require.Equal(t, s.url+TokenPath, d.TokenEndpoint)
		require.Equal(t, []string{"client_credentials"}, d.Grants)
		require.Equal(t, []string{"private_key_jwt"}, d.Methods)
		require.Equal(t, []string{"RS384", "ES384"}, d.Algorithms)
		require.Contains(t, d.Scopes, "system/*.rs")
		require.Contains(t, d.Scopes, "ingest")
		more(d)
	}
	// The address is the node's, whatever a request says of it.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+serverPath, http.NoBody)
	require.NoError(t, err)
	req.Host = "evil.example"
	resp, err := s.client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NotContains(t, string(text), "evil")

	status, _, _ := s.sendAs("", http.MethodGet, "/fhir/metadata", "", nil)
	require.Equal(t, http.StatusUnauthorized, status)
}

func TestOnlyTheOperatorRegistersClients(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *Config) { c.Access = spoken{} })
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, clientsPath}, {http.MethodPost, clientsPath}, {http.MethodDelete, clientsPath + "/x"}, {http.MethodPost, clientsPath + "/x/keys"},
	} {
		status, _, body := s.sendAs("Bearer system/*.cruds,audit,status", c.method, c.path, "application/json", strings.NewReader(`{}`))
		require.Equal(t, http.StatusForbidden, status, body)
	}
	s = newSite(t)
	for name, body := range map[string]string{
		"a private key": `{"id":"a","scope":"ingest","jwks":{"keys":[{"kty":"EC","d":"c2VjcmV0LW9mLWEtc2l0ZQ"}]}}`,
		"no keys":       `{"id":"a","scope":"ingest"}`,
		"a bad name":    `{"id":"a b","scope":"ingest","jwksUrl":"https://a.example/"}`,
	} {
		status, _, answer := s.send(http.MethodPost, clientsPath, "application/json", strings.NewReader(body))
		require.Equal(t, http.StatusUnprocessableEntity, status, "%s: %s", name, answer)
		require.NotContains(t, answer+s.logged.String(), "c2VjcmV0")
	}
}
