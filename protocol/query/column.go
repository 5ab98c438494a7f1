package query

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/spelling"
)

// Limits of columns.
const (
	MaxColumns  = 20
	MaxConcepts = 1000      // of one column
	MaxWindow   = 100 * 366 // days from entry to either end of a window
	MaxCount    = 10_000    // events of one person
)

// Column says where a person's value of a name in the formula comes from. What it can
// be is fixed here, so that no question can choose values of its own for persons.
type Column struct {
	Name string `json:"name"`
	From Origin `json:"from"`

	// Concepts are standard OMOP concepts: of the measurement, one; of an event, any one
	// of which counts, without their descendants.
	Concepts []int64 `json:"concepts,omitempty"`

	// Domain is the table of an event. That of an outcome may be Death, which has no concepts.
	Domain cohort.Domain `json:"domain,omitempty"`

	// Window bounds the days of measurements and events; without it they count whenever
	// they were.
	Window *Window `json:"window,omitempty"`

	// Take says which of a person's measurements counts: last, first or mean.
	Take string `json:"take,omitempty"`

	// Unit is the UCUM code that measurements must be in, or that of a data set's column,
	// in the words of its schema.
	Unit string `json:"unit,omitempty"`

	// Low and High bound plausible measurements in Unit. Whose value lies outside has
	// none. An age has 0 to 130. Of a count only High is set: the most that counts, from 1.
	Low  float64 `json:"low,omitempty"`
	High float64 `json:"high,omitempty"`

	// Dataset and Column name a column of a data set; Column defaults to Name. Domain is
	// then that whose consent covers it. Its type, which has to hold all that a site's column
	// can, is Kind, with Levels for a factor, the first one the reference, and Low, High and
	// Unit for a number.
	Dataset string    `json:"dataset,omitempty"`
	Column  string    `json:"column,omitempty"`
	Kind    ValueKind `json:"kind,omitempty"`
	Levels  []string  `json:"levels,omitempty"`
}

// Origin is a source of values.
type Origin string

// The origins.
const (
	FromAge         Origin = "age"         // completed years at cohort entry: numeric
	FromAgeGroup    Origin = "age-group"   // a factor with the levels of ByAgeGroup
	FromSex         Origin = "sex"         // a factor with the levels of BySex
	FromRace        Origin = "race"        // a factor with the levels of ByRace
	FromMeasurement Origin = "measurement" // numeric, missing for who has none
	FromEvent       Origin = "event"       // logical: whether there is such an event
	FromCount       Origin = "count"       // numeric: how many such events there are

	// A follow-up begins on the day of entry and ends with the first such event in the
	// window, or else with the window or with the observation period that the entry is in,
	// whichever ends first. FromFollowUp is its length in days, numeric; FromOutcome is
	// logical: whether it ended with the event. A pair of them has all else alike.
	FromFollowUp Origin = "follow-up"
	FromOutcome  Origin = "outcome"

	FromDays Origin = "days" // the days on which there are such events, for a case series

	FromDataset Origin = "dataset" // a column of a named data set, missing for who has no row
)

var origins = []Origin{FromAge, FromAgeGroup, FromSex, FromRace, FromMeasurement, FromEvent, FromCount, FromFollowUp, FromOutcome, FromDataset}

// Window is a range of days relative to cohort entry, both ends inclusive: -365 to 0 is
// the year before, with the day of entry.
type Window struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Which of a person's values counts, besides TakeLast.
const (
	TakeFirst = "first"
	TakeMean  = "mean" // of all values in the window
)

// MaxAge is the highest age at entry; who is older has it.
const MaxAge = 130

// Reads returns the domain whose records the column reads.
func (c Column) Reads() cohort.Domain {
	switch c.From {
	case FromMeasurement:
		return cohort.Measurement
	case FromEvent, FromCount, FromFollowUp, FromOutcome, FromDays, FromDataset:
		return c.Domain
	}
	return cohort.Person
}

// words says where the column's values come from.
func (c Column) words(name func(concept int64) string) string {
	when := ""
	if w := c.Window; w != nil {
		when = fmt.Sprintf(" in days %d to %d from entry", w.From, w.To)
	}
	switch c.From {
	case FromMeasurement:
		return fmt.Sprintf("the %s value of %s%s, in %s between %g and %g", c.Take, name(c.Concepts[0]), when, c.Unit, c.Low, c.High)
	case FromEvent:
		return fmt.Sprintf("whether there is a %s of %s%s", c.Domain, c.any(name), when)
	case FromCount:
		return fmt.Sprintf("the number, up to %g, of %s of %s%s", c.High, c.Domain, c.any(name), when)
	case FromFollowUp:
		return fmt.Sprintf("the days until %s%s, or until the end of observation", c.event(name), when)
	case FromOutcome:
		return fmt.Sprintf("whether %s ended the follow-up%s", c.event(name), when)
	case FromDays:
		return fmt.Sprintf("the days with a %s of %s", c.Domain, c.any(name))
	case FromDataset:
		return c.datasetWords()
	}
	return fmt.Sprintf("the person's %s", c.From)
}

// event says what ends a follow-up.
func (c Column) event(name func(int64) string) string {
	if c.Domain == cohort.Death {
		return "death"
	}
	return fmt.Sprintf("the first %s of %s", c.Domain, c.any(name))
}

// conceptsNamed is how many concepts of a column its words name.
const conceptsNamed = 5

// any names the concepts of which any one counts.
func (c Column) any(name func(int64) string) string {
	var names []string
	for _, id := range c.Concepts[:min(len(c.Concepts), conceptsNamed)] {
		names = append(names, name(id))
	}
	text := strings.Join(names, " or ")
	if more := len(c.Concepts) - len(names); more > 0 {
		text += fmt.Sprintf(" or any of %d more", more)
	}
	return text
}

func (c Column) validate(i int) error {
	bad := func(what string) error { return invalid(fmt.Sprintf("analysis.columns[%d].%s", i, what)) }
	if !formula.ValidName(c.Name) || len(c.Name) > 64 {
		return bad("name: letters, digits, dots and underscores, a letter first, 64 bytes at most")
	}
	if c.From != FromDataset && c.ofDataset() {
		return bad("dataset: only a column from a data set has dataset, column, kind or levels")
	}
	switch c.From {
	case FromAge, FromAgeGroup, FromSex, FromRace:
		if c.Concepts != nil || c.Domain != "" || c.Window != nil || c.Take != "" || c.Unit != "" || c.Low != 0 || c.High != 0 {
			return bad("from: age, age-group, sex and race have nothing else to set")
		}
		return nil
	case FromMeasurement:
		return c.validateMeasurement(bad)
	case FromEvent, FromCount:
		return c.validateEvent(bad)
	case FromDays:
		if c.Window != nil {
			return bad("window: days have none; the case series has one")
		}
		return c.validateEvent(bad)
	case FromFollowUp, FromOutcome:
		return c.validateFollowUp(bad)
	case FromDataset:
		return c.validateDataset(bad)
	}
	return bad("from: unknown" + spelling.Hint(string(c.From), origins...) + "; known are " + list(origins))
}

func (c Column) validateMeasurement(bad func(string) error) error {
	switch {
	case len(c.Concepts) != 1 || c.Concepts[0] <= 0:
		return bad("concepts: a measurement has one, a positive concept id")
	case c.Domain != "":
		return bad("domain: only an event has one")
	case c.Unit == "" || len(c.Unit) > 64:
		return bad("unit: a UCUM code of 1 to 64 bytes")
	case c.Take != TakeLast && c.Take != TakeFirst && c.Take != TakeMean:
		return bad("take: last, first or mean")
	case !(c.Low < c.High) || !Scalable(c.Low, c.High):
		return bad("low: must lie below high, and the larger of them in magnitude within 1e-9 and 1e9")
	}
	return c.Window.validate(bad)
}

// eventDomains are those of which a column may ask.
var eventDomains = []cohort.Domain{
	cohort.ConditionOccurrence, cohort.DrugExposure, cohort.ProcedureOccurrence, cohort.Measurement, cohort.Observation, cohort.VisitOccurrence,
}

func (c Column) validateEvent(bad func(string) error) error {
	known := slices.Contains(eventDomains, c.Domain)
	switch {
	case len(c.Concepts) == 0 || len(c.Concepts) > MaxConcepts || slices.Min(c.Concepts) <= 0:
		return bad(fmt.Sprintf("concepts: 1 to %d positive concept ids", MaxConcepts))
	case !known:
		return bad("domain: the kind of event as in a cohort definition" + spelling.Hint(string(c.Domain), eventDomains...) + "; known are " + list(eventDomains))
	case c.From == FromCount && !(1 <= c.High && c.High <= MaxCount && c.High == float64(int(c.High))):
		return bad(fmt.Sprintf("high: the most events that count, a whole number from 1 to %d", MaxCount))
	case c.Take != "" || c.Unit != "" || c.Low != 0 || c.From != FromCount && c.High != 0:
		return bad("from: an event has neither take nor unit, low or high")
	}
	return c.Window.validate(bad)
}

// validateFollowUp checks a column of a follow-up, which needs an end and does not begin
// before entry.
func (c Column) validateFollowUp(bad func(string) error) error {
	switch {
	case c.Window == nil || c.Window.From < 0 || c.Window.To < 1:
		return bad("window: a follow-up has one, from 0 on, to at least 1")
	case c.Domain == cohort.Death && c.Concepts != nil:
		return bad("concepts: a death has none")
	case c.Domain == cohort.Death:
		c.Domain, c.Concepts = cohort.ConditionOccurrence, []int64{1} // all else is as of an event
	}
	return c.validateEvent(bad)
}

func (w *Window) validate(bad func(string) error) error {
	if w != nil && (w.From > w.To || w.From < -MaxWindow || w.To > MaxWindow) {
		return bad(fmt.Sprintf("window: from must not be after to, and both within %d days of entry", MaxWindow))
	}
	return nil
}
