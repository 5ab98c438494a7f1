package ccda

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// results reads an organizer as a report with the findings in it, or a finding alone.
func (c *converter) results(e *element, at place) {
	if !happened(e) {
		return
	}
	at = at.in(e.name)
	switch e.name {
	case "observation":
		c.result(e, wrapper{}, at, "laboratory")
	case "organizer":
		found := c.components(e, at, "laboratory")
		c.report(e, found, at)
	}
}

// vitals reads an organizer's findings, which are no report.
func (c *converter) vitals(e *element, at place) {
	if !happened(e) {
		return
	}
	at = at.in(e.name)
	switch e.name {
	case "observation":
		c.result(e, wrapper{}, at, "vital-signs")
	case "organizer":
		c.components(e, at, "vital-signs")
	}
}

// components gives the findings of an organizer, and of those inside it.
func (c *converter) components(organizer *element, at place, category string) []fhir.Reference {
	var found []fhir.Reference
	around := wrapping(organizer)
	n := 0
	for component := range organizer.each("component") {
		n++
		at := at.nth("component", n)
		for o := range component.each("observation") {
			if id := c.result(o, around, at, category); id != "" {
				found = append(found, fhir.To("Observation", id))
			}
		}
		for inner := range component.each("organizer") {
			found = append(found, c.components(inner, at, category)...)
		}
	}
	return found
}

// result gives a finding and returns its id, empty if there is none.
func (c *converter) result(o *element, around wrapper, at place, category string) string {
	if !happened(o) {
		return ""
	}
	if negated(o) {
		c.keep("Negation", at)
		return ""
	}
	f := c.observation(o, around, at, category)
	if f.Code.IsZero() && o.at("code") != nil && !o.at("code").is() && o.at("value") == nil {
		c.fault = nil
		return "" // it says that nothing is known
	}
	if !c.finding(o, f, at) {
		return ""
	}
	return f.ID
}

// report gives the report that an organizer is. Its time is that of the findings, which
// have it from the organizer or their own, so that one that is no time does not cost the
// report.
func (c *converter) report(e *element, found []fhir.Reference, at place) {
	r := &fhir.DiagnosticReport{
		Status:   mapped(resultStatuses, e.at("statusCode").attr("code")),
		Category: []fhir.CodeableConcept{one("http://terminology.hl7.org/CodeSystem/v2-0074", "LAB")},
		Code:     c.concept(e.at("code")),
		Subject:  c.patient,
		Results:  found,
	}
	if r.Code.IsZero() {
		return // a mere group
	}
	if r.Effective, r.During = moment(c.span(e.at("effectiveTime"), at)); c.fault != nil {
		c.fault, r.Effective, r.During = nil, fhir.Time{}, fhir.Period{}
	}
	r.ID = c.id("DiagnosticReport", e, []string{codeKey(r.Code), r.Effective.Text + r.During.Start.Text})
	c.give("DiagnosticReport", r.ID, r, at)
}
