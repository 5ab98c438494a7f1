package analysis_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestWeightsByTimeGiveScoresAway: on a grid of days most sums of weights by arm, time and
// event are one person's weight, which is their score; of merged times none is about fewer
// than asked for.
func TestWeightsByTimeGiveScoresAway(t *testing.T) {
	t.Parallel()
	c := casesIn[comparisonCase](t, "comparison")[0]
	c.Question.Grid = query.Grid{Width: 1, Horizon: 3600}
	for least, most := range map[int]int{0: 963, 11: 0} {
		c.Least = least
		m := c.method(t)
		rows := tableRows(t, "comparison/rotterdam.csv", m.Columns())
		frames := split(t, m.Columns(), rows, 3, func(r int) int { return r % 3 })
		state, err := m.Start()
		require.NoError(t, err)
		type known struct {
			Times []struct{ Last int }
		}
		var times struct{ State known }
		for len(times.State.Times) == 0 {
			var sites [][]uint64
			for _, f := range frames {
				words, err := m.Site(state, f)
				require.NoError(t, err)
				sites = append(sites, words)
			}
			step, err := m.Next(state, added(sites), len(sites))
			require.NoError(t, err)
			state = step.State
			require.NoError(t, json.Unmarshal(state, &times))
		}
		cells := make(map[[3]int]int)
		for _, r := range rows {
			last, event := math.Min(r[0], 3600), int(r[1])
			if r[0] > 3600 {
				event = 0
			}
			at := 0
			for float64(times.State.Times[at].Last) < last {
				at++
			}
			cells[[3]int{at, int(r[2]), event}]++
		}
		few := 0
		for _, n := range cells {
			if n < max(least, 2) {
				few++
			}
		}
		require.Equal(t, most, few, "cells of one or of few, of %d", len(cells))
	}
}

// TestMergedTimesMoveComparisonsLittle: what the guard costs, in standard errors.
func TestMergedTimesMoveComparisonsLittle(t *testing.T) {
	t.Parallel()
	c := casesIn[comparisonCase](t, "comparison")[3]
	of := func(least int) query.HazardRatio {
		c.Least = least
		m := c.method(t)
		result, err := alone(t, m, tableRows(t, "comparison/rotterdam.csv", m.Columns()))
		require.NoError(t, err)
		return result.(*query.Comparison).Adjusted.Hazard
	}
	exact := of(0)
	for least, want := range map[int]struct {
		times int
		moved float64
	}{5: {7, 0.065}, 11: {3, 0.108}} {
		merged := of(least)
		require.Equal(t, want.times, merged.Times)
		require.InDelta(t, want.moved, math.Abs(*merged.Log-*exact.Log) / *exact.Robust, 0.005, "%d", least)
	}
}
