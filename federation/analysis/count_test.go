package analysis_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
)

func TestCountEqualsR(t *testing.T) {
	t.Parallel()
	sites := make([][]analysis.Row, 3)
	for _, p := range cnsim(t) {
		sites[p.study] = append(sites[p.study], analysis.Row{Strata: []int{p.gender, p.diabetes}})
	}
	m := analysis.Count{By: []analysis.Stratifier{gender, diabetes}}
	r, err := m.Pool(summed(t, m, sites), len(sites))
	require.NoError(t, err)

	// R: with(rbind(CNSIM1, CNSIM2, CNSIM3), chisq.test(GENDER, DIS_DIAB, correct = FALSE))
	require.Equal(t, []analysis.CountCell{
		{Levels: []string{"male", "no"}, N: 4671},
		{Levels: []string{"male", "yes"}, N: 97},
		{Levels: []string{"female", "no"}, N: 4562},
		{Levels: []string{"female", "yes"}, N: 49},
	}, r.Cells)
	require.EqualValues(t, 9379, r.Total)
	require.InEpsilon(t, 14.44356119, r.ChiSquared.Statistic, 1e-9)
	require.Equal(t, 1, r.ChiSquared.DegreesOfFreedom)
}

func TestChiSquaredEqualsAgresti(t *testing.T) {
	t.Parallel()
	// Agresti (2007), p. 39, party by gender; R's example(chisq.test) prints
	// X-squared = 30.07, df = 2, p-value = 2.954e-07.
	counts := [][]int{{762, 327, 468}, {484, 239, 477}}
	var rows []analysis.Row
	for i, row := range counts {
		for j, n := range row {
			for range n {
				rows = append(rows, analysis.Row{Strata: []int{i, j}})
			}
		}
	}
	m := analysis.Count{By: []analysis.Stratifier{
		{Name: "gender", Levels: []string{"F", "M"}},
		{Name: "party", Levels: []string{"Democrat", "Independent", "Republican"}},
	}}
	r, err := m.Pool(summed(t, m, [][]analysis.Row{rows}), 1)
	require.NoError(t, err)
	require.InDelta(t, 30.07, r.ChiSquared.Statistic, 0.005)
	require.Equal(t, 2, r.ChiSquared.DegreesOfFreedom)
	require.InDelta(t, 2.954e-07, r.ChiSquared.P, 0.0005e-07)
}

func TestChiSquaredIsLeftOut(t *testing.T) {
	t.Parallel()
	two := analysis.Count{By: []analysis.Stratifier{gender, diabetes}}
	for name, c := range map[string]struct {
		m     analysis.Count
		words []uint64
	}{
		"a cell is withheld":  {two, []uint64{20, 0, 20, 0, 20, 0, 20, 1}},
		"a column is empty":   {two, []uint64{20, 0, 0, 0, 20, 0, 0, 0}},
		"nobody":              {two, make([]uint64, 8)},
		"one stratifier":      {analysis.Count{By: two.By[:1]}, []uint64{20, 0, 20, 0}},
		"one row":             {analysis.Count{By: []analysis.Stratifier{{Name: "a", Levels: []string{"x"}}, gender}}, []uint64{20, 0, 20, 0}},
		"without stratifiers": {analysis.Count{}, []uint64{20, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := c.m.Pool(c.words, 2)
			require.NoError(t, err)
			require.Nil(t, r.ChiSquared)
		})
	}
}

func TestCountIsTheSameForEverySplit(t *testing.T) {
	t.Parallel()
	m := analysis.Count{By: []analysis.Stratifier{gender, {Name: "arm", Levels: []string{"a", "b", "c"}}}}
	rapid.Check(t, func(t *rapid.T) {
		sites := make([][]analysis.Row, rapid.IntRange(2, 20).Draw(t, "sites"))
		want := make([]int64, 6)
		for range rapid.IntRange(0, 300).Draw(t, "persons") {
			g, a := rapid.IntRange(0, 1).Draw(t, "gender"), rapid.IntRange(0, 2).Draw(t, "arm")
			s := rapid.IntRange(0, len(sites)-1).Draw(t, "site")
			sites[s] = append(sites[s], analysis.Row{Strata: []int{g, a}})
			want[g*3+a]++
		}
		r, err := m.Pool(summed(t, m, sites), len(sites))
		require.NoError(t, err)
		for i, c := range r.Cells {
			require.Equal(t, want[i], c.N)
		}
	})
}

func TestWithheldCellsAreCounted(t *testing.T) {
	t.Parallel()
	m := analysis.Count{By: []analysis.Stratifier{gender}}
	sum := make([]uint64, m.Words())
	for site, small := range []bool{true, false, true} {
		table := analysis.Table{Cells: []analysis.Cell{{N: int64(20 + site)}, {N: int64(30 + site)}}}
		if small {
			table.Cells[0] = table.Cells[0].Withhold()
		}
		words, err := analysis.Encode(table)
		require.NoError(t, err)
		for i, w := range words {
			sum[i] += w
		}
	}
	r, err := m.Pool(sum, 3)
	require.NoError(t, err)
	text, err := json.Marshal(r)
	require.NoError(t, err)
	require.JSONEq(t, `{"sites":3,"total":114,"withheldCells":1,"cells":[
		{"levels":["male"],"n":21,"withheldBy":2},{"levels":["female"],"n":93,"withheldBy":0}]}`, string(text))
}

func TestCountRefusesRows(t *testing.T) {
	t.Parallel()
	m := analysis.Count{By: []analysis.Stratifier{gender}}
	for name, strata := range map[string][]int{
		"no stratum": nil, "two strata": {0, 0}, "unknown level": {2}, "negative level": {-1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := m.Tabulate(each([]analysis.Row{{Strata: []int{0}}, {Strata: strata}}))
			require.ErrorContains(t, err, "row 1")
		})
	}
}
