package members

import (
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// subject is what a filter looks at.
type subject struct {
	row        int // of the events
	person     uint32
	start, end events.Day
}

// test is a filter. An absent value passes none, as a comparison with NULL is not true,
// except where it is said.
type test func(*subject) bool

// filters returns the tests of a criterion, and the one that circe-be applies before it
// looks for a person's first event, if there is one.
func (p *plan) filters(d cohort.Domain, list []cohort.Filter, r *request) (before test, after []test, err error) {
	for _, f := range list {
		t, err := p.filter(d, f, list, r)
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("%s.%s: %w", d, f.Field, err)
		case t == nil:
		case f.Source != nil && d != cohort.PayerPlanPeriod:
			before = t
		default:
			after = append(after, t)
		}
	}
	return before, after, nil
}

// filter returns the test of one field, nil for one that asks for nothing.
func (p *plan) filter(d cohort.Domain, f cohort.Filter, all []cohort.Filter, r *request) (test, error) {
	switch f.Field {
	case "OccurrenceStartDate", "EraStartDate", "PeriodStartDate", "VisitDetailStartDate":
		return dateTest(f, startOf)
	case "OccurrenceEndDate":
		if d == cohort.DrugExposure { // circe-be compares the start
			return dateTest(f, startOf)
		}
		return dateTest(f, endOf)
	case "EraEndDate", "PeriodEndDate", "VisitDetailEndDate":
		return dateTest(f, endOf)
	case "EraLength", "PeriodLength", "VisitLength", "VisitDetailLength":
		return numberTest(f.Number, whole, func(s *subject) (float64, bool) {
			return float64(s.end - s.start), s.end != events.NoDay && s.start != events.NoDay
		})
	case "AgeAtStart":
		return p.ageTest(f, startOf)
	case "AgeAtEnd":
		return p.ageTest(f, endOf)
	case "Age":
		if d == cohort.VisitDetail { // circe-be counts to the end
			return p.ageTest(f, endOf)
		}
		return p.ageTest(f, startOf)
	case "Gender", "GenderCS":
		return p.personTest(f, func(people *events.People) []int64 { return people.Gender })
	case "Race":
		return p.personTest(f, func(people *events.People) []int64 { return people.Race })
	case "Ethnicity":
		return p.personTest(f, func(people *events.People) []int64 { return people.Ethnicity })
	case "RaceCS", "EthnicityCS": // circe-be looks for the sex in these sets
		return p.personTest(f, func(people *events.People) []int64 { return people.Gender })
	case "UserDefinedPeriod":
		return periodTest(f)
	case "RangeLowRatio":
		return ratioTest(f, r.column(valueAsNumber), r.column(rangeLow))
	case "RangeHighRatio":
		return ratioTest(f, r.column(valueAsNumber), r.column(rangeHigh))
	case "Abnormal":
		if !f.Flag {
			return nil, nil
		}
		return abnormalTest(r.column(valueAsNumber), r.column(rangeLow), r.column(rangeHigh), r.column(valueAsConcept)), nil
	case "SpecimenSourceConcept", "StartDate", "EndDate":
		return nil, nil // circe-be reads these and looks at them no further
	}
	name, ok := tables[d].column(d, f.Field)
	if !ok {
		return nil, errNoField
	}
	switch {
	case f.Number != nil:
		n := f.Number
		if f.Field == "GapDays" { // circe-be compares the gaps with the length that is asked for
			if n = lengthOf(all); n == nil {
				n = f.Number
			}
		}
		cut := func(v float64) float64 { return float64(whole(v)) }
		if slices.Contains(decimals[d], f.Field) {
			cut = func(v float64) float64 { return v }
		}
		v := r.column(name)
		return numberTestAs(n, cut, func(s *subject) (float64, bool) { return numberAt(v, s.row) })
	case f.Text != nil:
		return textTest(*f.Text, r.column(name)), nil
	}
	v := r.column(name)
	var there *events.Vector
	if join, ok := inner(name); ok && f.Set != nil && f.Set.Exclusion {
		there = r.column(join)
	}
	t, err := p.conceptTest(f, func(s *subject) int64 { return v.Int[s.row] })
	if t == nil || err != nil || there == nil {
		return t, err
	}
	return func(s *subject) bool { return there.Int[s.row] != events.Null && t(s) }, nil
}

func startOf(s *subject) events.Day { return s.start }
func endOf(s *subject) events.Day   { return s.end }

func lengthOf(all []cohort.Filter) *cohort.NumericRange {
	for _, f := range all {
		if f.Field == "EraLength" {
			return f.Number
		}
	}
	return nil
}

func dateTest(f cohort.Filter, of func(*subject) events.Day) (test, error) {
	if f.Date == nil {
		return nil, errEmpty
	}
	is, err := relationOf(f.Date.Op)
	if err != nil {
		return nil, err
	}
	low, err := day(f.Date.Value)
	if err != nil {
		return nil, err
	}
	high := low
	if is == between || is == outside {
		if high, err = day(f.Date.Extent); err != nil {
			return nil, err
		}
	}
	return func(s *subject) bool {
		d := of(s)
		return d != events.NoDay && is.holds(sign(d, low), sign(d, high))
	}, nil
}

func numberTest(n *cohort.NumericRange, cut func(float64) int64, of func(*subject) (float64, bool)) (test, error) {
	return numberTestAs(n, func(f float64) float64 { return float64(cut(f)) }, of)
}

func numberTestAs(n *cohort.NumericRange, cut func(float64) float64, of func(*subject) (float64, bool)) (test, error) {
	if n == nil {
		return nil, errEmpty
	}
	is, err := relationOf(n.Op)
	if err != nil {
		return nil, err
	}
	low, high := cut(n.Value), cut(n.Extent)
	return func(s *subject) bool {
		v, ok := of(s)
		return ok && is.holds(sign(v, low), sign(v, high))
	}, nil
}

// ageTest compares the difference of two years, as circe-be counts age.
func (p *plan) ageTest(f cohort.Filter, of func(*subject) events.Day) (test, error) {
	return numberTest(f.Number, whole, func(s *subject) (float64, bool) {
		d, born := of(s), p.people.YearOfBirth[s.person]
		if d == events.NoDay || born == events.NoYear {
			return 0, false
		}
		return float64(yearOf(d) - int64(born)), true
	})
}

func (p *plan) personTest(f cohort.Filter, of func(*events.People) []int64) (test, error) {
	return p.conceptTest(f, func(s *subject) int64 { return of(p.people)[s.person] })
}

// conceptTest is about a list of concepts, a concept set or the presence of a concept.
func (p *plan) conceptTest(f cohort.Filter, of func(*subject) int64) (test, error) {
	switch {
	case f.Source != nil:
		set, err := p.set(*f.Source)
		return func(s *subject) bool { return set.has(of(s)) }, err
	case f.Set != nil && f.Set.Set == nil: // present, or absent
		absent := f.Set.Exclusion
		return func(s *subject) bool { return (of(s) == events.Null) == absent }, nil
	case f.Set != nil && f.Set.Exclusion:
		set, err := p.set(*f.Set.Set)
		return func(s *subject) bool { // nothing is in an empty set, not even what is absent
			id := of(s)
			return len(set.sorted) == 0 || id != events.Null && !set.has(id)
		}, err
	case f.Set != nil:
		set, err := p.set(*f.Set.Set)
		return func(s *subject) bool { return set.has(of(s)) }, err
	case len(f.Concepts) == 0:
		return nil, nil
	}
	list, exclude := conceptsOf(f.Concepts), f.Exclude
	return func(s *subject) bool {
		id := of(s)
		return id != events.Null && list.has(id) != exclude
	}, nil
}

func textTest(f cohort.TextFilter, v *events.Vector) test {
	like, negated := pattern(f)
	form := pieces(like)
	return func(s *subject) bool {
		if v.Absent != nil && v.Absent[s.row] {
			return false
		}
		return matches(form, v.Text[s.row]) != negated
	}
}

// ratioTest compares a value in units of a limit of its normal range.
func ratioTest(f cohort.Filter, value, limit *events.Vector) (test, error) {
	if f.Number == nil {
		return nil, errEmpty
	}
	is, err := relationOf(f.Number.Op)
	if err != nil {
		return nil, err
	}
	low, high := f.Number.Value, f.Number.Extent
	return func(s *subject) bool {
		v, there := numberAt(value, s.row)
		l, limited := numberAt(limit, s.row)
		return there && limited && l != 0 && is.holds(compareRatio(v, l, low), compareRatio(v, l, high))
	}, nil
}

// The concepts of a value that is coded as too low or too high.
const (
	lowValue  = 4155142
	highValue = 4155143
)

func abnormalTest(value, low, high, code *events.Vector) test {
	return func(s *subject) bool {
		v, there := numberAt(value, s.row)
		l, hasLow := numberAt(low, s.row)
		h, hasHigh := numberAt(high, s.row)
		c := code.Int[s.row]
		return there && (hasLow && v < l || hasHigh && v > h) || c == lowValue || c == highValue
	}
}

// periodTest is about a time that has to lie within the event.
func periodTest(f cohort.Filter) (test, error) {
	if f.Period == nil {
		return nil, errEmpty
	}
	var days []events.Day
	for _, text := range []string{f.Period.Start, f.Period.End} {
		if text == "" {
			continue
		}
		d, err := day(text)
		if err != nil {
			return nil, err
		}
		days = append(days, d)
	}
	return func(s *subject) bool {
		for _, d := range days {
			if s.start == events.NoDay || s.start > d || s.end < d { // no end is before every day
				return false
			}
		}
		return true
	}, nil
}

// numberAt returns a number and whether there is one.
func numberAt(v *events.Vector, row int) (float64, bool) {
	if v.Number != nil {
		f := v.Number[row]
		return f, f == f
	}
	n := v.Int[row]
	return float64(n), n != events.Null
}
