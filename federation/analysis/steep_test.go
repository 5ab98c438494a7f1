package analysis_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func offsetColumns() []analysis.Column {
	number := func(name string) analysis.Column {
		return analysis.Column{Name: name, Kind: analysis.Numeric, High: 400}
	}
	return []analysis.Column{
		number("start"),
		{Name: "stop", Kind: analysis.Numeric, Low: 0.5, High: 400},
		{Name: "ended", Kind: analysis.Logical},
		number("x"),
		{Name: "o", Kind: analysis.Numeric, Low: -40, High: 40},
		{Name: "ward", Kind: analysis.Factor, Levels: []string{"a", "b"}},
	}
}

func fewByOffset(t require.TestingT, m query.Model, least int, rows [][]float64) bool {
	f, err := analysis.NewFrame(offsetColumns())
	require.NoError(t, err)
	for _, row := range rows {
		require.NoError(t, f.Append(row))
	}
	p, err := analysis.NewProducts(m, offsetColumns())
	require.NoError(t, err)
	return p.FewByOffset(f, least)
}

// TestFewByOffset: of two hundred persons, of whom two leave with the last of them.
func TestFewByOffset(t *testing.T) {
	t.Parallel()
	flat := func(int) float64 { return 0 }
	two := func(i int) float64 { return 20 * float64(i/198) } // the last two
	early := func(i int) float64 { return 20 * float64((399-i)/398) }
	normal := func(i int) float64 { return math.Sqrt2 * math.Erfinv(2*(float64(i*79%200)+0.5)/200-1) }
	cox, count := "Surv(stop, ended) ~ x + offset(o)", "x ~ 1 + offset(o)"
	for name, c := range map[string]struct {
		model  query.Model
		offset func(i int) float64
		want   bool
	}{
		"none":                            {query.Model{Formula: "Surv(stop, ended) ~ x"}, two, false},
		"the same for all":                {query.Model{Formula: cox}, flat, false},
		"a log hazard of SD 1":            {query.Model{Formula: cox}, normal, false},
		"two at the end":                  {query.Model{Formula: cox}, two, true},
		"two who leave at once":           {query.Model{Formula: cox}, early, true},
		"two, from day to day":            {query.Model{Formula: "Surv(start, stop, ended) ~ x + offset(o)"}, two, true},
		"two of a ward":                   {query.Model{Formula: cox + " + strata(ward)"}, two, true},
		"two of a count":                  {query.Model{Formula: count}, two, true},
		"two of a linear model":           {query.Model{Formula: count, Linear: true}, two, false},
		"two of a logistic model":         {query.Model{Formula: count, Logistic: true}, two, false},
		"two of each set of rows":         {query.Model{Formula: "x ~ stop + offset(o) + strata(start)"}, two, false},
		"two, and the logarithm of days":  {query.Model{Formula: "x ~ 1 + offset(log(stop))"}, two, false},
		"an exponential beyond any other": {query.Model{Formula: "x ~ 1 + offset(exp(stop))"}, two, true},
	} {
		var rows [][]float64
		for i := range 200 {
			rows = append(rows, []float64{float64(i / 4), float64(i + 1), float64(i % 2), float64(i % 7), c.offset(i), float64(i / 2 % 2)})
		}
		require.Equal(t, c.want, fewByOffset(t, c.model, 11, rows), name)
	}
}

// TestFewByOffsetIsTheDefinition for every set of those at risk, at any time: another site may have an event then.
func TestFewByOffsetIsTheDefinition(t *testing.T) {
	t.Parallel()
	found := make(map[string]bool)
	rapid.Check(t, func(t *rapid.T) {
		const least = 3
		var rows [][]float64
		for range rapid.IntRange(1, 60).Draw(t, "rows") {
			start := rapid.IntRange(0, 8).Draw(t, "start")
			rows = append(rows, []float64{
				float64(start), float64(start + rapid.IntRange(1, 8).Draw(t, "days")), 0, 0,
				rapid.SampledFrom([]float64{0, 0, 0, 0, 0, 0, 0, 1, 8}).Draw(t, "offset"), float64(rapid.IntRange(0, 1).Draw(t, "ward")),
			})
		}
		want := false
		for at := 0.0; at <= 16; at++ {
			for ward := range 2 {
				n, sum, most := 0, 0.0, 0.0
				for _, r := range rows {
					if r[0] < at && at <= r[1] && r[5] == float64(ward) {
						n, sum, most = n+1, sum+math.Exp(r[4]), max(most, math.Exp(r[4]))
					}
				}
				want = want || n >= least && sum < most*min(least, float64(n)/8)*(1-1e-12)
			}
		}
		require.Equal(t, want, fewByOffset(t, query.Model{Formula: "Surv(start, stop, ended) ~ x + offset(o) + strata(ward)"}, least, rows))
		found[fmt.Sprint(want)] = true
	})
	require.Len(t, found, 2)
}
