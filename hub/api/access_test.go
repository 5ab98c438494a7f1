package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Who may do what: each action with every kind of token, and without one.
func TestActionsNeedTheirRole(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.enroll()
	_, err := h.Propose(t.Context(), registry.RegisterTrial{Registration: h.registration()})
	require.NoError(t, err)
	actions := []struct {
		method, path string
		role         registry.Role
		body         any
		status       int
	}{
		{http.MethodPost, "/v1/invitations", registry.RoleOperator, Invite{Name: "other", Organization: "O"}, 201},
		{http.MethodPost, "/v1/tokens", registry.RoleOperator, TokenRequest{Holder: h.node.DID(), Role: registry.RoleSponsor}, 201},
		{http.MethodGet, "/metrics", registry.RoleOperator, nil, 200},
		{http.MethodPost, "/v1/trials", registry.RoleSponsor, h.registration(), 409}, // another design of the same id
		{http.MethodPost, "/v1/queries", registry.RoleResearcher, Submission{Envelope: h.question()}, 202},
		{http.MethodPost, "/v1/nodes/" + string(h.node.DID()) + "/revoke", registry.RoleOperator, Revocation{Reason: "r"}, 200},
	}
	for _, a := range actions {
		for name, c := range map[string]struct {
			token  string
			status int
		}{
			"no token":      {"", http.StatusUnauthorized},
			"unknown token": {strings.Repeat("x", 43), http.StatusUnauthorized},
		} {
			status, header, body := h.send(a.method, a.path, c.token, a.body)
			require.Equal(t, c.status, status, "%s %s", a.path, name)
			require.Equal(t, "Bearer", header.Get("WWW-Authenticate"))
			require.Equal(t, "application/problem+json", header.Get("Content-Type"))
			require.Equal(t, "urn:trialmesh:problem:unauthorized", decode[problem.Document](t, body).Type)
		}
		for role, token := range h.tokens {
			if role == a.role {
				continue
			}
			status, _, body := h.send(a.method, a.path, token, a.body)
			require.Equal(t, http.StatusForbidden, status, "%s as %s: %s", a.path, role, body)
		}
		status, _, body := h.send(a.method, a.path, h.tokens[a.role], a.body)
		require.Equal(t, a.status, status, "%s: %s", a.path, body)
	}
}

// A token does not let its holder submit what somebody else signed.
func TestATokenIsOfWhoeverSigned(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.enroll()
	registration, question := h.registration(), h.question()
	h.sponsor, h.researcher = h.researcher, h.sponsor
	other := h.registration()
	status, _, body := h.send(http.MethodPost, "/v1/trials", h.tokens[registry.RoleSponsor], other)
	require.Equal(t, http.StatusForbidden, status, body)
	status, _, body = h.send(http.MethodPost, "/v1/queries", h.tokens[registry.RoleResearcher], Submission{Envelope: h.question()})
	require.Equal(t, http.StatusForbidden, status, body)

	status, _, body = h.send(http.MethodPost, "/v1/trials", h.tokens[registry.RoleSponsor], registration)
	require.Equal(t, http.StatusCreated, status, body)
	forged := question
	forged.Expires = forged.Expires.AddDate(1, 0, 0)
	status, _, body = h.send(http.MethodPost, "/v1/queries", h.tokens[registry.RoleResearcher], Submission{Envelope: forged})
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "message.signature", decode[problem.Document](t, body).Rule, "the rule that refused is named")
	require.Empty(t, get[Questions](h, "/v1/queries").Queries)
}

func TestReadsNeedNoToken(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, path := range []string{"/v1/trust", "/v1/nodes", "/v1/trials", "/v1/circuits", "/v1/queries", "/healthz", "/readyz", "/openapi.json", "/", "/style.css"} {
		status, header, _ := h.send(http.MethodGet, path, "", nil)
		require.Equal(t, http.StatusOK, status, path)
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), path)
	}
	require.Equal(t, h.Trust(), get[entry.Trust](h, "/v1/trust"))
}
