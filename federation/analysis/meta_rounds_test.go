package analysis_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

type metaRoundsCase struct {
	File    string                        `json:"file"`
	Formula string                        `json:"formula"`
	Family  query.Family                  `json:"family"`
	Term    string                        `json:"term"`
	Sites   []int                         `json:"sites"` // of each row
	Columns []analysis.Column             `json:"columns"`
	Answers map[string]query.MetaAnalysis `json:"answers"`
}

// question is the case's for an estimator, such as "DL adjusted".
func (c metaRoundsCase) question(t require.TestingT, estimator string) analysis.Meta {
	name, adjusted, _ := strings.Cut(estimator, " ")
	m := analysis.Meta{Between: analysis.Between(name), Adjust: adjusted != ""}
	if c.Formula == "" {
		m.Value, m.By = c.Columns[0], c.Columns[1]
		return m
	}
	f, err := formula.Parse(c.Formula)
	require.NoError(t, err)
	m.Model, m.Term = &analysis.GLM{Formula: f, Family: c.Family, Declared: c.Columns}, c.Term
	return m
}

func TestMetaInRoundsIsTheOneOfMetafor(t *testing.T) {
	t.Parallel()
	for _, c := range casesIn[metaRoundsCase](t, "meta") {
		require.Len(t, c.Answers, 7)
		rows := tableRows(t, c.File, c.Columns)
		frames := split(t, c.Columns, rows, slices.Max(c.Sites)+1, func(r int) int { return c.Sites[r] })
		for estimator, want := range c.Answers {
			if len(rows) > 100 && estimator != "" && estimator != "REML" {
				continue // many rows to fit in every round
			}
			m, err := c.question(t, estimator).New()
			require.NoError(t, err)
			outcome, err := analysis.Local(m, frames...)
			require.NoError(t, err)
			require.LessOrEqual(t, outcome.Rounds, 20)
			nearMeta(t, want, *outcome.Result.(*query.MetaAnalysis), c.File+", "+estimator)
		}
	}
}

func nearMeta(t require.TestingT, want, got query.MetaAnalysis, name string) {
	require.Equal(t, want.Sites, got.Sites, name)
	near(t, &want.Estimate, &got.Estimate, want.SE, name+": estimate")
	near(t, &want.SE, &got.SE, 0, name+": se")
	near(t, &want.Lower, &got.Lower, want.SE, name+": lower limit")
	near(t, &want.Upper, &got.Upper, want.SE, name+": upper limit")
	near(t, &want.Statistic, &got.Statistic, 1, name+": statistic")
	near(t, &want.P, &got.P, 1e-3, name+": p")
	near(t, &want.Heterogeneity.Tau2, &got.Heterogeneity.Tau2, want.SE*want.SE, name+": τ²")
	near(t, &want.Heterogeneity.I2, &got.Heterogeneity.I2, 1, name+": I²")
	near(t, &want.Heterogeneity.Q, &got.Heterogeneity.Q, 0, name+": Q")
	near(t, &want.Heterogeneity.P, &got.Heterogeneity.P, 1e-3, name+": p of Q")
}

// estimated is a case by one estimator.
type estimated struct {
	metaRoundsCase
	estimator string
}

func (c estimated) method(t require.TestingT) analysis.Iteration {
	m, err := c.question(t, c.estimator).New()
	require.NoError(t, err)
	return m
}

// declared ends in the site.
func (c estimated) declared() []analysis.Column {
	return append(slices.Clone(c.Columns), analysis.Column{Name: "site", Kind: analysis.Factor, Levels: siteNames})
}

func (c estimated) equal(t require.TestingT, result any) {
	nearMeta(t, c.Answers[c.estimator], *result.(*query.MetaAnalysis), c.estimator)
}

// TestMetaInRoundsIsThatOfTheEstimates: however rows are dealt, the answer is the one that
// the sites' own estimates give, in any order of the sites; those without one, because they
// are empty or have two rows, count for nothing.
func TestMetaInRoundsIsThatOfTheEstimates(t *testing.T) {
	t.Parallel()
	c := casesIn[metaRoundsCase](t, "meta")[1]
	rows := tableRows(t, c.File, c.Columns)
	for seed := range 24 {
		frames := someSplit(t, seed, c.Columns, rows)
		least := []int64{0, 4}[seed%2]
		question := c.question(t, []string{"", "DL adjusted", "PM"}[seed%3])
		question.MinRows = least
		m, err := question.New()
		require.NoError(t, err)
		one, err := question.Model.New()
		require.NoError(t, err)
		var effects []analysis.Effect
		for _, f := range frames {
			if f.Len() == 0 || int64(f.Len()) < least {
				continue
			}
			outcome, err := analysis.Local(one, f)
			require.NoError(t, err)
			k := outcome.Result.(*query.Regression).Coefficients[1]
			if k.SE != nil && outcome.Result.(*query.Regression).Converged {
				effects = append(effects, analysis.Effect{Estimate: *k.Estimate, SE: *k.SE})
			}
		}
		want, err := analysis.FixedEffect(effects)
		if question.Between != "" {
			want, err = analysis.RandomEffects(effects, question.Between, question.Adjust)
		}
		outcome, failed := analysis.Local(m, frames...)
		if err != nil {
			require.ErrorContains(t, failed, "sites have an estimate")
			continue
		}
		require.NoError(t, failed)
		got := outcome.Result.(*query.MetaAnalysis)
		require.Equal(t, want.Sites, got.Sites)
		near(t, &want.Estimate, &got.Estimate, want.SE, "estimate")
		near(t, &want.SE, &got.SE, 0, "se")
		near(t, &want.Heterogeneity.Tau2, &got.Heterogeneity.Tau2, want.SE*want.SE, "τ²")

		slices.Reverse(frames)
		turned, err := analysis.Local(m, frames...)
		require.NoError(t, err)
		require.Equal(t, got, turned.Result, "the order of sites moves no bit")
	}
}

// TestMetaInRoundsOfAnIntercept: a site that lacks the reference level has a mean of another one.
func TestMetaInRoundsOfAnIntercept(t *testing.T) {
	t.Parallel()
	c := casesIn[metaRoundsCase](t, "meta")[5]
	c.Term = "(Intercept)"
	rows := tableRows(t, c.File, c.Columns)
	m, err := c.question(t, "").New()
	require.NoError(t, err)
	outcome, err := analysis.Local(m, split(t, c.Columns, rows, 6, func(r int) int { return c.Sites[r] })...)
	require.NoError(t, err)
	require.Equal(t, 4, outcome.Result.(*query.MetaAnalysis).Sites, "but those without H and without L")
}

func TestMetaInRoundsHasNoResult(t *testing.T) {
	t.Parallel()
	c := casesIn[metaRoundsCase](t, "meta")[3]
	rows := tableRows(t, c.File, c.Columns)
	frames := split(t, c.Columns, rows, 4, func(r int) int { return 3 * c.Sites[r] / 2 }) // sites 0, 1, 3
	for want, change := range map[string]func(*analysis.Meta){
		"3 of 4 sites have an estimate, and 4 are": func(m *analysis.Meta) { m.MinSites = 4 },
		"0 of 4 sites have an estimate, and 1 are": func(m *analysis.Meta) { m.MinRows = 19 },
		"0 of 4 sites have an estimate, and 2 are": func(m *analysis.Meta) { m.MinRows, m.Between = 19, analysis.REML },
	} {
		question := c.question(t, "")
		change(&question)
		m, err := question.New()
		require.NoError(t, err)
		_, err = analysis.Local(m, frames...)
		var no analysis.NoResult
		require.ErrorAs(t, err, &no)
		require.ErrorContains(t, err, want)
	}
}

func TestMetaInRoundsRefuses(t *testing.T) {
	t.Parallel()
	cases := casesIn[metaRoundsCase](t, "meta")
	model, means := cases[0].question(t, ""), cases[3].question(t, "")
	for want, change := range map[string]func(model, means *analysis.Meta) *analysis.Meta{
		"minRows: 0 to":                func(m, _ *analysis.Meta) *analysis.Meta { m.MinRows = -1; return m },
		"minSites: 0 to 10000":         func(m, _ *analysis.Meta) *analysis.Meta { m.MinSites = 10_001; return m },
		"adjust: a fixed effect has":   func(m, _ *analysis.Meta) *analysis.Meta { m.Adjust = true; return m },
		"between: the estimator must":  func(m, _ *analysis.Meta) *analysis.Meta { m.Between = "EB"; return m },
		"term: the model has no coeff": func(m, _ *analysis.Meta) *analysis.Meta { m.Term = "x"; return m },
		"model: glm: family":           func(m, _ *analysis.Meta) *analysis.Meta { m.Model.Family = "x"; return m },
		"value: column wool: it must":  func(_, m *analysis.Meta) *analysis.Meta { m.Value = m.By; return m },
		"by: column breaks: it must":   func(_, m *analysis.Meta) *analysis.Meta { m.By = m.Value; return m },
		"by: the column wool must have": func(_, m *analysis.Meta) *analysis.Meta {
			m.By.Levels = []string{"A", "B", "C"}
			return m
		},
	} {
		model, means := model, means
		copied := *model.Model
		model.Model = &copied
		_, err := change(&model, &means).New()
		require.ErrorContains(t, err, want)
	}
}

// TestASiteRestsOnEnough: under limits a site has no estimate of its own if its model has
// fewer than ten rows a parameter, or three events, or rows without one; where there are
// no limits it has.
func TestASiteRestsOnEnough(t *testing.T) {
	t.Parallel()
	f, err := formula.Parse("ill ~ x")
	require.NoError(t, err)
	columns := []analysis.Column{{Name: "ill", Kind: analysis.Numeric, High: 1}, {Name: "x", Kind: analysis.Numeric, High: 100}}
	for name, c := range map[string]struct {
		rows, ill int
		family    query.Family
		want      bool
	}{
		"enough":                  {24, 12, query.Binomial, true},
		"few rows":                {19, 9, query.Binomial, false},
		"few are ill":             {24, 5, query.Binomial, false},
		"few are well":            {24, 19, query.Binomial, false},
		"few are counted":         {24, 5, query.Poisson, false},
		"all are counted":         {24, 24, query.Poisson, true},
		"nothing that is counted": {24, 5, query.Gaussian, true},
	} {
		frame := func(rows, ill int) *analysis.Frame {
			frame, err := analysis.NewFrame(columns)
			require.NoError(t, err)
			for i := range rows {
				row := []float64{0, float64((i*i + 3*i) % 17)}
				if i*ill/rows != (i+1)*ill/rows {
					row[0] = 1
				}
				require.NoError(t, frame.Append(row))
			}
			return frame
		}
		sites := []*analysis.Frame{frame(c.rows, c.ill), frame(60, 30), frame(60, 30)}
		question := analysis.Meta{Model: &analysis.GLM{Formula: f, Family: c.family, Declared: columns}, Term: "x"}
		for _, limits := range []bool{false, true} {
			if limits {
				question.MinRows, question.RowsPerParameter, question.EventsPerParameter = 5, 10, 3
			}
			m, err := question.New()
			require.NoError(t, err)
			outcome, err := analysis.Local(m, sites...)
			require.NoError(t, err, name)
			want := 3
			if limits && !c.want {
				want = 2
			}
			require.Equal(t, want, outcome.Result.(*query.MetaAnalysis).Sites, name)
		}
	}
}
