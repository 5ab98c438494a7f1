package registry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func (h *hub) cancellation(t *testing.T, key identity.Key, id query.ID) registry.CancelQuestion {
	t.Helper()
	return registry.CancelQuestion{Envelope: h.seal(t, key, query.KindCancellation, query.Cancellation{Query: id, Reason: "asked of the wrong trial"})}
}

// results counts the leaves that end a question.
func (h *hub) results(t *testing.T, id query.ID) (n int) {
	t.Helper()
	require.NoError(t, h.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT count(*) FROM ledger_entry WHERE instr(CAST(body AS TEXT), '"kind":7') > 0 AND instr(CAST(body AS TEXT), ?) > 0`, id.String()).Scan(&n)
	}))
	return n
}

// TestAQuestionIsAnsweredOrCancelled, never both, whatever comes in which order and how
// often: the first that ends it stands, on every replica.
func TestAQuestionIsAnsweredOrCancelled(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	stranger := peertest.NewKey(t)
	asked := 0
	rapid.Check(t, func(r *rapid.T) {
		question := h.trial.MeanBySex()
		asked++
		question.Analysis.Variable.High += float64(asked) // another one each
		e := h.trial.Sign(t, question, h.at)
		id := e.Digest()
		h.must(t, registry.AskQuestion{Envelope: e, Deadline: h.at.Add(time.Hour)})
		var first query.State
		for _, move := range rapid.SliceOfN(rapid.SampledFrom([]string{"complete", "withheld", "researcher", "sponsor", "stranger"}), 1, 6).Draw(r, "moves") {
			var err error
			var ends query.State
			switch move {
			case "complete", "withheld":
				ends = query.State(move)
				_, err = h.apply(t, registry.FinishQuestion{Result: query.Result{Query: id, State: ends}})
			case "stranger":
				_, err = h.apply(t, h.cancellation(t, stranger, id))
				require.ErrorIs(r, err, query.ErrCanceller)
				continue
			default:
				ends = query.Cancelled
				key := h.trial.Researcher
				if move == "sponsor" {
					key = h.trial.Sponsor
				}
				var out registry.Outcome
				out, err = h.apply(t, h.cancellation(t, key, id))
				if first == query.Cancelled {
					require.NoError(r, err, "cancelling again is harmless")
					require.True(r, out.Existed)
					continue
				}
			}
			if first != "" {
				require.ErrorIs(r, err, registry.ErrQuestionClosed)
				continue
			}
			require.NoError(r, err)
			first = ends
		}
		q := must(h.reader.Question(t.Context(), id))
		if first == "" {
			require.Equal(r, query.Open, q.State)
			h.must(t, h.cancellation(t, h.trial.Sponsor, id)) // makes room
			return
		}
		require.Equal(r, first, q.State)
		require.Equal(r, first, q.Result.State)
		require.Equal(r, first == query.Cancelled, q.Result.Cancelled != nil)
		require.Equal(r, 1, h.results(t, id))
	})
	h.replay(t)
}

func TestACancellationSaysWho(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	first, ask := h.question(t)
	h.must(t, ask)
	second, ask := h.question(t)
	h.must(t, ask)
	h.must(t, h.cancellation(t, h.trial.Researcher, first.Digest()))
	r := must(h.reader.Question(t.Context(), first.Digest())).Result
	require.Equal(t, "cancelled by the researcher who asked: asked of the wrong trial", r.Reason)
	require.Equal(t, h.trial.Researcher.DID(), r.Cancelled.Issuer)
	unfinished := must(h.reader.Unfinished(t.Context(), start))
	asker := registry.Asker{Researcher: h.trial.Researcher.DID(), Priority: query.Normal}
	require.Equal(t, []registry.Pending{{ID: second.Digest(), Askers: []registry.Asker{asker}}}, unfinished, "who asked the same gets an answer of their own")
	require.Equal(t, []query.ID{first.Digest()}, must(h.reader.Cancelled(t.Context(), h.at)))
	require.Empty(t, must(h.reader.Cancelled(t.Context(), h.at.Add(time.Hour))), "its time is over")
	h.replay(t)
}

func TestWhatDoesNotCancel(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	e, ask := h.question(t)
	h.must(t, ask)
	forged := h.cancellation(t, h.trial.Researcher, e.Digest())
	forged.Envelope.Issuer = h.trial.Sponsor.DID()
	for name, c := range map[string]struct {
		body registry.Body
		want error
	}{
		"unknown question": {h.cancellation(t, h.trial.Researcher, query.ID{1}), registry.ErrQuestionUnknown},
		"a node":           {h.cancellation(t, h.nodes[0], e.Digest()), query.ErrCanceller},
		"the board":        {h.cancellation(t, h.trial.Board, e.Digest()), query.ErrCanceller},
		"forged":           {forged, message.ErrSignature},
		"another kind":     {registry.CancelQuestion{Envelope: e}, message.ErrKind},
		"a book": {
			registry.CancelQuestion{Envelope: h.seal(t, h.trial.Researcher, query.KindCancellation, query.Cancellation{Query: e.Digest(), Reason: strings.Repeat("x", query.MaxReason+1)})},
			problem.New(problem.Invalid, "query: reason: at most 500 bytes"),
		},
		"a result that says so": {
			registry.FinishQuestion{Result: query.Result{Query: e.Digest(), State: query.Cancelled}},
			problem.New(problem.Invalid, "result: a question is cancelled by a signed cancellation only"),
		},
	} {
		_, err := h.apply(t, c.body)
		require.ErrorIs(t, err, c.want, name)
	}
	require.Equal(t, query.Open, must(h.reader.Question(t.Context(), e.Digest())).State)
	h.replay(t)
}
