package registry_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// queued returns the command that puts a new question into the queue.
func (h *hub) queued(t *testing.T, each, all int, p query.Priority) registry.QueueQuestion {
	t.Helper()
	_, ask := h.question(t)
	return registry.QueueQuestion{Envelope: ask.Envelope, Deadline: ask.Deadline, Priority: p, Limits: registry.QueueLimits{Each: each, All: all}}
}

// TestOneResearcherCannotFillTheQueue: one question more than a researcher may have
// open is refused, an answer makes room, and the same envelope again is no new
// question. Logs from before there was a queue are replayed with their eight.
func TestOneResearcherCannotFillTheQueue(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]func(h *hub) registry.Body{
		"queue":       func(h *hub) registry.Body { return h.queued(t, 8, 100, "") },
		"before that": func(h *hub) registry.Body { _, ask := h.question(t); return ask },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t).withTrial(t)
			first, ask := h.question(t)
			h.must(t, ask)
			for range 7 {
				h.must(t, command(h))
			}
			ninth := command(h)
			_, err := h.apply(t, ninth)
			require.ErrorIs(t, err, registry.OpenQuestions(8))
			require.Equal(t, http.StatusTooManyRequests, problem.From(err).Status)
			require.Contains(t, err.Error(), "wait for an answer")
			require.True(t, h.must(t, ask).Existed)
			h.must(t, registry.FinishQuestion{Result: query.Result{Query: first.Digest(), State: query.Withheld}})
			h.must(t, ninth)
			h.replay(t)
		})
	}
}

// TestAFullQueueLocksNobodyOut: what is over the hub's own limit is refused to
// those who have a question open already, and to nobody else.
func TestAFullQueueLocksNobodyOut(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	other := peertest.NewTrial(t, h.trial.Design.Nodes, disclosure.Policy{}, start)
	other.Design.ID = "glucose-2"
	h.must(t, registry.RegisterTrial{Registration: peertest.Approve(t, other.Design, other.Sponsor, other.Board, start)})
	for range 3 {
		h.must(t, h.queued(t, 10, 3, query.High))
	}
	_, err := h.apply(t, h.queued(t, 10, 3, query.High))
	require.ErrorIs(t, err, registry.ErrQueueFull)
	require.Equal(t, http.StatusTooManyRequests, problem.From(err).Status)

	mine := h.queued(t, 10, 3, query.Low)
	r := other.CountBySex()
	mine.Envelope = other.Sign(t, r, h.at)
	h.must(t, mine)
	mine.Envelope = other.Sign(t, r, h.at)
	_, err = h.apply(t, mine)
	require.ErrorIs(t, err, registry.ErrQueueFull)
	for _, bad := range []func(c *registry.QueueQuestion){
		func(c *registry.QueueQuestion) { c.Priority = "urgent" },
		func(c *registry.QueueQuestion) { c.Limits.All = 0 },
		func(c *registry.QueueQuestion) { c.Limits.Each = -1 },
	} {
		c := h.queued(t, 10, 10, query.Normal)
		bad(&c)
		_, err := h.apply(t, c)
		require.Equal(t, problem.Invalid, err.(*problem.Error).Kind)
	}
	h.replay(t)
}

// TestAQuestionOfSeveralWaitsInEachOnesLine: it is driven once, the first that was
// asked, with the name and the priority of all who wait for it.
func TestAQuestionOfSeveralWaitsInEachOnesLine(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	first := h.queued(t, 10, 10, query.Low)
	h.must(t, first)
	h.must(t, h.queued(t, 10, 10, query.High))
	researcher := h.trial.Researcher.DID()
	want := []registry.Asker{{Researcher: researcher, Priority: query.Low}, {Researcher: researcher, Priority: query.High}}
	require.Equal(t, []registry.Pending{{ID: first.Envelope.Digest(), Askers: want}}, must(h.reader.Unfinished(t.Context(), start)))
	require.Equal(t, query.Low, must(h.reader.Question(t.Context(), first.Envelope.Digest())).Priority)

	h.must(t, registry.FinishQuestion{Result: query.Result{Query: first.Envelope.Digest(), State: query.Complete, Answered: []query.Answered{{Node: h.nodes[0].DID()}}}})
	require.Equal(t, []registry.Pending{{ID: first.Envelope.Digest(), Answered: true, Askers: want[:1]}}, must(h.reader.Unfinished(t.Context(), start)))
}
