package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

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
	asked := h.question()
	h.must(registry.AskQuestion{Envelope: asked, Deadline: start.Add(time.Minute)})
	actions := []struct {
		method, path string
		role         registry.Role
		body         any
		status       int
	}{
		{http.MethodPost, "/v1/invitations", registry.RoleOperator, Invite{Name: "other", Organization: "O"}, 201},
		{http.MethodPost, "/v1/tokens", registry.RoleOperator, TokenRequest{Holder: h.node.DID(), Role: registry.RoleSponsor}, 201},
		{http.MethodGet, "/v1/tokens", registry.RoleOperator, nil, 200},
		{http.MethodPost, "/v1/tokens/0011223344556677/revoke", registry.RoleOperator, nil, 404},
		{http.MethodGet, "/metrics", registry.RoleOperator, nil, 200},
		{http.MethodPost, "/v1/trials", registry.RoleSponsor, h.registration(), 409}, // another design of the same id
		{http.MethodPost, "/v1/queries", registry.RoleResearcher, Submission{Envelope: h.question()}, 202},
		{http.MethodPost, "/v1/queries/" + asked.Digest().String() + "/cancel", registry.RoleResearcher, Cancelling{h.cancellation(h.researcher, asked.Digest())}, 200},
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

// Tokens are listed without their text, and revoked one by one or by holder.
func TestTokensAreListedAndRevoked(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	operator := h.tokens[registry.RoleOperator]
	issue := func(role registry.Role) Token {
		status, _, body := h.send(http.MethodPost, "/v1/tokens", operator, TokenRequest{Holder: h.node.DID(), Role: role})
		require.Equal(t, http.StatusCreated, status, body)
		return decode[Token](t, body)
	}
	first, second := issue(registry.RoleOperator), issue(registry.RoleOperator)
	list := func() map[string]IssuedToken {
		status, _, body := h.send(http.MethodGet, "/v1/tokens", operator, nil)
		require.Equal(t, http.StatusOK, status, body)
		require.NotContains(t, body, first.Token)
		tokens := make(map[string]IssuedToken)
		for _, token := range decode[Tokens](t, body).Tokens {
			tokens[token.ID] = token
		}
		return tokens
	}
	require.Equal(t, IssuedToken{ID: first.ID, Holder: h.node.DID(), Role: registry.RoleOperator, Issued: start, Expires: first.Expires}, list()[first.ID])
	use := func(token Token) (int, string) {
		status, _, body := h.send(http.MethodGet, "/metrics", token.Token, nil)
		return status, body
	}
	status, _ := use(first)
	require.Equal(t, http.StatusOK, status)

	for _, existed := range []bool{false, true} {
		status, _, body := h.send(http.MethodPost, "/v1/tokens/"+first.ID+"/revoke", operator, nil)
		require.Equal(t, http.StatusOK, status, body)
		require.Equal(t, existed, decode[Recorded](t, body).Existed)
	}
	status, body := use(first)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, body, "revoked")
	require.True(t, list()[first.ID].Revoked)
	status, _ = use(second)
	require.Equal(t, http.StatusOK, status, "only the one")

	status, _, body = h.send(http.MethodPost, "/v1/tokens/"+string(h.node.DID())+"/revoke", operator, nil)
	require.Equal(t, http.StatusOK, status, body)
	status, _ = use(second)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Len(t, list(), 5)
	require.False(t, list()[registry.TokenID(registry.TokenHash(operator))].Revoked, "others keep theirs")
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
