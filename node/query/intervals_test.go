package query

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestIntervalsSayOfEachDayWhatItIs, of any exposures and events, by looking at each day.
func TestIntervalsSayOfEachDayWhatItIs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		days := func(name string) []omop.Date {
			list := rapid.SliceOfNDistinct(rapid.Int32Range(0, 900), 0, 15, rapid.ID[int32]).Draw(t, name)
			slices.Sort(list)
			dates := make([]omop.Date, len(list))
			for i, d := range list {
				dates[i] = omop.Date(d)
			}
			return dates
		}
		h := history{subject: subject{entry: 400, since: 100, observed: 800}, events: days("event"), exposures: days("exposure")}
		h.YearOfBirth, h.MonthOfBirth, h.DayOfBirth = 1960, 7, 15
		s := &query.CaseSeriesSpec{Ages: []int{11}, Seasons: true, First: rapid.Bool().Draw(t, "first")}
		for from := rapid.IntRange(-20, 5).Draw(t, "from"); len(s.Risks) < 3; {
			to := from + rapid.IntRange(0, 30).Draw(t, "length")
			s.Risks = append(s.Risks, query.RiskPeriod{Window: query.Window{From: from, To: to}})
			from = to + rapid.IntRange(1, 9).Draw(t, "gap")
		}
		from, to := omop.Date(100), omop.Date(800)
		if rapid.Bool().Draw(t, "window") {
			s.Window = &query.Window{From: -350, To: 250}
			to = 650
		}
		events := make(map[omop.Date]int)
		for _, d := range h.events {
			if from <= d && d <= to && (!s.First || len(events) == 0) {
				events[d] = 1
			}
		}
		next := from
		for _, in := range h.intervals(s) {
			require.Equal(t, next, in.from)
			seen := 0
			for ; next <= in.to; next++ {
				level := 0
				for _, x := range h.exposures {
					for i, r := range s.Risks {
						if x+omop.Date(r.From) <= next && next <= x+omop.Date(r.To) {
							level = 1 + i // the later one stands
						}
					}
				}
				age, season := 0, int(next.Time().Month()-1)/3
				if h.Age(next) >= 11 {
					age = 1
				}
				require.Equal(t, []int{level, age, season}, in.levels)
				seen += events[next]
			}
			require.Equal(t, seen, in.events)
		}
		if len(events) == 0 {
			require.Equal(t, from, next, "who has no event is no case")
		} else {
			require.Equal(t, to+1, next, "all days")
		}
	})
}
