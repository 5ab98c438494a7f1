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

// TestRecordSumHoldsAsAWhole: the last answers and what follows from them, or nothing.
func TestRecordSumHoldsAsAWhole(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	e, ask := h.question(t)
	h.must(t, ask)
	other, ask := h.question(t)
	h.must(t, ask)
	step := func(of query.Step) registry.RecordStep {
		a := query.Answer{Query: e.Digest(), Step: of, Body: []byte(`1`)}
		return registry.RecordStep{
			CloseStep: registry.CloseStep{Query: e.Digest(), Step: of, Nodes: []identity.DID{h.nodes[0].DID()}},
			Answers:   []message.Envelope{h.seal(t, h.nodes[0], query.KindAnswer, a)},
		}
	}
	round := &registry.RecordRound{Query: e.Digest(), Round: 2, State: []byte(`{}`)}
	finish := func(id query.ID, state query.State) *registry.FinishQuestion {
		return &registry.FinishQuestion{Result: query.Result{Query: id, State: state, Finished: time.Now()}}
	}
	last := query.StepUnmask.In(2)
	for name, c := range map[string]registry.RecordSum{
		"nothing that follows":     {Step: step(query.StepUnmask)},
		"two things":               {Step: step(query.StepUnmask), Round: round, Finish: finish(e.Digest(), query.Withheld)},
		"another question's end":   {Step: step(query.StepUnmask), Finish: finish(other.Digest(), query.Withheld)},
		"another question's round": {Step: step(query.StepUnmask), Round: &registry.RecordRound{Query: other.Digest(), Round: 2, State: []byte(`{}`)}},
		"a result that is none":    {Step: step(query.StepUnmask), Finish: finish(e.Digest(), query.Open)},
		"a round that is none":     {Step: step(query.StepUnmask), Round: &registry.RecordRound{Query: e.Digest(), State: []byte(`{}`)}},
	} {
		_, err := h.apply(t, c)
		var refused *problem.Error
		require.ErrorAs(t, err, &refused, name)
		answers, err := h.reader.Answers(t.Context(), e.Digest(), query.StepUnmask)
		require.NoError(t, err)
		require.Empty(t, answers, name)
	}
	h.must(t, registry.RecordSum{Step: step(query.StepUnmask), Round: round})
	state, err := h.reader.Round(t.Context(), e.Digest(), 2)
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(state))
	_, err = h.apply(t, registry.RecordSum{Step: step(query.StepUnmask), Finish: finish(e.Digest(), query.Withheld)})
	require.ErrorIs(t, err, registry.ErrStep, "the step is on record")
	q, err := h.reader.Question(t.Context(), e.Digest())
	require.NoError(t, err)
	require.Nil(t, q.Result)

	h.must(t, registry.RecordSum{Step: step(last), Finish: finish(e.Digest(), query.Withheld)})
	q, err = h.reader.Question(t.Context(), e.Digest())
	require.NoError(t, err)
	require.Equal(t, query.Withheld, q.Result.State)
	answers, err := h.reader.Answers(t.Context(), e.Digest(), last)
	require.NoError(t, err)
	require.Len(t, answers, 1)
	h.replay(t)
}
