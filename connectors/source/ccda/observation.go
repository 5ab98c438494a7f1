package ccda

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

const observationCategory = "http://terminology.hl7.org/CodeSystem/observation-category"

// resultStatuses are FHIR's of HL7 v3's ActStatus.
//
// Source: concept maps CF-ResultStatus and CF-ResultReportStatus of the C-CDA on FHIR
// guide, and nullified by its definition.
var resultStatuses = map[string]string{
	"completed": "final", "active": "registered", "aborted": "cancelled", "cancelled": "cancelled",
	"held": "registered", "suspended": "registered", "new": "registered", "nullified": "entered-in-error",
}

// flavors are FHIR's reasons for HL7 v3's of a value that is not there.
//
// Source: concept map CF-NullFlavorDataAbsentReason of the C-CDA on FHIR guide.
var flavors = map[string]string{
	"UNK": "unknown", "NI": "unknown", "NASK": "not-asked", "ASKU": "asked-unknown", "NAV": "temp-unknown", "NAVU": "unknown",
	"NA": "not-applicable", "MSK": "masked", "OTH": "unsupported", "TRC": "unsupported", "NINF": "negative-infinity", "PINF": "positive-infinity", "NP": "unknown",
}

// observation reads a finding of a category. The time and status of the organizer around
// it, if any, hold for what has none of its own.
func (c *converter) observation(o *element, around wrapper, at place, category string) *fhir.Observation {
	status := cmp.Or(o.at("statusCode").attr("code"), around.status)
	f := &fhir.Observation{
		Status:   mapped(resultStatuses, status),
		Category: []fhir.CodeableConcept{one(observationCategory, category)},
		Code:     c.described(o.at("code"), o),
		Subject:  c.patient,
	}
	f.Effective, f.During = moment(c.span(o.at("effectiveTime"), at))
	if f.Effective.IsZero() && f.During.Start.IsZero() && c.fault == nil {
		f.Effective, f.During = moment(around.start, around.end)
		if around.untimely {
			c.problem(fhir.RuleInvalidTime, at.in("effectiveTime"), "want a time in the organizer or here")
		}
	}
	if f.Effective.IsZero() && f.During.Start.IsZero() {
		f.Issued = first(authored(o), around.authored)
	}
	for i := range o.each("interpretationCode") {
		f.Interpreted = append(f.Interpreted, list(c.concept(i))...)
	}
	ranges := c.ranges(o)
	var values []fhir.Value
	flavor := ""
	for v := range o.each("value") {
		if value, ok := c.value(v, at.in("value")); ok {
			values = append(values, value)
		} else if flavor == "" {
			flavor = v.attr("nullFlavor")
		}
	}
	if len(values) > 0 && status == "active" {
		f.Status = "preliminary" // registered is what has no value yet
	}
	switch {
	case len(values) > 1:
		for _, v := range values {
			f.Components = append(f.Components, fhir.Component{Code: f.Code, Value: v, Range: ranges})
		}
	case len(values) == 1:
		f.Value, f.Range = values[0], ranges
	default:
		f.Range = ranges
		if flavor != "" {
			f.Absent = one(absent, mapped(flavors, flavor))
		}
	}
	return f
}

// finding ends the making of a finding as give does.
func (c *converter) finding(o *element, f *fhir.Observation, at place) (ok bool) {
	c.required(f.Code, at.in("code"))
	f.ID = c.id("Observation", o, []string{codeKey(f.Code), f.Effective.Text + f.During.Start.Text}, saying(f.Value), strconv.Itoa(len(f.Components)))
	return c.give("Observation", f.ID, f, at)
}

// saying is a value as a part of an id.
func saying(v fhir.Value) string {
	switch {
	case v.Quantity != nil:
		return v.Quantity.Comparator + v.Quantity.Value.Text + v.Quantity.Unit
	case v.String != nil:
		return *v.String
	case v.Integer != nil:
		return strconv.Itoa(*v.Integer)
	case !v.Concept.IsZero():
		return codeKey(v.Concept)
	}
	return v.Time.Text
}

// value reads a value; ok is false if it is not there. One that is not of its type is a
// text.
func (c *converter) value(e *element, at place) (v fhir.Value, ok bool) {
	if v, ok = c.typed(e, at); ok || !e.is() || e.attr("value") == "" || c.fault != nil {
		return v, ok
	}
	text := strings.TrimSpace(e.attr("value") + " " + e.attr("unit"))
	return fhir.Value{String: &text}, true
}

// typed reads a value by its type.
func (c *converter) typed(e *element, at place) (v fhir.Value, ok bool) {
	switch e.attr("xsi:type") {
	case "PQ", "MO":
		v.Quantity = quantity(e)
		return v, v.Quantity != nil
	case "REAL":
		if d := decimal(e.attr("value")); d != nil {
			v.Quantity = &fhir.Quantity{Value: d}
		}
		return v, v.Quantity != nil
	case "INT":
		n, err := strconv.Atoi(e.attr("value"))
		v.Integer = &n
		return v, err == nil && e.is()
	case "IVL_PQ", "IVL_REAL", "IVL_INT":
		v = interval(e)
		return v, v.Quantity != nil || v.Range != nil
	case "RTO", "RTO_PQ_PQ", "RTO_QTY_QTY", "RTO_MO_PQ":
		low, high := quantity(e.at("numerator")), quantity(e.at("denominator"))
		v.Ratio = &[2]*fhir.Quantity{low, high}
		return v, low != nil && high != nil
	case "CD", "CE", "CV", "CO", "CS":
		v.Concept = c.concept(e)
		return v, !v.Concept.IsZero()
	case "TS":
		v.Time = c.time(e, at)
		return v, !v.Time.IsZero()
	case "IVL_TS":
		v.Period.Start, v.Period.End = c.time(e.at("low"), at), c.time(e.at("high"), at)
		return v, !v.Period.Start.IsZero() || !v.Period.End.IsZero()
	case "BL":
		yes := e.attr("value") == "true"
		v.Boolean = &yes
		return v, yes || e.attr("value") == "false"
	}
	return c.untyped(e)
}

// untyped reads a text, and a value whose type was left out, as its content has it.
func (c *converter) untyped(e *element) (v fhir.Value, ok bool) {
	if e.attr("xsi:type") == "" {
		if v.Quantity = quantity(e); v.Quantity != nil {
			return v, true
		}
		if v.Concept = c.concept(e); !v.Concept.IsZero() {
			return v, true
		}
	}
	if e.attr("representation") == "B64" {
		return v, false // a file
	}
	if text := c.words(e); text != "" {
		v.String = &text
	}
	return v, v.String != nil
}

// ranges reads what is normal; ranges that are of another interpretation are left out.
func (c *converter) ranges(o *element) []fhir.ReferenceRange {
	var all []fhir.ReferenceRange
	for r := range o.each("referenceRange") {
		r := r.at("observationRange")
		if i := r.at("interpretationCode").attr("code"); r == nil || i != "" && i != "N" {
			continue
		}
		one := fhir.ReferenceRange{Text: c.words(r.at("text"))}
		one.Low, one.High = limits(r.at("value"))
		if one.Text == "" && r.at("value") != nil {
			one.Text = r.at("value").words()
		}
		if one.Low != nil || one.High != nil || one.Text != "" {
			all = append(all, one)
		}
	}
	return all
}
