package ccda

import (
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
)

const wantTime = "want YYYY[MM[DD[HHMM[SS]]]][+ZZZZ]"

// time reads a TS. A time of day without an offset is taken for UTC and not Zoned. One
// that is no time faults the record being made.
func (c *converter) time(e *element, at place) fhir.Time {
	t, ok := timeOf(e)
	if !ok {
		c.problem(fhir.RuleInvalidTime, at, wantTime)
	}
	return t
}

// timeOf reads a TS that the record can do without; ok is false for what is no time.
func timeOf(e *element) (t fhir.Time, ok bool) {
	if !e.is() || e.attr("value") == "" {
		return fhir.Time{}, true
	}
	return hl7v2.ParseTime(e.attr("value"), nil)
}

// span reads the ends of an IVL_TS; a point in time is its beginning. at is the statement
// that e belongs to.
func (c *converter) span(e *element, at place) (start, end fhir.Time) {
	start, end, ok := spanOf(e)
	if !ok {
		c.problem(fhir.RuleInvalidTime, at.in("effectiveTime"), wantTime)
	}
	return start, end
}

// spanOf reads the ends of an IVL_TS; ok is false if one of them is no time.
func spanOf(e *element) (start, end fhir.Time, ok bool) {
	point, ok1 := timeOf(e)
	low, ok2 := timeOf(e.at("low"))
	center, ok3 := timeOf(e.at("center"))
	end, ok4 := timeOf(e.at("high"))
	return first(point, low, center), end, ok1 && ok2 && ok3 && ok4
}

// moment is a time, or a period if it has an end that is another.
func moment(start, end fhir.Time) (fhir.Time, fhir.Period) {
	if end.IsZero() || end.Text == start.Text {
		return start, fhir.Period{}
	}
	return fhir.Time{}, fhir.Period{Start: start, End: end}
}

// authored is when a statement was first written down.
func authored(e *element) (earliest fhir.Time) {
	for a := range e.each("author") {
		if t, ok := timeOf(a.at("time")); ok && !t.IsZero() && (earliest.IsZero() || t.At.Before(earliest.At)) {
			earliest = t
		}
	}
	return earliest
}

// first is the first time that was sent.
func first(times ...fhir.Time) fhir.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return fhir.Time{}
}
