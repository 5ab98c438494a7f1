package hl7v2

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// resultStatuses are FHIR's of HL7 table 0085.
//
// Source: concept map "ObservationResultStatusCodesInterpretation" of the v2-to-FHIR
// guide; B, I, N, R, S, U and V, which it leaves open, by their definition. O, the answer
// to a question in an order, has no result status and is unknown.
var resultStatuses = map[string]string{
	"A": "amended", "B": "amended", "C": "corrected", "D": "entered-in-error", "F": "final", "I": "registered", "N": "cancelled",
	"P": "preliminary", "R": "preliminary", "S": "preliminary", "U": "final", "V": "final", "W": "entered-in-error", "X": "cancelled",
}

// obx reads a result. Behind a TXA it is the text of a document.
func (c *converter) obx(s *segment) {
	if c.document || !c.belongs(s) {
		return
	}
	o := c.result(s)
	o.ID = c.resultID(s, o)
	if c.reported != nil && c.fault == nil {
		c.reported.resource.Results = append(c.reported.resource.Results, fhir.To("Observation", o.ID))
	}
	c.give("Observation", s, o.ID, o)
}

// resultID names a result by its order, its code and its sub-id, so that a correction
// takes the place of what it corrects. Without an order's number it is named by the
// patient and the time.
func (c *converter) resultID(s *segment, o *fhir.Observation) string {
	code, sub := codeKey(o.Code), s.field(4).text()
	key := []string{"Observation", c.order.by, c.order.number, c.order.service, code, sub}
	if c.order.number == "" {
		at := o.Effective
		if at.IsZero() {
			at = o.During.Start
		}
		key = []string{"Observation", "", c.patient.ID, c.order.service, c.when(at), code, sub}
	}
	id := fhir.Digest(key...)
	if n := c.ordinal(id); n != "0" {
		return fhir.Digest(append(key, n)...)
	}
	return id
}

func (c *converter) result(s *segment) *fhir.Observation {
	o := &fhir.Observation{
		Status:    mapped(resultStatuses, s.field(11).text()),
		Code:      c.required(s, 3),
		Subject:   c.patient,
		Encounter: c.visit,
		Effective: c.time(s, 14),
		Issued:    c.time(s, 19),
	}
	if c.order.laboratory {
		o.Category = append(o.Category, one("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory"))
	}
	if o.Effective.IsZero() {
		o.Effective, o.During = moment(c.order.start, c.order.end)
	}
	if o.Effective.IsZero() && o.During.Start.IsZero() && c.given != nil {
		o.Effective = c.given.resource.Occurred
	}
	unit := unitOf(s.field(6))
	var ranges []fhir.ReferenceRange
	if text := s.field(7).text(); text != "" {
		ranges = append(ranges, parseRange(text, unit))
	}
	for _, i := range concepts(s.field(8)) {
		o.Interpreted = append(o.Interpreted, withSystem(i, interpretations))
	}
	values := c.values(s, unit)
	switch {
	case len(values) == 1:
		o.Value, o.Range = values[0], ranges
	case len(values) > 1:
		for _, v := range values {
			o.Components = append(o.Components, fhir.Component{Code: o.Code, Value: v, Range: ranges})
		}
	default:
		o.Range = ranges
	}
	if len(values) == 0 && o.Status == "final" {
		o.Absent = one("http://terminology.hl7.org/CodeSystem/data-absent-reason", "unknown")
	}
	return o
}
