package registry_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestRepeatedQuestionGetsTheSameAnswer: whatever was released is all there is.
func TestRepeatedQuestionGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	for state, repeats := range map[query.State]bool{query.Complete: true, query.Partial: true, query.Withheld: false} {
		h := newHub(t).withTrial(t)
		first, ask := h.question(t)
		h.must(t, ask)
		h.must(t, registry.FinishQuestion{Result: query.Result{Query: first.Digest(), State: state, Cells: []query.Cell{{N: 55}}}})
		second, ask := h.question(t)
		h.must(t, ask)
		q, err := h.reader.Question(t.Context(), second.Digest())
		require.NoError(t, err)
		if !repeats {
			require.Nil(t, q.Result, state)
			continue
		}
		require.Equal(t, first.Digest(), *q.Result.Repeats)
		require.Equal(t, []query.Cell{{N: 55}}, q.Result.Cells)
		third, ask := h.question(t)
		h.must(t, ask)
		q, err = h.reader.Question(t.Context(), third.Digest())
		require.NoError(t, err)
		require.Equal(t, first.Digest(), *q.Result.Repeats, "the first is named, not the one in between")
		list, err := h.reader.Unfinished(t.Context(), start)
		require.NoError(t, err)
		require.Empty(t, list)
		h.replay(t)
	}
}

// TestSameQuestionWaitsForTheFirst: the sums of two rounds over different nodes
// would tell the difference.
func TestSameQuestionWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	var ids []query.ID
	for range 3 {
		e, ask := h.question(t)
		h.must(t, ask)
		ids = append(ids, e.Digest())
	}
	driven := func() []query.ID {
		var open []query.ID
		for _, q := range must(h.reader.Unfinished(t.Context(), start)) {
			open = append(open, q.ID)
		}
		return open
	}
	require.Equal(t, ids[:1], driven())
	h.must(t, registry.FinishQuestion{Result: query.Result{Query: ids[0], State: query.Withheld}})
	require.Equal(t, ids[1:2], driven(), "nothing was released, so the next is asked")
	h.must(t, registry.FinishQuestion{Result: query.Result{Query: ids[1], State: query.Partial, Cells: []query.Cell{{N: 55}}}})
	require.Empty(t, driven())
	first, last := must(h.reader.Question(t.Context(), ids[1])), must(h.reader.Question(t.Context(), ids[2]))
	require.Nil(t, first.Result.Repeats)
	require.Equal(t, ids[1], *last.Result.Repeats)
	require.Equal(t, first.Result.Cells, last.Result.Cells)
	require.Equal(t, last.Asked, last.Result.Asked)
	require.Greater(t, last.ResultIndex, first.ResultIndex)
	h.replay(t)
}
