package analysis

import (
	"fmt"

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

// For returns the method of a question that is answered by a table: a [Count] or a
// [Moments]. Node and hub both use it, so that they agree on the layout of the words.
func For(a query.Analysis) (Method, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	by := make([]Stratifier, len(a.By))
	for i, s := range a.By {
		by[i] = Stratifier{Name: string(s), Levels: s.Names()}
	}
	switch a.Kind {
	case query.Count:
		return Count{By: by}, nil
	case query.Moments:
		return Moments{By: by, Low: a.Variable.Low, High: a.Variable.High}, nil
	}
	return nil, fmt.Errorf("analysis: no table for %q", a.Kind)
}

// InRounds returns the method of a question that is answered in rounds.
func InRounds(a query.Analysis) (Iteration, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	if a.Kind != query.GLM {
		return nil, fmt.Errorf("analysis: no method in rounds for %q", a.Kind)
	}
	f, err := formula.Parse(a.Model.Formula)
	if err != nil {
		return nil, err
	}
	return GLM{
		Formula: f, Family: a.Model.Family, Link: a.Model.Link, Weights: a.Model.Weights, Declared: ColumnsOf(*a.Model),
	}.New()
}

// ColumnsOf declares a model's columns.
func ColumnsOf(m query.Model) []Column {
	columns := make([]Column, len(m.Columns))
	for i, c := range m.Columns {
		columns[i] = Column{Name: c.Name}
		switch c.From {
		case query.FromAge:
			columns[i].Kind, columns[i].High = Numeric, query.MaxAge
		case query.FromSex:
			columns[i].Kind, columns[i].Levels = Factor, query.BySex.Names()
		case query.FromRace:
			columns[i].Kind, columns[i].Levels = Factor, query.ByRace.Names()
		case query.FromMeasurement:
			columns[i].Kind, columns[i].Low, columns[i].High = Numeric, c.Low, c.High
		case query.FromEvent:
			columns[i].Kind = Logical
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
	if _, err := InRounds(a); err != nil {
		return problem.New(problem.Invalid, "query: analysis.model: "+err.Error())
	}
	return nil
}
