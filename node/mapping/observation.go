package mapping

import (
	"slices"
	"strconv"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/omop"
)

// value is what was found, and what the laboratory calls normal.
type value struct {
	number    *float64
	operator  int64
	concept   int64
	unit      code
	low, high *float64
	text      string // for people, of an observation
	source    string // as sent, if it is no number, or as collected before it was standardized
}

// observation maps an Observation and each of its components to rows of their own.
// A blood pressure is three: the panel without a value, systolic and diastolic.
func (m *mapping) observation(o *fhir.Observation) {
	e, ok := m.begin(o.Subject, "subject", o.Encounter, firstOf(o.Effective, o.During.Start, o.Issued), "effectiveDateTime")
	if !ok {
		return
	}
	e.Provider = providerKey(o.By)
	e.Invalid = slices.Contains([]string{"entered-in-error", "cancelled", "registered"}, o.Status)
	whole := e
	whole.code, whole.value = m.code(CodePart, o.Code), m.value(o.Value, o.Range)
	whole.usual = usual(o.Value, o.Category, len(o.Components) > 0)
	m.place(whole)
	for i, c := range o.Components {
		part := e
		part.part = "#" + strconv.Itoa(i)
		part.Pointer += ".component[" + strconv.Itoa(i) + "]"
		part.code, part.value = m.code(CodePart, c.Code), m.value(c.Value, c.Range)
		part.usual = usual(c.Value, o.Category, false)
		m.place(part)
	}
}

// usual is measurement for what was measured, else observation.
func usual(v fhir.Value, categories []fhir.CodeableConcept, components bool) omop.Table {
	measured := slices.ContainsFunc(categories, func(c fhir.CodeableConcept) bool { return says(c, "vital-signs", "laboratory") })
	if measured || components || v.Quantity != nil {
		return omop.MeasurementTable
	}
	return omop.ObservationTable
}

func (m *mapping) value(v fhir.Value, ranges []fhir.ReferenceRange) value {
	out := value{source: v.Collected}
	switch {
	case v.Quantity != nil:
		out.number, out.operator, out.unit = number(v.Quantity), operators[v.Quantity.Comparator], m.unit(v.Quantity)
	case !v.Concept.IsZero():
		c := m.code(ValuePart, v.Concept)
		out.concept, out.source, out.text = c.first(), c.source, v.Concept.Text
	case v.String != nil:
		out.text, out.source = *v.String, *v.String
	case v.Boolean != nil:
		out.concept, out.source = no, strconv.FormatBool(*v.Boolean)
		if *v.Boolean {
			out.concept = yes
		}
		out.text = out.source
	case v.Integer != nil:
		n := float64(*v.Integer)
		out.number = &n
	case v.Ratio != nil:
		out.source = decimal(v.Ratio[0]) + ":" + decimal(v.Ratio[1])
		out.text = out.source
	case v.Range != nil:
		out.source = decimal(v.Range[0]) + ".." + decimal(v.Range[1])
		out.text = out.source
	case !v.Time.IsZero():
		out.source, out.text = v.Time.Text, v.Time.Text
	case v.TimeText != "":
		out.source, out.text = v.TimeText, v.TimeText
	case !v.Period.Start.IsZero() || !v.Period.End.IsZero():
		out.source = v.Period.Start.Text + "/" + v.Period.End.Text
		out.text = out.source
	}
	// Of several ranges it is not known which one is for this person.
	if len(ranges) == 1 {
		out.low, out.high = number(ranges[0].Low), number(ranges[0].High)
	}
	return out
}

func number(q *fhir.Quantity) *float64 {
	if q == nil || q.Value == nil {
		return nil
	}
	n := q.Value.Value
	return &n
}

func decimal(q *fhir.Quantity) string {
	if q == nil || q.Value == nil {
		return ""
	}
	return q.Value.Text
}
