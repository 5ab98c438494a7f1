package analysis_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/formula"
)

// matrixColumns declare the table of testdata/matrix/matrix.R.
var matrixColumns = []analysis.Column{
	{Name: "a", Kind: analysis.Factor, Levels: []string{"p", "q", "r"}},
	{Name: "b", Kind: analysis.Factor, Levels: []string{"u", "v"}},
	{Name: "l", Kind: analysis.Logical},
	{Name: "x", Kind: analysis.Numeric, Low: 1, High: 10},
	{Name: "z", Kind: analysis.Numeric, Low: 0.5, High: 10},
}

var matrixRows = [][]float64{
	{0, 0, 1, 1.5, 4},
	{1, 0, 0, 2, 1},
	{2, 1, 1, 3.25, 3},
	{0, 1, 1, 4, 2},
	{1, 0, 0, 5, 8},
	{2, 0, 0, 6.5, 5},
	{0, 1, 1, 7, 7},
	{1, 1, 0, 8, 6},
}

func TestMatrixIsModelMatrixOfR(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("testdata", "matrix", "cases.json"))
	require.NoError(t, err)
	var cases []struct {
		Formula   string      `json:"formula"`
		Terms     []string    `json:"terms"`
		Intercept bool        `json:"intercept"`
		Names     []string    `json:"names"`
		Rows      [][]float64 `json:"rows"`
	}
	require.NoError(t, json.Unmarshal(raw, &cases))
	frame := split(t, matrixColumns, matrixRows, 1, func(int) int { return 0 })[0]
	for _, c := range cases {
		t.Run(c.Formula, func(t *testing.T) {
			t.Parallel()
			f, err := formula.Parse(c.Formula)
			require.NoError(t, err)
			terms := []string{}
			for _, term := range f.Terms {
				terms = append(terms, term.String())
			}
			require.Equal(t, c.Terms, terms)
			require.Equal(t, c.Intercept, f.Intercept)
			m, err := analysis.NewMatrix(f, matrixColumns)
			require.NoError(t, err)
			require.Equal(t, c.Names, m.Names)
			read, err := m.Reader(frame)
			require.NoError(t, err)
			got := make([]float64, m.Width())
			for i, want := range c.Rows {
				read(i, got)
				require.InDeltaSlice(t, want, got, 1e-12*want[len(want)-1]+1e-12)
				for j, v := range got {
					low, high := m.Bounds(j)
					require.LessOrEqual(t, low, v)
					require.GreaterOrEqual(t, high, v)
				}
			}
		})
	}
}

func TestMatrixRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"y ~ nosuch":    "the formula names the column nosuch, which is not declared",
		"y ~ log(a)":    "log(a): the column is not numeric",
		"y ~ factor(x)": "factor(x): declare the column as a factor with its levels",
		"y ~ log(w)":    "log(w) is not finite in all of the plausible range of the column: narrow the range",
	} {
		f, err := formula.Parse(text)
		require.NoError(t, err)
		_, err = analysis.NewMatrix(f, append(matrixColumns[:len(matrixColumns):len(matrixColumns)],
			analysis.Column{Name: "w", Kind: analysis.Numeric, Low: 0, High: 1}))
		require.EqualError(t, err, want)
	}
	f, err := formula.Parse("y ~ a*b*l*x*z*I(x^2)*I(x^3)")
	require.NoError(t, err)
	_, err = analysis.NewMatrix(f, matrixColumns)
	require.ErrorContains(t, err, "more than 150 columns")
}
