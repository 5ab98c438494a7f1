package analysis_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// casesIn reads what R says, in a folder of testdata.
func casesIn[T any](t testing.TB, folder string) []T {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", folder, "cases.json"))
	require.NoError(t, err)
	var cases []T
	require.NoError(t, json.Unmarshal(raw, &cases))
	return cases
}

type pcaCase struct {
	File     string            `json:"file"`
	Scale    bool              `json:"scale"`
	Declared []analysis.Column `json:"declared"`
	query.PrincipalComponents
}

func (c pcaCase) method(t require.TestingT) analysis.Iteration {
	m, err := analysis.PCA{Values: c.Declared, Scale: c.Scale}.New()
	require.NoError(t, err)
	return m
}

func TestPCAIsTheOneOfR(t *testing.T) {
	t.Parallel()
	for _, c := range casesIn[pcaCase](t, "pca") {
		result, err := alone(t, c.method(t), tableRows(t, c.File, c.Declared))
		require.NoError(t, err)
		c.equal(t, result)
	}
}

func (c pcaCase) equal(t require.TestingT, result any) {
	got := result.(*query.PrincipalComponents)
	require.Equal(t, c.N, got.N)
	require.Len(t, got.Columns, len(c.Columns))
	for i, w := range c.Columns {
		require.Equal(t, w.Name, got.Columns[i].Name)
		near(t, &w.Center, &got.Columns[i].Center, 0, c.File+": center of "+w.Name)
		near(t, w.Scale, got.Columns[i].Scale, 0, c.File+": scale of "+w.Name)
	}
	require.Len(t, got.Components, len(c.Components))
	for i, w := range c.Components {
		g := got.Components[i]
		near(t, &w.SD, &g.SD, 0, c.File+": sd")
		near(t, &w.Proportion, &g.Proportion, 0, c.File+": proportion")
		near(t, &w.Cumulative, &g.Cumulative, 0, c.File+": cumulative")
		for j := range w.Loadings {
			near(t, &w.Loadings[j], &g.Loadings[j], 1, c.File+": loading")
		}
	}
}

func TestSplitMovesNoBitOfPCA(t *testing.T) {
	t.Parallel()
	cases := slices.DeleteFunc(casesIn[pcaCase](t, "pca"), func(c pcaCase) bool { return strings.HasSuffix(c.File, ".gz") })
	rapid.Check(t, func(rt *rapid.T) {
		c := rapid.SampledFrom(cases).Draw(rt, "case")
		rows := tableRows(t, c.File, c.Declared)
		rows[3][1] = math.NaN()
		whole, err := alone(rt, c.method(rt), rows)
		require.NoError(rt, err)
		require.Equal(rt, whole, dealt(rt, c.method(rt), rows))
	})
}

// TestPCAOfWhatDoesNotVary: constant and dependent columns make no component, and R too
// refuses to scale a constant.
func TestPCAOfWhatDoesNotVary(t *testing.T) {
	t.Parallel()
	var columns []analysis.Column
	for _, name := range []string{"x", "twice", "same"} {
		columns = append(columns, analysis.Column{Name: name, Kind: analysis.Numeric, Low: -10, High: 90})
	}
	rows := [][]float64{{1, 2, 0.1}, {2, 4, 0.1}, {4, 8, 0.1}, {3, 6, 0.1}}
	m, err := analysis.PCA{Values: columns}.New()
	require.NoError(t, err)
	result, err := alone(t, m, rows)
	require.NoError(t, err)
	got := result.(*query.PrincipalComponents)
	require.Len(t, got.Components, 1)
	require.InDeltaSlice(t, []float64{1 / math.Sqrt(5), 2 / math.Sqrt(5), 0}, got.Components[0].Loadings, 1e-12)
	require.InEpsilon(t, 1, got.Components[0].Cumulative, 1e-12)

	var no analysis.NoResult
	for _, few := range [][][]float64{nil, rows[:1]} {
		_, err = alone(t, m, few)
		require.ErrorAs(t, err, &no)
		require.ErrorContains(t, err, "fewer than two persons")
	}
	_, err = alone(t, m, [][]float64{rows[0], rows[0], rows[0]})
	require.ErrorAs(t, err, &no)
	require.ErrorContains(t, err, "no column varies")
	m, err = analysis.PCA{Values: columns, Scale: true}.New()
	require.NoError(t, err)
	_, err = alone(t, m, rows)
	require.ErrorAs(t, err, &no)
	require.ErrorContains(t, err, "constant column to unit variance: same")
}

func TestPCARefuses(t *testing.T) {
	t.Parallel()
	x := analysis.Column{Name: "x", Kind: analysis.Numeric, High: 1}
	for want, values := range map[string][]analysis.Column{
		"values: name two columns":          {x},
		"values: column l: it must be nume": {x, {Name: "l", Kind: analysis.Logical}},
		"values: frame: column x stands tw": {x, x},
	} {
		_, err := analysis.PCA{Values: values}.New()
		require.ErrorContains(t, err, want)
	}
}
