package analysis_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// levelsCase is a model of factors with levels that nobody has; see testdata/levels/levels.R.
type levelsCase struct {
	Kind         query.AnalysisKind  `json:"kind"`
	Formula      string              `json:"formula"`
	Family       query.Family        `json:"family"`
	Coefficients []query.Coefficient `json:"coefficients"`
}

// levelsColumns are those of levels.csv with the levels that levels.R declares.
var levelsColumns = []analysis.Column{
	{Name: "breaks", Kind: analysis.Numeric, High: 100},
	{Name: "wool", Kind: analysis.Factor, Levels: []string{"A", "C", "B"}},
	{Name: "tension", Kind: analysis.Factor, Levels: []string{"none", "L", "M", "H", "spare"}},
	{Name: "x", Kind: analysis.Numeric, High: 20},
	{Name: "event", Kind: analysis.Logical},
	{Name: "case", Kind: analysis.Logical},
	{Name: "set", Kind: analysis.Numeric, High: 10},
	{Name: "grade", Kind: analysis.Factor, Levels: []string{"never", "low", "fair", "high"}},
}

func (c levelsCase) method(t require.TestingT) analysis.Iteration {
	f, err := formula.Parse(c.Formula)
	require.NoError(t, err)
	var m analysis.Iteration
	switch c.Kind {
	case query.GLM:
		m, err = analysis.GLM{Formula: f, Family: c.Family, Declared: levelsColumns}.New()
	case query.NegBin:
		m, err = analysis.NegativeBinomial{Formula: f, Declared: levelsColumns}.New()
	case query.MixedModel:
		m, err = analysis.Mixed{Formula: f, Declared: levelsColumns}.New()
	case query.Cox:
		m, err = analysis.Cox{Formula: f, Grid: days(100), Declared: levelsColumns}.New()
	case query.ConditionalLogistic:
		m, err = analysis.ConditionalLogistic{Formula: f, Declared: levelsColumns}.New()
	}
	require.NoError(t, err)
	require.NotNil(t, m, c.Kind)
	return m
}

func coefficientsOf(t require.TestingT, result any) []query.Coefficient {
	switch r := result.(type) {
	case *query.Regression:
		return r.Coefficients
	case *query.NegativeBinomial:
		return r.Coefficients
	case *query.Mixed:
		return r.Coefficients
	case *query.Hazards:
		return r.Coefficients
	case *query.Conditional:
		return r.Coefficients
	}
	require.Fail(t, "no coefficients", "%T", result)
	return nil
}

// TestLevelsThatNobodyHasAreThoseOfR: they have no coefficient, and the first that somebody has is
// the reference; also if the site that has it is one of several.
func TestLevelsThatNobodyHasAreThoseOfR(t *testing.T) {
	t.Parallel()
	for _, c := range casesIn[levelsCase](t, "levels") {
		rows := tableRows(t, "levels/levels.csv", levelsColumns)
		frames := split(t, levelsColumns, rows, 5, func(row int) int { return int(rows[row][6]) })
		outcome, err := analysis.Local(c.method(t), frames...)
		require.NoError(t, err, c.Formula)
		got := coefficientsOf(t, outcome.Result)
		require.Len(t, got, len(c.Coefficients), c.Formula)
		for i, want := range c.Coefficients {
			require.Equal(t, want.Name, got[i].Name, c.Formula)
			near(t, want.Estimate, got[i].Estimate, *want.SE, c.Formula+": "+want.Name)
			near(t, want.SE, got[i].SE, 0, c.Formula+": error of "+want.Name)
		}
	}
}

// spare declares levels that nobody has around those of each factor.
func spare(columns []analysis.Column) []analysis.Column {
	columns = slices.Clone(columns)
	for i, c := range columns {
		if c.Kind == analysis.Factor {
			levels := slices.Concat([]string{"nobody"}, c.Levels[:1], []string{"no one"}, c.Levels[1:], []string{"none of all"})
			columns[i].Levels = levels
		}
	}
	return columns
}

// TestSpareLevelsMoveNothing: what R says of the tables of testdata is the answer also if more
// levels are declared than somebody has.
func TestSpareLevelsMoveNothing(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, file string, columns []analysis.Column, plain, wide oracle) {
		t.Helper()
		rows, more := tableRows(t, file, columns), spare(columns)
		if len(rows) > 500 || !slices.ContainsFunc(columns, func(c analysis.Column) bool { return c.Kind == analysis.Factor }) {
			return
		}
		whole := func(int) int { return 0 }
		want, err := analysis.Local(plain.method(t), split(t, columns, rows, 1, whole)...)
		require.NoError(t, err)
		got, err := analysis.Local(wide.method(t), split(t, more, tableRows(t, file, more), 1, whole)...)
		require.NoError(t, err)
		require.Equal(t, want.Result, got.Result)
		switch c := plain.(type) {
		case glmCase, negBinCase: // the first sums are those of the columns that are left
			if g, ok := c.(glmCase); !ok || g.Name != "mtcars collinear" { // in which two columns are cyl4
				require.Equal(t, want.Rounds, got.Rounds)
			}
		}
		wide.equal(t, got.Result)
	}
	for _, c := range glmCases(t) {
		t.Run("glm "+c.Name, func(t *testing.T) {
			wide := c
			wide.Columns = spare(c.Columns)
			check(t, "glm/"+c.File, c.Columns, c, wide)
		})
	}
	for _, c := range negBinCases(t) {
		t.Run("negative binomial "+c.Name, func(t *testing.T) {
			wide := c
			wide.Columns = spare(c.Columns)
			check(t, "negbin/"+c.File, c.Columns, c, wide)
		})
	}
	for _, c := range conditionalCases(t) {
		t.Run("conditional "+c.Name, func(t *testing.T) {
			wide := c
			wide.Columns = spare(c.Columns)
			check(t, "conditional/"+c.File, c.Columns, c, wide)
		})
	}
	for _, c := range casesIn[survivalCase](t, "survival") {
		if c.Kind == "cox" {
			t.Run("cox "+c.Name, func(t *testing.T) {
				wide := c
				wide.Columns = spare(c.Columns)
				check(t, "survival/"+c.File, c.Columns, c, wide)
			})
		}
	}
}

// spared are the rows of columns as rows of spare columns.
func spared(columns []analysis.Column, rows [][]float64) [][]float64 {
	out := make([][]float64, len(rows))
	for i, row := range rows {
		out[i] = slices.Clone(row)
		for k, c := range columns {
			switch {
			case c.Kind != analysis.Factor:
			case row[k] == 0:
				out[i][k] = 1
			default:
				out[i][k] += 2
			}
		}
	}
	return out
}

// sexedTimes are the rows of lung with sex as a factor.
func sexedTimes(t *testing.T) [][]float64 {
	t.Helper()
	rows := lungTimes(t)
	for _, row := range rows {
		row[3]--
	}
	return rows
}

// sexed are the columns of lung with sex as a factor.
func sexed(columns []analysis.Column) []analysis.Column {
	columns = slices.Clone(columns)
	for i, c := range columns {
		if c.Name == "sex" {
			columns[i] = analysis.Column{Name: "sex", Kind: analysis.Factor, Levels: []string{"1", "2"}}
		}
	}
	return columns
}

// TestSpareLevelsMoveNothingBeyondModels: nor do they in what is made of several models, or of those
// of sites.
func TestSpareLevelsMoveNothingBeyondModels(t *testing.T) {
	t.Parallel()
	sexes := sexedTimes(t)
	site := func(row int) int { return int(sexes[row][4]) }
	turns := func(row int) int { return row % 3 }
	for name, c := range map[string]struct {
		rows    [][]float64
		columns []analysis.Column
		site    func(row int) int
		of      func(columns []analysis.Column) (analysis.Iteration, error)
	}{
		"propensity": {tableRows(t, "propensity/birthwt.csv", birthwt), birthwt, turns, func(columns []analysis.Column) (analysis.Iteration, error) {
			question := casesIn[propensityCase](t, "propensity")[0].question(t)
			question.Treatment.Terms = append(question.Treatment.Terms, formula.Term{{Function: formula.Factor, Columns: []string{"race"}}})
			question.Declared = columns
			return question.New()
		}},
		"comparison": {tableRows(t, "comparison/rotterdam.csv", rotterdam), rotterdam, turns, func(columns []analysis.Column) (analysis.Iteration, error) {
			question := casesIn[comparisonCase](t, "comparison")[0].question(t)
			question.Declared = columns
			return question.New()
		}},
		"prediction": {tableRows(t, "propensity/birthwt.csv", birthwt), birthwt, turns, func(columns []analysis.Column) (analysis.Iteration, error) {
			return analysis.Prediction{Formula: parsed(t, "low ~ lwt + race + smoke"), Share: 0.6, Groups: 5, Declared: columns}.New()
		}},
		"one shot": {sexes, sexed(lungTimesBySite), site, func(columns []analysis.Column) (analysis.Iteration, error) {
			question := casesIn[oneShotCase](t, "oneshot")[0].question(t)
			question.Declared, question.Sites, question.Lead = columns[:4], analysis.Column{}, ""
			return question.New()
		}},
		"one shot of hazards": {sexes, sexed(lungTimesBySite), site, func(columns []analysis.Column) (analysis.Iteration, error) {
			question := casesIn[oneShotHazardsCase](t, "odac")[0].question(t)
			question.Declared = columns[:4]
			return question.New()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			more := spare(c.columns)
			plain, err := c.of(c.columns)
			require.NoError(t, err)
			want, err := analysis.Local(plain, split(t, c.columns, c.rows, 3, c.site)...)
			require.NoError(t, err)
			other, err := c.of(more)
			require.NoError(t, err)
			got, err := analysis.Local(other, split(t, more, spared(c.columns, c.rows), 3, c.site)...)
			require.NoError(t, err)
			require.Equal(t, want.Result, got.Result)
			require.Equal(t, want.Rounds+1, got.Rounds)
		})
	}
}

// TestASiteWithoutTheReferenceHasNoOwnEstimate: its fit would be of other contrasts, so that one-shot
// methods start from the estimates of the others.
func TestASiteWithoutTheReferenceHasNoOwnEstimate(t *testing.T) {
	t.Parallel()
	columns := sexed(lungTimesBySite)
	f, err := formula.Parse("died ~ age + sex")
	require.NoError(t, err)
	oneShot, err := analysis.OneShot{Formula: f, Declared: columns}.New()
	require.NoError(t, err)
	question := casesIn[oneShotHazardsCase](t, "odac")[0].question(t)
	question.Declared = columns
	hazards, err := question.New()
	require.NoError(t, err)
	rows := sexedTimes(t)
	for _, lacked := range []float64{0, 1} {
		frames := split(t, columns, rows, 3, func(row int) int {
			if rows[row][3] == lacked {
				return row % 2
			}
			return int(rows[row][4])
		})
		outcome, err := analysis.Local(oneShot, frames...)
		require.NoError(t, err)
		require.EqualValues(t, 2, outcome.Result.(*query.OneShot).Sites)
		outcome, err = analysis.Local(hazards, frames...)
		require.NoError(t, err)
		require.EqualValues(t, 2, outcome.Result.(*query.OneShotHazards).Sites)
	}
}

// TestSplitMovesNoBitOfLevels: which level is the reference does not depend on which site has it.
func TestSplitMovesNoBitOfLevels(t *testing.T) {
	t.Parallel()
	c := casesIn[levelsCase](t, "levels")[1]
	rows := tableRows(t, "levels/levels.csv", levelsColumns)
	whole, err := analysis.Local(c.method(t), split(t, levelsColumns, rows, 1, func(int) int { return 0 })...)
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		sites := rapid.IntRange(2, 20).Draw(t, "sites")
		deal := rapid.SliceOfN(rapid.IntRange(0, sites-1), len(rows), len(rows)).Draw(t, "deal")
		outcome, err := analysis.Local(c.method(t), split(t, levelsColumns, rows, sites, func(row int) int { return deal[row] })...)
		require.NoError(t, err)
		require.Equal(t, whole, outcome)
	})
}

// TestAFactorOfOneLevelHasNoContrasts: R stops, whatever levels were declared.
func TestAFactorOfOneLevelHasNoContrasts(t *testing.T) {
	t.Parallel()
	rows := slices.DeleteFunc(tableRows(t, "levels/levels.csv", levelsColumns), func(row []float64) bool { return row[2] == 2 })
	frames := split(t, levelsColumns, rows, 3, func(row int) int { return row % 3 })
	for _, c := range casesIn[levelsCase](t, "levels") {
		m := c.method(t)
		if !slices.ContainsFunc(m.Columns(), func(c analysis.Column) bool { return c.Name == "tension" }) {
			continue
		}
		_, err := analysis.Local(m, frames...)
		var no analysis.NoResult
		require.ErrorAs(t, err, &no, c.Formula)
		require.ErrorContains(t, err, "only to factors with 2 or more levels: nobody has another of the column tension")
	}
}

// TestNobodyHasNoLevels: without rows there is no result, as without factors.
func TestNobodyHasNoLevels(t *testing.T) {
	t.Parallel()
	c := casesIn[levelsCase](t, "levels")[0]
	_, err := analysis.Local(c.method(t), split(t, levelsColumns, nil, 3, nil)...)
	require.ErrorContains(t, err, "there is nobody without a missing value")
}

// TestLevelsOfAStateAreThoseOfTheRows: a site does not answer a state that says that nobody has a
// level that it has.
func TestLevelsOfAStateAreThoseOfTheRows(t *testing.T) {
	t.Parallel()
	c := casesIn[levelsCase](t, "levels")[0]
	m, rows := c.method(t), tableRows(t, "levels/levels.csv", levelsColumns)
	frame := split(t, levelsColumns, rows, 1, func(int) int { return 0 })[0]
	for _, levels := range []string{`[["M","spare"]]`, `[["M","H"],["A"]]`} {
		_, err := m.Site(analysis.State(`{"levels":`+levels+`,"state":{"fits":-1}}`), frame)
		require.ErrorContains(t, err, "state")
	}
	_, err := m.Site(analysis.State(`{"levels":[["M","H"]],"state":{"fits":-1}}`), frame)
	require.NoError(t, err)
}
