package wearable

import (
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// openMHealth reads data points of Open mHealth: one, a list, or the answer of
// Shimmer, which has them in its body. A date and time without an offset is UTC, as
// the schema date-time says.
//
// Source: https://github.com/openmhealth/schemas
var openMHealth = maker{
	lists: map[string]func(*batch, node){"body": func(b *batch, n node) {
		if !omhElement(b, n) {
			b.once(RuleUnknownPayload, n.path, "")
		}
	}},
	rest:    func(b *batch, n node) bool { return (n.has("header") || !b.understood) && omhElement(b, n) },
	element: omhElement,
}

// omhElement takes a data point.
func omhElement(b *batch, n node) bool {
	if !n.has("header") && !n.has("body") {
		return false
	}
	header, body := n.member("header"), n.member("body")
	if _, ok := header.v.(map[string]any); !ok {
		b.problem(fhir.RuleMissingField, header.path, "")
		return true
	}
	if _, ok := body.v.(map[string]any); !ok {
		b.problem(fhir.RuleMissingField, body.path, "")
		return true
	}
	if !omhHeader(b, header) || !b.ownedBy(header.member("user_id")) {
		return true
	}
	id := header.member("schema_id")
	name, _ := id.member("name").text()
	take := omhMeasures[name]
	if space, _ := id.member("namespace").text(); take == nil || space != "omh" {
		b.once(RuleUnknownMeasure, id.path, name)
		return true
	}
	if statistic := body.member("descriptive_statistic"); statistic.v != nil && !omhStatistic(statistic) {
		return true
	}
	s, ok := b.omhFrame(body.member("effective_time_frame"))
	if ok {
		take(b, body, s)
	}
	return true
}

// omhHeader judges what every header must have: an id, when it was made, and a schema.
func omhHeader(b *batch, n node) bool {
	for _, name := range []string{"id", "creation_date_time", "schema_id"} {
		if n.member(name).v == nil {
			b.problem(fhir.RuleMissingField, n.path+"."+name, "")
			return false
		}
	}
	if user := n.member("user_id"); user.v != nil {
		if _, ok := user.text(); !ok {
			return false
		}
	}
	_, named := n.member("id").text()
	_, made := b.when(n.member("creation_date_time"), time.UTC)
	return named && made
}

// omhStatistics are the values of the schema descriptive-statistic.
var omhStatistics = map[string]bool{
	"average": true, "count": true, "maximum": true, "median": true, "minimum": true, "standard deviation": true, "sum": true,
	"variance": true, "20th percentile": true, "80th percentile": true, "lower quartile": true, "upper quartile": true,
	"quartile deviation": true, "1st quintile": true, "2nd quintile": true, "3rd quintile": true, "4th quintile": true,
}

func omhStatistic(n node) bool {
	s, ok := n.text()
	if ok && !omhStatistics[s] {
		n.b.problem(RuleUnknownMeasure, n.path, "")
	}
	return omhStatistics[s]
}

// omhFrame reads a time frame: a moment, or an interval of which two of start, end and
// length are given. "The morning of a day" is neither.
func (b *batch) omhFrame(n node) (interval, bool) {
	if n.v == nil {
		b.problem(fhir.RuleMissingField, n.path, "")
		return interval{}, false
	}
	if at := n.member("date_time"); at.v != nil {
		t, ok := b.when(at, time.UTC)
		return lasting(t, 0), ok
	}
	span := n.member("time_interval")
	if span.v == nil {
		b.problem(fhir.RuleMissingField, n.path, "want date_time or time_interval")
		return interval{}, false
	}
	start, end, length := span.member("start_date_time"), span.member("end_date_time"), span.member("duration")
	switch {
	case start.v != nil && end.v != nil:
		from, fromOK := b.when(start, time.UTC)
		to, toOK := b.when(end, time.UTC)
		return b.between(from, fromOK, to, toOK, span)
	case start.v != nil && length.v != nil:
		from, ok := b.when(start, time.UTC)
		ms, known := b.omhDuration(length)
		return lasting(from, ms), ok && known
	case end.v != nil && length.v != nil:
		to, ok := b.when(end, time.UTC)
		ms, known := b.omhDuration(length)
		return lasting(to-ms, ms), ok && known
	}
	b.problem(fhir.RuleInvalidTime, span.path, "want two of start, end and duration")
	return interval{}, false
}

// omhDuration returns a length in milliseconds, at most 400 years.
func (b *batch) omhDuration(n node) (int64, bool) {
	v, ok := omhValue(n, "min")
	if !ok {
		return 0, false
	}
	x, ok := v.number("ms")
	if ok && (x < 0 || x > 400*366*dayLength) {
		b.problem(fhir.RuleInvalidNumber, n.path, "")
		return 0, false
	}
	return int64(x), ok
}

// omhUnits is UCUM by the names of Open mHealth's unit schemas that are not UCUM.
var omhUnits = map[string]string{
	"beats/min": "/min", "breaths/min": "/min", "steps": "{steps}", "mmHg": "mm[Hg]", "kg/m^2": "kg/m2", "sec": "s", "Mo": "mo", "yr": "a",
	"C": "Cel", "F": "[degF]", "lb": "[lb_av]", "oz": "[oz_av]", "gr": "[gr]", "Metric Ton": "t", "Ton": "[ston_av]",
	"in": "[in_i]", "ft": "[ft_i]", "yd": "[yd_i]", "mi": "[mi_i]",
}

// omhValue returns the number of an object of value and unit, which must be a unit of
// the same kind as ucum.
func omhValue(n node, ucum string) (node, bool) {
	if n.v == nil {
		n.b.problem(fhir.RuleMissingField, n.path, "")
		return n, false
	}
	value, unit := n.member("value"), n.member("unit")
	name, ok := unit.text()
	if value.v == nil || !ok {
		n.b.problem(fhir.RuleMissingField, n.path, "want value and unit")
		return n, false
	}
	if code := omhUnits[name]; code != "" {
		name = code
	}
	if name != ucum {
		_, err := n.b.units.Conversion(name, ucum)
		if err != nil {
			n.b.problem(RuleInvalidUnit, unit.path, "")
			return n, false
		}
	}
	if _, quoted := value.v.(string); quoted {
		n.b.problem(fhir.RuleWrongType, value.path, "want number")
		return n, false
	}
	return value.in(name), true
}
