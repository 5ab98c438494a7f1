package registry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestRecordStepHoldsAsAWhole: the answers and whom the question goes on with, or nothing.
func TestRecordStepHoldsAsAWhole(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	e, ask := h.question(t)
	h.must(t, ask)
	other, ask := h.question(t)
	h.must(t, ask)
	refusal := problem.From(problem.Refusal("approval.policy", "no"))
	answer := func(node int, change func(*query.Answer)) message.Envelope {
		a := query.Answer{Query: e.Digest(), Step: query.StepAsk, Body: []byte(`1`)}
		change(&a)
		return h.seal(t, h.nodes[node], query.KindAnswer, a)
	}
	plain := func(*query.Answer) {}
	step := func(nodes []int, answers ...message.Envelope) registry.RecordStep {
		c := registry.RecordStep{CloseStep: registry.CloseStep{Query: e.Digest(), Step: query.StepAsk, Nodes: []identity.DID{}}, Answers: answers}
		for _, n := range nodes {
			c.Nodes = append(c.Nodes, h.nodes[n].DID())
		}
		return c
	}
	late := answer(1, plain)
	late.Signature[0] ^= 1
	for name, c := range map[string]struct {
		body registry.RecordStep
		want error
	}{
		"a forged answer":              {step([]int{0, 1}, answer(0, plain), late), message.ErrSignature},
		"a node that is not asked":     {step([]int{0, 3}, answer(0, plain), answer(3, plain)), registry.ErrNotAsked},
		"one node twice":               {step([]int{0}, answer(0, plain), answer(0, plain)), registry.ErrStep},
		"another step":                 {step([]int{0}, answer(0, func(a *query.Answer) { a.Step = query.StepMask })), registry.ErrStep},
		"another question":             {step([]int{0}, answer(0, func(a *query.Answer) { a.Query = other.Digest() })), registry.ErrStep},
		"a node that has not answered": {step([]int{0, 1}, answer(0, plain)), registry.ErrStep},
		"a node that refused":          {step([]int{0}, answer(0, func(a *query.Answer) { a.Body, a.Refusal = nil, &refusal })), registry.ErrStep},
	} {
		before := h.hash(t)
		_, err := h.apply(t, c.body)
		require.ErrorIs(t, err, c.want, name)
		require.NotEqual(t, before, h.hash(t), "the applied index moves on")
		answers, err := h.reader.Answers(t.Context(), e.Digest(), query.StepAsk)
		require.NoError(t, err)
		require.Empty(t, answers, name)
	}
	h.must(t, step([]int{0, 2}, answer(0, plain), answer(1, func(a *query.Answer) { a.Body, a.Refusal = nil, &refusal }), answer(2, plain)))
	answers, err := h.reader.Answers(t.Context(), e.Digest(), query.StepAsk)
	require.NoError(t, err)
	require.Len(t, answers, 3)
	closed, done, err := h.reader.Closed(t.Context(), e.Digest(), query.StepAsk)
	require.NoError(t, err)
	require.True(t, done)
	require.ElementsMatch(t, []identity.DID{h.nodes[0].DID(), h.nodes[2].DID()}, closed)
	_, err = h.apply(t, step(nil))
	require.ErrorIs(t, err, registry.ErrStep, "it is closed")
	h.must(t, registry.FinishQuestion{Result: query.Result{Query: e.Digest(), State: query.Withheld, Finished: time.Now()}})
	_, err = h.apply(t, step(nil))
	require.ErrorIs(t, err, registry.ErrQuestionClosed)
	h.replay(t)
}
