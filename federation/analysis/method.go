package analysis

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Method is an analysis by one table: what a site does, and how long its words are.
// Pooling gives each method's own result type and is not part of it.
type Method interface {
	Words() int
	Tabulate(rows Rows) (Table, error)
}

// For returns the method of a question that is answered by a table: a [Count], an
// [Attrition] or a [Moments]. Node and hub both use it, so that they agree on the layout of
// the words.
func For(r query.Request) (Method, error) {
	a := r.Analysis
	if err := a.Validate(); err != nil {
		return nil, err
	}
	axes, err := r.Axes()
	if err != nil {
		return nil, err
	}
	by := make([]Stratifier, len(axes))
	for i, axis := range axes {
		by[i] = Stratifier(axis)
	}
	switch a.Kind {
	case query.Count:
		if a.Attrition {
			return Attrition{Steps: by[0].Levels}, nil
		}
		return Count{By: by}, nil
	case query.Moments:
		return Moments{By: by, Low: a.Variable.Low, High: a.Variable.High}, nil
	}
	return nil, fmt.Errorf("analysis: no table for %q", a.Kind)
}

// InRounds returns the method of a question that is answered in rounds. Least is the cell
// threshold of the limits that hub and trial have made public: what the pooled sums may
// show. 0 asks for nothing.
func InRounds(a query.Analysis, least int) (Iteration, error) {
	method, err := inRounds(a, least)
	if err != nil {
		return nil, err
	}
	return hiding{method, int64(least)}, nil
}

func inRounds(a query.Analysis, least int) (Iteration, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	build, known := methods[a.Kind]
	if !known {
		return nil, fmt.Errorf("analysis: no method in rounds for %q", a.Kind)
	}
	return build(a, declared(ColumnsOf(a.Columns)), least)
}

// hiding is a method whose result does not say how many were left out if they are few.
type hiding struct {
	Iteration
	least int64
}

func (h hiding) Next(s State, sum []uint64, sites int) (Step, error) {
	step, err := h.Iteration.Next(s, sum, sites)
	if result, ok := step.Result.(interface{ HideFew(least int64) }); ok {
		result.HideFew(h.least)
	}
	return step, err
}

// methods make the methods in rounds of their specs, which are valid.
var methods = map[query.AnalysisKind]func(a query.Analysis, columns declared, least int) (Iteration, error){
	query.GLM: func(a query.Analysis, columns declared, _ int) (Iteration, error) {
		f, err := formula.Parse(a.GLM.Formula)
		if err != nil {
			return nil, err
		}
		return GLM{Formula: f, Family: a.GLM.Family, Link: a.GLM.Link, Weights: a.GLM.Weights, Declared: columns}.New()
	},
	query.Cox: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		f, err := formula.Parse(a.Cox.Formula)
		if err != nil {
			return nil, err
		}
		return Cox{Formula: f, Ties: a.Cox.Ties, Grid: Grid(a.Cox.Grid), MinAtRisk: least, Declared: columns}.New()
	},
	query.KaplanMeier: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		s := a.KaplanMeier
		f, err := formula.Parse(s.Formula)
		if err != nil {
			return nil, err
		}
		return KaplanMeier{Formula: f, Grid: Grid(s.Grid), Restriction: s.Restriction, MinAtRisk: least, Declared: columns}.New()
	},
	query.CrossTab: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		return CrossTab{Factors: columns.pick(a.CrossTab.Factors), MinCell: int64(least)}.New()
	},
	query.Describe: func(a query.Analysis, columns declared, _ int) (Iteration, error) {
		return Describe{Values: columns.pick(a.Describe.Values), By: columns.one(a.Describe.By), Pairwise: a.Describe.Pairwise}.New()
	},
	query.Quantiles: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		s := a.Quantiles
		return Quantiles{Values: columns.pick(s.Values), By: columns.one(s.By), Probabilities: s.Probabilities, MinCell: int64(least)}.New()
	},
	query.Histogram: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		return Histogram{Value: *columns.one(a.Histogram.Value), Breaks: a.Histogram.Breaks, MinCell: int64(least)}.New()
	},
	query.Characterize: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		s := a.Characterize
		return Characterize{Variables: columns.pick(s.Variables), Arm: columns.one(s.Arm), MinCell: int64(least)}.New()
	},
	query.Incidence: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		s := a.Incidence
		return Incidence{Events: *columns.one(s.Events), Time: *columns.one(s.Time), By: columns.one(s.By), MinCell: int64(least)}.New()
	},
	query.Prevalence: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		s := a.Prevalence
		return Prevalence{Property: *columns.one(s.Property), By: columns.one(s.By), MinCell: int64(least)}.New()
	},
	query.NegBin: func(a query.Analysis, columns declared, _ int) (Iteration, error) {
		f, err := formula.Parse(a.NegBin.Formula)
		if err != nil {
			return nil, err
		}
		return NegativeBinomial{Formula: f, Link: a.NegBin.Link, Weights: a.NegBin.Weights, Declared: columns}.New()
	},
	query.MixedModel: func(a query.Analysis, columns declared, _ int) (Iteration, error) {
		f, err := formula.Parse(a.MixedModel.Formula)
		if err != nil {
			return nil, err
		}
		return Mixed{Formula: f, Criterion: a.MixedModel.Criterion, Declared: columns}.New()
	},
	query.Meta: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		s := a.Meta
		m := Meta{Term: s.Term, Between: Between(s.Between), Adjust: s.Adjust, MinRows: int64(least), MinSites: leastSites}
		if least > 1 {
			m.RowsPerParameter, m.EventsPerParameter = rowsPerParameter, eventsPerParameter
		}
		if s.Model == nil {
			value, by := columns.one(s.Value), columns.one(s.By)
			if value == nil || by == nil {
				return nil, errors.New("meta-analysis: a model, or value and by")
			}
			m.Value, m.By = *value, *by
			return m.New()
		}
		f, err := formula.Parse(s.Model.Formula)
		if err != nil {
			return nil, err
		}
		m.Model = &GLM{Formula: f, Family: s.Model.Family, Link: s.Model.Link, Weights: s.Model.Weights, Declared: columns}
		return m.New()
	},
	query.PCA: func(a query.Analysis, columns declared, _ int) (Iteration, error) {
		return PCA{Values: columns.pick(a.PCA.Values), Scale: a.PCA.Scale}.New()
	},
	query.KMeans: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		s := a.KMeans
		return KMeans{
			Values: columns.pick(s.Values), Starts: startsFor(s.Clusters, len(s.Values)), Scale: true, Steps: s.Steps, MinCell: int64(least),
		}.New()
	},
	query.Propensity: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		s := a.Propensity
		treatment, err := formula.Parse(s.Treatment)
		if err != nil {
			return nil, err
		}
		outcome, err := formula.Parse(s.Outcome)
		if err != nil {
			return nil, err
		}
		return Propensity{
			Treatment: treatment, Outcome: outcome, Family: s.Family, Link: s.Link, Adjustment: s.Adjustment, Estimand: s.Estimand,
			Stabilized: s.Stabilized, Truncate: s.Truncate, Strata: s.Strata, Caliper: s.Caliper, MinCell: int64(least), Declared: columns,
		}.New()
	},
	query.Compare: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		s := a.Comparison
		treatment, err := formula.Parse(s.Treatment)
		if err != nil {
			return nil, err
		}
		outcome, err := formula.Parse(s.Outcome)
		if err != nil {
			return nil, err
		}
		return Comparison{
			Treatment: treatment, Outcome: outcome, Ties: s.Ties, Grid: Grid(s.Grid), Adjustment: s.Adjustment, Estimand: s.Estimand,
			Stabilized: s.Stabilized, Truncate: s.Truncate, Strata: s.Strata, Caliper: s.Caliper, ByPair: s.ByPair,
			MinCell: int64(least), Declared: columns,
		}.New()
	},
	query.ConditionalLogistic: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		f, err := formula.Parse(a.ConditionalLogistic.Formula)
		if err != nil {
			return nil, err
		}
		return ConditionalLogistic{Formula: f, Ties: a.ConditionalLogistic.Ties, MinSets: least, Declared: columns}.New()
	},
	query.CaseSeries: func(a query.Analysis, _ declared, least int) (Iteration, error) {
		columns := IntervalColumns(a.CaseSeries)
		text := "events ~ "
		for _, c := range columns[Levels:] {
			text += c.Name + " + "
		}
		f, err := formula.Parse(text + "offset(log(days)) + strata(person)")
		if err != nil {
			return nil, err
		}
		return CaseSeries{Formula: f, MinSets: least, Declared: columns}.New()
	},
	query.ODAL: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		f, err := formula.Parse(a.ODAL.Formula)
		if err != nil {
			return nil, err
		}
		m := OneShot{Formula: f, MinSites: leastSites, Declared: columns}
		method, err := m.New()
		if err != nil || least == 0 {
			return method, err
		}
		m.MinRows = int64(max(least, rowsPerEstimate*method.Parameters()))
		return m.New()
	},
	query.ODAC: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		s := a.ODAC
		f, err := formula.Parse(s.Formula)
		if err != nil {
			return nil, err
		}
		m := OneShotCox{Formula: f, Ties: s.Ties, Grid: Grid(s.Grid), BySite: s.BySite, MinAtRisk: least, MinSites: leastSites, Declared: columns}
		method, err := m.New()
		if err != nil || least == 0 {
			return method, err
		}
		m.MinRows = int64(max(least, rowsPerEstimate*method.Parameters()))
		m.MinEvents = int64(max(least, eventsPerParameter*method.Parameters()))
		return m.New()
	},
	query.Predict: func(a query.Analysis, columns declared, least int) (Iteration, error) {
		s := a.Predict
		f, err := formula.Parse(s.Formula)
		if err != nil {
			return nil, err
		}
		// One seed for all: with a seed to choose, one could ask for parts a person apart.
		return Prediction{Formula: f, Train: s.Train, Share: s.Share, Groups: cmp.Or(s.Groups, 10), MinCell: int64(least), Declared: columns}.New()
	},
}

// What a site's own model rests on where the limits ask for something: as many persons a
// parameter as the release gates ask of all sites together, and of events as of one site.
const (
	rowsPerParameter   = 10
	eventsPerParameter = 3
)

// leastSites is how many sites a common estimate of theirs is at least over, as a masked sum.
const leastSites = 3

// rowsPerEstimate is how many rows of its own a site needs for each parameter of its own model.
const rowsPerEstimate = 10

// startsFor returns the starting centres of clusters: on the diagonal, evenly from -1.5 to 1.5
// standard deviations.
func startsFor(clusters, columns int) [][]float64 {
	starts := make([][]float64, clusters)
	for k := range starts {
		at := -1.5 + 3*float64(k)/float64(clusters-1)
		starts[k] = slices.Repeat([]float64{at}, columns)
	}
	return starts
}

// declared are the columns of a question, by name.
type declared []Column

// one returns a column, nil for the name "".
func (d declared) one(name string) *Column {
	for i := range d {
		if d[i].Name == name {
			return &d[i]
		}
	}
	return nil
}

func (d declared) pick(names []string) []Column {
	var out []Column
	for _, name := range names {
		out = append(out, *d.one(name))
	}
	return out
}

// FrameColumns declares the columns of a site's frame for a question in rounds: those of the
// question, or, of a case series, [IntervalColumns].
func FrameColumns(a query.Analysis) []Column {
	if a.CaseSeries != nil {
		return IntervalColumns(a.CaseSeries)
	}
	return ColumnsOf(a.Columns)
}

// ColumnsOf declares a question's columns, one value a person.
func ColumnsOf(list []query.Column) []Column {
	columns := make([]Column, len(list))
	for i, c := range list {
		columns[i] = Column{Name: c.Name}
		switch c.From {
		case query.FromAge:
			columns[i].Kind, columns[i].High = Numeric, query.MaxAge
		case query.FromAgeGroup:
			columns[i].Kind, columns[i].Levels = Factor, query.ByAgeGroup.Names()
		case query.FromSex:
			columns[i].Kind, columns[i].Levels = Factor, query.BySex.Names()
		case query.FromRace:
			columns[i].Kind, columns[i].Levels = Factor, query.ByRace.Names()
		case query.FromMeasurement:
			columns[i].Kind, columns[i].Low, columns[i].High = Numeric, c.Low, c.High
		case query.FromEvent, query.FromOutcome:
			columns[i].Kind = Logical
		case query.FromCount:
			columns[i].Kind, columns[i].High = Numeric, c.High
		case query.FromFollowUp:
			columns[i].Kind, columns[i].High = Numeric, float64(c.Window.To)
		case query.FromDataset:
			columns[i].Kind, columns[i].Levels, columns[i].Low, columns[i].High = ColumnKind(c.Kind), c.Levels, c.Low, c.High
		}
	}
	return columns
}

// Check reports what is wrong with an analysis, beyond what its own Validate can tell: a
// formula that does not fit its columns or family. What it says is public.
func Check(a query.Analysis) error {
	if err := a.Validate(); err != nil {
		return err
	}
	if !a.Kind.InRounds() {
		return nil
	}
	if _, err := InRounds(a, 0); err != nil {
		return problem.New(problem.Invalid, "query: analysis: "+err.Error())
	}
	return nil
}
