package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// secret stands for what must not come back or be logged, wherever it is put.
const secret = "patient-4711"

// Every way of being wrong has its status and kind, and repeats nothing.
func TestWhatIsWrongIsNamedAndNotRepeated(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.enroll()
	ask := func(body any) (string, string, string, any) {
		return http.MethodPost, "/v1/queries", h.tokens[registry.RoleResearcher], body
	}
	invite := func(body any) (string, string, string, any) {
		return http.MethodPost, "/v1/invitations", h.tokens[registry.RoleOperator], body
	}
	read := func(path string) (string, string, string, any) { return http.MethodGet, path, "", nil }
	deep := strings.Repeat(`{"a":`, 100) + `"` + secret + `"` + strings.Repeat("}", 100)
	for name, c := range map[string]struct {
		request func() (string, string, string, any)
		status  int
		kind    problem.Kind
	}{
		"no such address":  {func() (string, string, string, any) { return read("/v1/" + secret) }, 404, problem.NotFound},
		"no such method":   {func() (string, string, string, any) { return http.MethodDelete, "/v1/nodes?a=" + secret, "", nil }, 405, problem.Invalid},
		"no such trial":    {func() (string, string, string, any) { return read("/v1/trials/" + secret) }, 404, problem.NotFound},
		"no such question": {func() (string, string, string, any) { return read("/v1/queries/0123456789") }, 404, problem.NotFound},
		"no such document": {func() (string, string, string, any) { return read("/v1/documents/" + strings.Repeat("0", 64)) }, 404, problem.NotFound},
		"no such epoch":    {func() (string, string, string, any) { return read("/v1/epochs/" + strings.Repeat("0", 64)) }, 404, problem.NotFound},
		"no such circuit": {func() (string, string, string, any) {
			return read("/v1/circuits/" + strings.Repeat("0", 64) + "/proving-key")
		}, 404, problem.NotFound},
		"not a digest":        {func() (string, string, string, any) { return read("/v1/documents/" + secret) }, 422, problem.Invalid},
		"not a question's id": {func() (string, string, string, any) { return read("/v1/queries/" + secret) }, 422, problem.Invalid},
		"unknown wait":        {func() (string, string, string, any) { return read("/v1/queries/0123456789?wait=" + secret) }, 422, problem.Invalid},
		"limit not a number":  {func() (string, string, string, any) { return read("/v1/queries?limit=" + secret) }, 422, problem.Invalid},
		"limit too large":     {func() (string, string, string, any) { return read("/v1/queries?limit=101") }, 422, problem.Invalid},
		"no body":             {func() (string, string, string, any) { return invite("") }, 400, problem.Invalid},
		"not JSON":            {func() (string, string, string, any) { return invite(secret) }, 400, problem.Invalid},
		"truncated":           {func() (string, string, string, any) { return invite(`{"name":"` + secret) }, 400, problem.Invalid},
		"bad UTF-8":           {func() (string, string, string, any) { return invite("{\"name\":\"" + secret + "\xff\"}") }, 400, problem.Invalid},
		"duplicate name":      {func() (string, string, string, any) { return invite(`{"` + secret + `":1,"` + secret + `":1}`) }, 400, problem.Invalid},
		"too deep":            {func() (string, string, string, any) { return invite(deep) }, 400, problem.Invalid},
		"unknown property": {func() (string, string, string, any) {
			return invite(map[string]any{"name": "a", "organization": "b", secret: 1})
		}, 422, problem.Invalid},
		"wrong type": {func() (string, string, string, any) {
			return invite(map[string]any{"name": []string{secret}, "organization": "b"})
		}, 422, problem.Invalid},
		"too long": {func() (string, string, string, any) {
			return invite(Invite{Name: strings.Repeat(secret, 20), Organization: "b"})
		}, 422, problem.Invalid},
		"a name with a space":       {func() (string, string, string, any) { return invite(Invite{Name: "Har " + secret, Organization: "b"}) }, 422, problem.Invalid},
		"a name in capitals":        {func() (string, string, string, any) { return invite(Invite{Name: "HARBOR", Organization: "b"}) }, 422, problem.Invalid},
		"a name that is an address": {func() (string, string, string, any) { return invite(Invite{Name: "10.0.0.1", Organization: "b"}) }, 422, problem.Invalid},
		"refused by a rule":         {func() (string, string, string, any) { return invite(Invite{Name: "\t" + secret, Organization: "b"}) }, 422, problem.Invalid},
		"bad envelope":              {func() (string, string, string, any) { return ask(map[string]any{"envelope": secret}) }, 422, problem.Invalid},
		"unknown priority": {func() (string, string, string, any) {
			return ask(map[string]any{"envelope": h.question(), "priority": secret})
		}, 422, problem.Invalid},
		"bad signature": {func() (string, string, string, any) {
			return ask(map[string]any{"envelope": map[string]any{"version": 1, "kind": secret, "issuer": h.researcher.DID(), "issued": start, "expires": start, "nonce": secret, "body": secret}})
		}, 403, problem.Refused},
		"a body over the limit": {func() (string, string, string, any) {
			return ask(`{"a":"` + strings.Repeat(secret, maxBody/len(secret)) + `"}`)
		}, 413, problem.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			method, path, token, body := c.request()
			status, header, answer := h.send(method, path, token, body)
			require.Equal(t, c.status, status, answer)
			require.Equal(t, "application/problem+json", header.Get("Content-Type"))
			doc := decode[problem.Document](t, answer)
			require.Equal(t, "urn:trialmesh:problem:"+string(c.kind), doc.Type, answer)
			require.Equal(t, c.status, doc.Status)
			require.NotEmpty(t, doc.Title)
			require.NotContains(t, answer, secret)
		})
	}
	require.NotContains(t, h.logged.String(), secret)
}

func TestABodyOfUnknownLengthIsLimited(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/v1/invitations", io.MultiReader(strings.NewReader(strings.Repeat(" ", maxBody+10))))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+h.tokens[registry.RoleOperator])
	resp, err := h.client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
}

// What breaks inside is a plain 500 outside, and the log has the cause.
func TestACauseStaysInside(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.set(func() { h.broken = errBroken })
	status, _, body := h.send(http.MethodPost, "/v1/invitations", h.tokens[registry.RoleOperator], Invite{Name: "a", Organization: "b"})
	require.Equal(t, http.StatusInternalServerError, status)
	require.NotContains(t, body, "disk")
	require.Contains(t, h.logged.String(), "disk")
	status, _, body = h.send(http.MethodGet, "/readyz", "", nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.NotContains(t, body, "disk")

	h.set(func() { h.broken = fmt.Errorf("propose: %w", problem.New(problem.Unavailable, "no leader is elected")) })
	status, _, body = h.send(http.MethodPost, "/v1/invitations", h.tokens[registry.RoleOperator], Invite{Name: "a", Organization: "b"})
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "no leader is elected", decode[problem.Document](t, body).Title)
	status, _, _ = h.send(http.MethodGet, "/healthz", "", nil)
	require.Equal(t, http.StatusOK, status, "the process runs all the same")
}

func TestAProblemSurvivesTheNetwork(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	_, _, body := h.send(http.MethodGet, "/v1/trials/none", "", nil)
	var doc problem.Document
	require.NoError(t, json.Unmarshal([]byte(body), &doc))
	require.ErrorIs(t, doc.Err(), registry.ErrTrialUnknown)
}
