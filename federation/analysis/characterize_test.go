package analysis_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

type characterizeCase struct {
	File     string            `json:"file"`
	Declared []analysis.Column `json:"declared"`
	By       analysis.Column   `json:"by"`
	Sizes    []int64           `json:"sizes"`
	query.Characterization
}

func (c characterizeCase) least(t require.TestingT, least int64) analysis.Iteration {
	m, err := analysis.Characterize{Variables: c.Declared, Arm: &c.By, MinCell: least}.New()
	require.NoError(t, err)
	return m
}

func (c characterizeCase) method(t require.TestingT) analysis.Iteration { return c.least(t, 0) }

func TestCharacterizeIsTheOneOfR(t *testing.T) {
	t.Parallel()
	for _, c := range known[characterizeCase](t, "characterize.json") {
		m := c.least(t, 0)
		result, err := alone(t, m, tableRows(t, c.File, m.Columns()))
		require.NoError(t, err)
		c.equal(t, result)
	}
}

func (c characterizeCase) equal(t require.TestingT, result any) {
	got := result.(*query.Characterization)
	require.Equal(t, []any{c.Arm, c.N, c.Omitted}, []any{got.Arm, got.N, got.Omitted})
	for i, n := range c.Sizes {
		require.Equal(t, query.ArmSize{Level: c.By.Levels[i], N: n}, got.Arms[i])
	}
	require.Len(t, got.Variables, len(c.Variables))
	for i, w := range c.Variables {
		g := got.Variables[i]
		require.Equal(t, w.Name, g.Name)
		require.Equal(t, w.Levels, g.Levels)
		nearGroup(t, *w.All, *g.All)
		for k := range w.Arms {
			nearGroup(t, w.Arms[k], g.Arms[k])
		}
		near(t, w.Difference, g.Difference, 0, "difference of "+w.Name)
	}
}

func nearGroup(t require.TestingT, want, got query.VariateGroup) {
	near(t, want.Mean, got.Mean, 0, "mean")
	near(t, want.SD, got.SD, 0, "sd")
	got.Mean, got.SD = want.Mean, want.SD
	require.Equal(t, want, got)
}

// TestSplitMovesNoBitOfCharacterize: also with missing values and arms.
func TestSplitMovesNoBitOfCharacterize(t *testing.T) {
	t.Parallel()
	cases := slices.DeleteFunc(known[characterizeCase](t, "characterize.json"), func(c characterizeCase) bool { return strings.HasSuffix(c.File, ".gz") })
	var rows [][][]float64
	var whole []any
	for _, c := range cases {
		m := c.least(t, 5)
		table := tableRows(t, c.File, m.Columns())
		table[3][0], table[7][len(table[7])-1] = math.NaN(), math.NaN()
		result, err := alone(t, m, table)
		require.NoError(t, err)
		require.EqualValues(t, 1, *result.(*query.Characterization).Omitted)
		rows, whole = append(rows, table), append(whole, result)
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(cases)-1).Draw(t, "case")
		require.Equal(t, whole[i], dealt(t, cases[i].least(t, 5), rows[i]))
	})
}

func TestCharacterizeWithholds(t *testing.T) {
	t.Parallel()
	var rows [][]float64
	for i := range 60 {
		missing := float64(i) / 3
		if i < 4 {
			missing = math.NaN()
		}
		few, arm := 0.0, float64(i%2)
		if i > 52 {
			few = 1
		}
		rows = append(rows, []float64{float64(i), missing, few, arm, arm})
	}
	variables := []analysis.Column{
		{Name: "shown", Kind: analysis.Numeric, High: 100},
		{Name: "missing for four", Kind: analysis.Numeric, High: 100},
		{Name: "true for seven", Kind: analysis.Logical},
		{Name: "as the arm", Kind: analysis.Logical},
	}
	m, err := analysis.Characterize{Variables: variables, Arm: &analysis.Column{Name: "arm", Kind: analysis.Logical}, MinCell: 11}.New()
	require.NoError(t, err)
	result, err := alone(t, m, rows)
	require.NoError(t, err)
	got := result.(*query.Characterization).Variables
	require.False(t, got[0].Withheld)
	for _, q := range got[0].All.Quartiles {
		require.Nil(t, q.Value)
	}
	require.Equal(t, query.Variate{Name: "missing for four", Withheld: true}, got[1])
	require.Equal(t, query.Variate{Name: "true for seven", Levels: []string{"FALSE", "TRUE"}, Withheld: true}, got[2])
	require.Equal(t, []int64{0, 30}, got[3].Arms[1].Counts)
	require.Nil(t, got[3].Difference, "nothing to standardize by")
	_, err = alone(t, m, rows[:21])
	var no analysis.NoResult
	require.ErrorAs(t, err, &no, "an arm of ten")
}

func TestCharacterizeOfNobody(t *testing.T) {
	t.Parallel()
	for _, variables := range [][]analysis.Column{
		{{Name: "x", Kind: analysis.Numeric, High: 1}},
		{{Name: "l", Kind: analysis.Logical}},
	} {
		m, err := analysis.Characterize{Variables: variables}.New()
		require.NoError(t, err)
		result, err := alone(t, m, nil)
		require.NoError(t, err)
		require.Zero(t, result.(*query.Characterization).Variables[0].All.N)
	}
}

func TestCharacterizeRefuses(t *testing.T) {
	t.Parallel()
	x := analysis.Column{Name: "x", Kind: analysis.Numeric, High: 1}
	for want, m := range map[string]analysis.Characterize{
		"name a variable":      {},
		"must be a factor":     {Variables: []analysis.Column{x}, Arm: &x},
		"stands twice":         {Variables: []analysis.Column{x, x}},
		"must not be below 0":  {Variables: []analysis.Column{x}, MinCell: -1},
		"plausible range must": {Variables: []analysis.Column{{Name: "x", Kind: analysis.Numeric}}},
	} {
		_, err := m.New()
		require.ErrorContains(t, err, want)
	}
}
