package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/version"
)

// Who is connected shows which versions it speaks, and whom to update if that is of no use.
func TestNodesShowTheirVersions(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.enroll()
	require.Nil(t, get[Nodes](h, "/v1/nodes").Nodes[0].Speaks, "it is not connected")
	h.connect(version.Range{Oldest: version.Oldest, Newest: version.Oldest})
	n := get[Nodes](h, "/v1/nodes").Nodes[0]
	require.Equal(t, version.Oldest, n.Speaks.Newest)
	require.Empty(t, n.Update)
	h.connect(version.Range{Oldest: 98, Newest: 99})
	const words = "this hub speaks protocol 2 and 1, the node speaks 99 and 98: update the hub"
	require.Equal(t, words, get[Nodes](h, "/v1/nodes").Nodes[0].Update)
	_, _, body := h.send(http.MethodGet, "/", "", nil)
	require.Contains(t, body, words)
	require.Contains(t, body, "protocol 99 and 98")
}

// From an empty hub to an open question, each by the one who may.
func TestAHubIsFilledThroughItsAPI(t *testing.T) {
	t.Parallel()
	h := newHub(t)

	status, header, body := h.send(http.MethodPost, "/v1/invitations", h.tokens[registry.RoleOperator], Invite{Name: "st-anna", Organization: "St. Anna"})
	require.Equal(t, http.StatusCreated, status, body)
	require.Contains(t, body, "invitation-of-st-anna")
	require.Equal(t, "no-store", header.Get("Cache-Control"), "an invitation is a secret")
	h.enroll()
	require.Equal(t, h.node.DID(), get[Nodes](h, "/v1/nodes").Nodes[0].DID)

	registration := h.registration()
	status, _, body = h.send(http.MethodPost, "/v1/trials", h.tokens[registry.RoleSponsor], registration)
	require.Equal(t, http.StatusCreated, status, body)
	require.Equal(t, []identity.DID{h.node.DID()}, get[Trials](h, "/v1/trials").Trials[0].Nodes)
	require.Equal(t, registration.Design.Digest(), get[Trial](h, "/v1/trials/bp-trial").Registration.Design.Digest())

	envelope := h.question()
	id := envelope.Digest().String()
	status, header, body = h.send(http.MethodPost, "/v1/queries", h.tokens[registry.RoleResearcher], Submission{Envelope: envelope, DeadlineSeconds: 60, Priority: query.High})
	require.Equal(t, http.StatusAccepted, status, body)
	require.Equal(t, "/v1/queries/"+id, header.Get("Location"))
	status, _, body = h.send(http.MethodPost, "/v1/queries", h.tokens[registry.RoleResearcher], Submission{Envelope: envelope})
	require.Equal(t, http.StatusAccepted, status)
	require.Contains(t, body, `"existed":true`)

	asked := get[Question](h, "/v1/queries/"+id[:8])
	require.Equal(t, envelope.Digest(), asked.ID)
	require.Equal(t, query.Open, asked.State)
	require.Equal(t, start.Add(time.Minute), asked.Deadline)
	require.Equal(t, query.High, asked.Priority)
	require.EqualValues(t, -1, asked.ResultIndex)
	require.Equal(t, asked, get[Questions](h, "/v1/queries?limit=1").Queries[0])

	status, _, body = h.send(http.MethodPost, "/v1/nodes/"+string(h.node.DID())+"/revoke", h.tokens[registry.RoleOperator], Revocation{Reason: "gone"})
	require.Equal(t, http.StatusOK, status, body)
	require.True(t, get[Nodes](h, "/v1/nodes").Nodes[0].Revoked)
}

// A token that was issued through the API works, for its role and its time.
func TestAnIssuedTokenWorksUntilItExpires(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	status, _, body := h.send(http.MethodPost, "/v1/tokens", h.tokens[registry.RoleOperator],
		TokenRequest{Holder: h.operator.DID(), Role: registry.RoleOperator, TTLSeconds: 60})
	require.Equal(t, http.StatusCreated, status, body)
	issued := decode[Token](t, body)
	require.Equal(t, start.Add(time.Minute), issued.Expires)

	invite := Invite{Name: "st-anna", Organization: "St. Anna"}
	status, _, _ = h.send(http.MethodPost, "/v1/invitations", issued.Token, invite)
	require.Equal(t, http.StatusCreated, status)
	h.set(func() { h.now = start.Add(time.Minute) })
	status, header, body := h.send(http.MethodPost, "/v1/invitations", issued.Token, invite)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "Bearer", header.Get("WWW-Authenticate"))
	require.Equal(t, "urn:trialmesh:problem:unauthorized", decode[problem.Document](t, body).Type)
}
