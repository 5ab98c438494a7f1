package analysis_test

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// glmCase is a model with what R says of it; see testdata/glm/glm.R.
type glmCase struct {
	Name    string            `json:"name"`
	File    string            `json:"file"`
	Weights string            `json:"weights"`
	Columns []analysis.Column `json:"columns"`
	query.Regression
}

func glmCases(t testing.TB) []glmCase {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "glm", "cases.json"))
	require.NoError(t, err)
	var cases []glmCase
	require.NoError(t, json.Unmarshal(raw, &cases))
	return cases
}

func (c glmCase) method(t require.TestingT) analysis.Iteration {
	f, err := formula.Parse(c.Formula)
	require.NoError(t, err)
	m, err := analysis.GLM{Formula: f, Family: c.Family, Link: c.Link, Weights: c.Weights, Declared: c.Columns}.New()
	require.NoError(t, err)
	return m
}

// tableRows reads a table of testdata as rows of the columns; an empty field is missing.
func tableRows(t testing.TB, file string, columns []analysis.Column) [][]float64 {
	t.Helper()
	return fileRows(t, filepath.Join("testdata", file), columns)
}

func fileRows(t testing.TB, file string, columns []analysis.Column) [][]float64 {
	t.Helper()
	opened, err := os.Open(file)
	require.NoError(t, err)
	defer opened.Close()
	var r io.Reader = opened
	if strings.HasSuffix(file, ".gz") {
		r, err = gzip.NewReader(opened)
		require.NoError(t, err)
	}
	lines, err := csv.NewReader(r).ReadAll()
	require.NoError(t, err)
	var rows [][]float64
	for _, line := range lines[1:] {
		row := make([]float64, len(columns))
		for i, c := range columns {
			field := line[slices.Index(lines[0], c.Name)]
			switch {
			case field == "":
				row[i] = math.NaN()
			case c.Kind == analysis.Factor:
				row[i] = float64(slices.Index(c.Levels, field))
			default:
				row[i], err = strconv.ParseFloat(field, 64)
				require.NoError(t, err)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// split deals rows to sites; site says to which.
func split(t require.TestingT, columns []analysis.Column, rows [][]float64, sites int, site func(row int) int) []*analysis.Frame {
	frames := make([]*analysis.Frame, sites)
	for i := range frames {
		var err error
		frames[i], err = analysis.NewFrame(columns)
		require.NoError(t, err)
	}
	for i, row := range rows {
		require.NoError(t, frames[site(i)].Append(row))
	}
	return frames
}

// near compares with a number of R, nil for R's NA, NaN and Inf, to 1e-8 of it, or of a
// scale beside which a difference means nothing.
func near(t require.TestingT, want, got *float64, scale float64, of string) {
	if want == nil {
		require.Nil(t, got, of)
		return
	}
	require.NotNil(t, got, of)
	require.LessOrEqual(t, math.Abs(*got-*want), 1e-8*max(math.Abs(*want), scale), "%s: R has %g, got %g", of, *want, *got)
}

// TestGLMIsTheOneOfR: all of it in one place.
func TestGLMIsTheOneOfR(t *testing.T) {
	t.Parallel()
	for _, c := range glmCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			rows := tableRows(t, filepath.Join("glm", c.File), c.Columns)
			outcome, err := analysis.Local(c.method(t), split(t, c.Columns, rows, 1, func(int) int { return 0 })...)
			require.NoError(t, err)
			c.equal(t, outcome.Result)
		})
	}
}

// TestSplitMovesNoBit: however the rows lie in sites, among them empty ones and such of
// one person or without a level of a factor, the answer is the same.
func TestSplitMovesNoBit(t *testing.T) {
	t.Parallel()
	cases := slices.DeleteFunc(glmCases(t), func(c glmCase) bool { return c.N > 100 }) // too many rows to repeat
	whole := make([]any, len(cases))
	rows := make([][][]float64, len(cases))
	for i, c := range cases {
		rows[i] = tableRows(t, filepath.Join("glm", c.File), c.Columns)
		outcome, err := analysis.Local(c.method(t), split(t, c.Columns, rows[i], 1, func(int) int { return 0 })...)
		require.NoError(t, err)
		whole[i] = outcome.Result
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(cases)-1).Draw(t, "case")
		sites := rapid.IntRange(2, 20).Draw(t, "sites")
		deal := rapid.SliceOfN(rapid.IntRange(0, sites-1), len(rows[i]), len(rows[i])).Draw(t, "deal")
		outcome, err := analysis.Local(cases[i].method(t), split(t, cases[i].Columns, rows[i], sites, func(r int) int { return deal[r] })...)
		require.NoError(t, err)
		require.Equal(t, whole[i], outcome.Result)
	})
}

// equal compares with R. Where coefficients run away, which glm does not tell and we do, steps are
// of weights that are rounding errors, and R may take another number of them: then what is finite
// is the same, and where nothing is left to fit the deviance is none beside that without terms.
func (c glmCase) equal(t require.TestingT, result any) {
	want, got := c, result.(*query.Regression)
	require.Equal(t, want.N, got.N)
	require.Equal(t, want.Omitted, got.Omitted)
	away := runaways(got.Warnings)
	same := want.Iterations == got.Iterations && want.Converged == got.Converged
	perfect := len(away) > 0 && (max(want.Deviance, got.Deviance) < 1e-6*want.NullDeviance || !want.Converged && !same)
	if len(away) == 0 {
		require.Equal(t, want.Iterations, got.Iterations)
		require.Equal(t, want.Converged, got.Converged)
	}
	if !perfect {
		require.Equal(t, want.DF, got.DF)
		require.ElementsMatch(t, want.Warnings, slices.DeleteFunc(slices.Clone(got.Warnings), func(w string) bool { return len(runaways([]string{w})) > 0 }))
		near(t, &want.Deviance, &got.Deviance, 1e-3*want.NullDeviance, "deviance")
	}
	require.Equal(t, want.NullDF, got.NullDF)
	near(t, &want.NullDeviance, &got.NullDeviance, 1e-6, "null deviance")
	if want.DF > 0 && !perfect { // else R's are of rounding errors
		near(t, want.AIC, got.AIC, 0, "AIC")
		near(t, want.Dispersion, got.Dispersion, 0, "dispersion")
	}
	require.Len(t, got.Coefficients, len(want.Coefficients))
	for i, w := range want.Coefficients {
		g := got.Coefficients[i]
		require.Equal(t, w.Name, g.Name)
		switch {
		case perfect, slices.Contains(away, w.Name) && !same: // nothing of it is of the data
		case w.Estimate == nil || w.SE == nil:
			near(t, w.Estimate, g.Estimate, 1e-3, w.Name)
			require.Nil(t, g.SE)
		case slices.Contains(away, w.Name):
			near(t, w.Estimate, g.Estimate, *w.SE, w.Name)
			require.InEpsilon(t, *w.SE, *g.SE, 1e-3)
		default:
			near(t, w.Estimate, g.Estimate, *w.SE, w.Name)
			near(t, w.SE, g.SE, 0, "se of "+w.Name)
			near(t, w.Statistic, g.Statistic, 1e-3, "statistic of "+w.Name)
			near(t, w.P, g.P, 1e-9, "p of "+w.Name)
		}
	}
}

// runaways are the names in warnings of coefficients that may be infinite.
func runaways(warnings []string) []string {
	for _, w := range warnings {
		if _, list, found := strings.Cut(w, "before variable "); found {
			list, _, _ = strings.Cut(list, ";")
			return strings.Split(list, ",")
		}
	}
	return nil
}
