package analysis_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

type predictionCase struct {
	File     string            `json:"file"`
	Formula  string            `json:"formula"`
	Wanted   int               `json:"wanted"` // groups
	Declared []analysis.Column `json:"declared"`
	query.Prediction
}

func (c predictionCase) question(t require.TestingT) analysis.Prediction {
	f, err := formula.Parse(c.Formula)
	require.NoError(t, err)
	return analysis.Prediction{Formula: f, Train: "train", Groups: c.Wanted, Declared: c.Declared}
}

func (c predictionCase) with(t require.TestingT, change func(*analysis.Prediction)) analysis.Iteration {
	question := c.question(t)
	change(&question)
	m, err := question.New()
	require.NoError(t, err)
	return m
}

func asItIs(*analysis.Prediction) {}

func (c predictionCase) method(t require.TestingT) analysis.Iteration { return c.with(t, asItIs) }

func TestPredictionIsTheOneOfR(t *testing.T) {
	t.Parallel()
	for _, c := range casesIn[predictionCase](t, "prediction") {
		m := c.method(t)
		outcome, err := analysis.Local(m, split(t, m.Columns(), tableRows(t, c.File, m.Columns()), 3, func(r int) int { return r % 3 })...)
		require.NoError(t, err)
		require.LessOrEqual(t, outcome.Rounds, 25)
		c.equal(t, outcome.Result)
	}
}

func (c predictionCase) equal(t require.TestingT, result any) {
	got := result.(*query.Prediction)
	nearEstimates(t, c.Model.Coefficients, got.Model.Coefficients)
	require.Equal(t, []int64{c.N, c.Cases}, []int64{got.N, got.Cases})
	near(t, c.AUC.Value, got.AUC.Value, 0, "area")
	near(t, &c.Brier, &got.Brier, 0, "Brier score")
	near(t, &c.MeanRisk, &got.MeanRisk, 0, "mean risk")
	near(t, c.Intercept.Estimate, got.Intercept.Estimate, *c.Intercept.SE, "intercept")
	near(t, c.Intercept.SE, got.Intercept.SE, 0, "se of the intercept")
	near(t, c.Slope.Estimate, got.Slope.Estimate, 0, "slope")
	near(t, c.Slope.SE, got.Slope.SE, 0, "se of the slope")
	require.Len(t, got.Groups, len(c.Groups))
	for i, w := range c.Groups {
		g := got.Groups[i]
		require.Equal(t, []int64{w.N, w.Events}, []int64{g.N, g.Events})
		near(t, &w.Expected, &g.Expected, 0, "expected events")
		if i > 0 {
			near(t, &w.Low, &g.Low, 0, "lower end of a group")
		}
	}
}

func TestSplitMovesNoBitOfPrediction(t *testing.T) {
	t.Parallel()
	c := casesIn[predictionCase](t, "prediction")[1]
	for seed := range 4 {
		m := c.with(t, func(m *analysis.Prediction) {
			if seed%2 == 1 {
				m.Train, m.Share, m.Seed, m.MinCell = "", 0.5, 7, 5
			}
		})
		rows := tableRows(t, c.File, m.Columns())
		rows[3][1] = math.NaN()
		whole, err := alone(t, m, rows)
		require.NoError(t, err)
		outcome, err := analysis.Local(m, someSplit(t, seed, m.Columns(), rows)...)
		require.NoError(t, err)
		require.Equal(t, whole, outcome.Result)
	}
}

// TestPredictionTellsNoFewPersons: with a least cell the area is a range around the exact
// one, and groups have as many persons with the event and without, or none.
func TestPredictionTellsNoFewPersons(t *testing.T) {
	t.Parallel()
	const least = 5
	for _, c := range casesIn[predictionCase](t, "prediction") {
		m := c.with(t, func(m *analysis.Prediction) { m.MinCell = least })
		result, err := alone(t, m, tableRows(t, c.File, m.Columns()))
		require.NoError(t, err)
		got := result.(*query.Prediction)
		if got.AUC.Value != nil {
			near(t, c.AUC.Value, got.AUC.Value, 0, "area")
		} else {
			require.LessOrEqual(t, *got.AUC.Low, *c.AUC.Value)
			require.GreaterOrEqual(t, *got.AUC.High, *c.AUC.Value)
			require.Less(t, *got.AUC.High-*got.AUC.Low, 0.1)
		}
		n, events := int64(0), int64(0)
		for i, g := range got.Groups {
			for _, cell := range []int64{g.Events, g.N - g.Events} {
				require.True(t, cell == 0 || cell >= least)
			}
			n, events = n+g.N, events+g.Events
			if i > 0 {
				require.Equal(t, got.Groups[i-1].High, g.Low)
			}
		}
		require.Equal(t, []int64{c.N, c.Cases}, []int64{n, events})
	}
}

// TestPredictionByHash: about as many rows as wanted train, others with another seed.
func TestPredictionByHash(t *testing.T) {
	t.Parallel()
	c := casesIn[predictionCase](t, "prediction")[0]
	var cases []int64
	for _, seed := range []uint64{1, 2, 3} {
		m := c.with(t, func(m *analysis.Prediction) { m.Train, m.Share, m.Seed = "", 0.7, seed })
		require.NotContains(t, columnNames(m.Columns()), "train")
		result, err := alone(t, m, tableRows(t, c.File, m.Columns()))
		require.NoError(t, err)
		got := result.(*query.Prediction)
		require.EqualValues(t, 200, got.N+got.Model.N)
		require.InDelta(t, 140, got.Model.N, 30)
		cases = append(cases, got.Cases*1000+got.N)
	}
	require.NotEqual(t, cases[0], cases[1])
}

func columnNames(columns []analysis.Column) []string {
	var names []string
	for _, c := range columns {
		names = append(names, c.Name)
	}
	return names
}

func TestPredictionHasNoResult(t *testing.T) {
	t.Parallel()
	c := casesIn[predictionCase](t, "prediction")[2]
	for want, keep := range map[string]func(row []float64) bool{
		"the model of the event: there is nobody without": func(r []float64) bool { return r[3] == 0 },
		"1 or more are needed with the event and without": func(r []float64) bool { return r[3] == 1 || r[0] == 0 },
	} {
		m := c.with(t, asItIs)
		require.Equal(t, []string{"low", "smoke", "ht", "train"}, columnNames(m.Columns()))
		rows := slices.DeleteFunc(tableRows(t, c.File, m.Columns()), func(r []float64) bool { return !keep(r) })
		_, err := alone(t, m, rows)
		var no analysis.NoResult
		require.ErrorAs(t, err, &no)
		require.ErrorContains(t, err, want)
	}
}

// TestPredictionOfEqualRisks: a model of an intercept tells nobody apart, and has no slope.
func TestPredictionOfEqualRisks(t *testing.T) {
	t.Parallel()
	c := casesIn[predictionCase](t, "prediction")[2]
	c.Formula = "low ~ 1"
	m := c.with(t, asItIs)
	result, err := alone(t, m, tableRows(t, c.File, m.Columns()))
	require.NoError(t, err)
	got := result.(*query.Prediction)
	require.InDelta(t, 0.5, *got.AUC.Value, 1e-15)
	require.Nil(t, got.Slope)
	require.NotNil(t, got.Intercept)
	require.Len(t, got.Groups, 1)
}

func TestPredictionRefuses(t *testing.T) {
	t.Parallel()
	c := casesIn[predictionCase](t, "prediction")[1]
	for want, change := range map[string]func(m *analysis.Prediction){
		"formula: the response of famil": func(m *analysis.Prediction) { m.Formula, _ = formula.Parse("I(lwt^2) ~ age") },
		"train: name a logical column":   func(m *analysis.Prediction) { m.Train = "race" },
		"train: the formula must not":    func(m *analysis.Prediction) { m.Train = "smoke" },
		"share: the column of train":     func(m *analysis.Prediction) { m.Share = 0.5 },
		"share: must be from 0.1 to 0.9": func(m *analysis.Prediction) { m.Train = "" },
		"groups: 2 to 20":                func(m *analysis.Prediction) { m.Groups = 1 },
		"minCell: must not be":           func(m *analysis.Prediction) { m.MinCell = -1 },
	} {
		question := c.question(t)
		change(&question)
		_, err := question.New()
		require.ErrorContains(t, err, want)
	}
}
