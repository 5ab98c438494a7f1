package eventindex

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// recorded is rows of one person and concept with these starts and ends.
func recorded(name cohort.Domain, concept int64, days ...[2]int64) *rows {
	r := newRows(&domains[place(name)])
	for i, d := range days {
		r.person, r.concept, r.id = append(r.person, 0), append(r.concept, concept), append(r.id, int64(10+i))
		r.start, r.end, r.visit = append(r.start, d[0]), append(r.end, d[1]), append(r.visit, events.Null)
	}
	return r
}

func TestConditionErasBridgeThirtyDays(t *testing.T) {
	t.Parallel()
	d := &domains[place(cohort.ConditionEra)]
	// One without an end lasts a day, so the next may begin 31 days after it.
	r := conditionEras(d, recorded(cohort.ConditionOccurrence, 7, [2]int64{100, events.Null}, [2]int64{131, 140}, [2]int64{171, 171}))
	require.Equal(t, []int64{100, 171}, r.start)
	require.Equal(t, []int64{140, 171}, r.end)
	require.Equal(t, []int64{10, 12}, r.id)
	require.Equal(t, []int64{2, 1}, r.attr[0].Whole)
	require.Zero(t, conditionEras(d, recorded(cohort.ConditionOccurrence, 0, [2]int64{100, 101})).len(), "no concept, no era")
}

func TestDrugErasCountTheDaysBetween(t *testing.T) {
	t.Parallel()
	drugs := recorded(cohort.DrugExposure, 5, [2]int64{100, 110}, [2]int64{105, 120}, [2]int64{150, 160}, [2]int64{191, events.Null}, [2]int64{300, 310})
	drugs.attr[supplyAt] = omop.Vector{Whole: []int64{10, events.Null, 10, 4, -1}}
	r := drugEras(&domains[place(cohort.DrugEra)], drugs, map[int64][]int64{5: {1, 2}})
	require.Equal(t, []int64{1, 1, 2, 2}, r.concept, "an era for each ingredient; a negative supply is no exposure")
	require.Equal(t, []int64{100, 191, 100, 191}, r.start)
	require.Equal(t, []int64{160, 195, 160, 195}, r.end)
	require.Equal(t, []int64{3, 1, 3, 1}, r.attr[0].Whole, "exposures")
	require.Equal(t, []int64{30, 0, 30, 0}, r.attr[1].Whole, "days within the era without exposure")
	require.Equal(t, []int64{640, 832, 641, 833}, r.id)
}
