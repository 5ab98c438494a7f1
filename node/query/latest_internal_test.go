package query

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
)

// TestLatestAreBounded: values of another state, or too many, are not kept.
func TestLatestAreBounded(t *testing.T) {
	t.Parallel()
	l, now := newLatest(), omop.State{Store: "s", Seen: "1"}
	l.most = 3
	of := func(n int64) map[omop.PersonID]float64 {
		values := make(map[omop.PersonID]float64)
		for i := range n {
			var p omop.PersonID
			require.NoError(t, p.Scan(i))
			values[p] = 1
		}
		return values
	}
	known := func(state omop.State, key string) bool {
		_, known := l.recall(state, key)
		return known
	}
	l.keep(now, "a", of(1))
	l.keep(now, "b", of(2))
	require.True(t, known(now, "a") && known(now, "b"))
	l.keep(now, "c", of(4))
	require.False(t, known(now, "c"), "more than there is room for")
	l.keep(now, "d", of(1))
	require.True(t, known(now, "d"))
	require.False(t, known(now, "a"), "others went")
	later := omop.State{Store: "s", Seen: "2"}
	require.False(t, known(later, "d"))
	l.keep(later, "a", of(1))
	require.True(t, known(later, "a"))
	require.False(t, known(now, "d"))
}
