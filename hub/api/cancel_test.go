package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// cancellation is somebody's word that a question is cancelled.
func (h *hub) cancellation(by identity.Key, id query.ID) message.Envelope {
	h.t.Helper()
	return h.seal(by, query.KindCancellation, query.Cancellation{Query: id, Reason: "a test"})
}

// A question is cancelled by who asked it or by the sponsor, each with a token of their own.
func TestAQuestionIsCancelled(t *testing.T) {
	t.Parallel()
	for role, key := range map[registry.Role]func(h *hub) identity.Key{
		registry.RoleResearcher: func(h *hub) identity.Key { return h.researcher },
		registry.RoleSponsor:    func(h *hub) identity.Key { return h.sponsor },
	} {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			id, epoch := h.asked()
			send := func(path string, e message.Envelope, token string) (int, string) {
				status, _, body := h.send(http.MethodPost, "/v1/queries/"+path+"/cancel", token, Cancelling{Envelope: e})
				return status, body
			}
			mine, token := h.cancellation(key(h), id), h.tokens[role]
			status, body := send(id.String(), h.cancellation(h.board, id), token)
			require.Equal(t, http.StatusForbidden, status, "somebody else signed it: %s", body)
			status, body = send(id.String(), h.cancellation(key(h), query.ID{1}), token)
			require.Equal(t, http.StatusUnprocessableEntity, status, body)
			status, _ = send("0123456789", mine, token)
			require.Equal(t, http.StatusNotFound, status)

			status, body = send(id.String()[:10], mine, token)
			require.Equal(t, http.StatusOK, status, body)
			q := get[Question](h, "/v1/queries/"+id.String()+"?wait=proofs")
			require.Equal(t, query.Cancelled, q.State)
			require.Equal(t, mine.Digest(), q.Result.Cancelled.Digest())
			require.True(t, q.ProofsDone, "there is nothing to prove")
			status, body = send(id.String(), mine, token)
			require.Equal(t, http.StatusOK, status)
			require.True(t, decode[Recorded](t, body).Existed)

			_, _, page := h.send(http.MethodGet, "/", "", nil)
			require.Contains(t, page, "cancelled by the")
			_, err := h.Propose(t.Context(), registry.FinishQuestion{Result: query.Result{Query: id, State: query.Complete, Answered: []query.Answered{{Epoch: epoch}}}})
			require.ErrorIs(t, err, registry.ErrQuestionClosed)
		})
	}
}

// What was answered stays so.
func TestAnAnswerIsNotCancelled(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id, epoch := h.asked()
	h.answer(id, epoch)
	status, _, body := h.send(http.MethodPost, "/v1/queries/"+id.String()+"/cancel", h.tokens[registry.RoleResearcher], Cancelling{Envelope: h.cancellation(h.researcher, id)})
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "the question is answered already", decode[problem.Document](t, body).Title)
	require.Equal(t, query.Complete, get[Question](h, "/v1/queries/"+id.String()).State)
}

// A question may wait for two weeks, if its signature lasts as long.
func TestADeadlineNeedsASignatureThatLasts(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.enroll()
	h.must(registry.RegisterTrial{Registration: h.registration()})
	e := h.question() // for a day
	ask := func(seconds int) (int, string) {
		status, _, body := h.send(http.MethodPost, "/v1/queries", h.tokens[registry.RoleResearcher], Submission{Envelope: e, DeadlineSeconds: seconds})
		return status, body
	}
	const day = 24 * 60 * 60
	status, body := ask(2 * day)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, decode[problem.Document](t, body).Title, "sign it for longer")
	status, _ = ask(14*day + 1)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, body = ask(day)
	require.Equal(t, http.StatusAccepted, status, body)
}
