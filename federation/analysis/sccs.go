package analysis

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// CaseSeries fits the self-controlled case series model: how much more often a person has
// events in some intervals of time than in the person's others. The likelihood is that of
// which intervals a person's events fall in, given how many there are; what does not
// change within a person cancels. It is R's standardsccs (package SCCS), a Poisson
// regression with a factor for each person, and gnm with eliminate; steps and tests are
// those of clogit. Its result is a *[query.Conditional].
//
// A row is one interval of one person, and all of a person's rows are of one site; the
// column of persons says no more than which of a site's rows belong together. Who has no
// event, or one interval only, counts for nothing.
//
// A factor for age groups is a term like any other, and a group that few persons are
// observed in is the covariate that MinSets is about, as with [ConditionalLogistic].
//
// Source: Farrington, "Relative incidence estimation from case series for vaccine safety
// evaluation", Biometrics 51 (1995) 228-235; Whitaker, Farrington, Spiessens and Musonda,
// "Tutorial in biostatistics: the self-controlled case series method", Statistics in
// Medicine 25 (2006) 1768-1797.
type CaseSeries struct {
	// Formula is events ~ exposed + agegroup + offset(log(days)) + strata(person).
	Formula formula.Formula

	// MinSets is how many persons must vary in each covariate, 0 or 1 for any number.
	MinSets int

	// Declared are the columns that the formula names, and perhaps others.
	Declared []Column
}

// New checks the model and returns it as a method.
func (m CaseSeries) New() (Iteration, error) {
	return overLevels(m.Declared, m.over, m.Formula)
}

func (m CaseSeries) over(declared []Column) (Rounds[conditionalState], error) {
	m.Declared = declared
	c, err := newConditional(m.Formula, m.Declared, m.MinSets)
	if err != nil {
		return nil, fmt.Errorf("case series: %w", err)
	}
	if of := c.column(c.response); of.Kind != Numeric || of.Low < 0 || of.High > MaxPersons {
		return nil, fmt.Errorf("case series: the column %s must be numeric, from 0 to %d: counts of events", c.response, MaxPersons)
	}
	return series{c}, nil
}

// series is a checked case series.
type series struct{ conditional }

// person is the column of the first strata(…).
func (s series) person() string { return s.strata[0] }

// Levels is the place of the first column of levels in [IntervalColumns].
const Levels = 3

// IntervalColumns declares the frame of a case series that is asked for, a row for each
// interval of a person in which no level changes: the number of events in it, its days, which
// of the site's persons it is of, and the levels.
func IntervalColumns(s *query.CaseSeriesSpec) []Column {
	columns := []Column{
		{Name: "events", Kind: Numeric, High: query.MaxCount},
		{Name: "days", Kind: Numeric, Low: 1, High: 2*query.MaxWindow + 1},
		{Name: "person", Kind: Numeric, High: MaxPersons},
	}
	for _, levels := range []Column{
		{Name: "risk", Levels: s.RiskLevels()}, {Name: "age", Levels: s.AgeLevels()}, {Name: "season", Levels: s.SeasonLevels()},
	} {
		if levels.Levels != nil {
			levels.Kind = Factor
			columns = append(columns, levels)
		}
	}
	return columns
}
