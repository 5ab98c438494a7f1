package ccda

import (
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// classes are what some codes of CPT say about where a visit took place, by how they
// begin: offices and other outpatient places, emergency departments, hospitals.
//
// Source: headings of CPT's section Evaluation and Management.
var classes = map[string]string{"9920": "AMB", "9921": "AMB", "9928": "EMER", "9922": "IMP", "9923": "IMP"}

// encompassing reads the visit that the document is about.
func (c *converter) encompassing(e *element, at place) {
	if !e.is() {
		return
	}
	v := c.encounter(e, at)
	if by, _ := identified(e); by == "" && v.Period.Start.IsZero() {
		if _, number := identified(e); number == "" {
			c.fault = nil // nothing to tell it by
			return
		}
	}
	v.Status = "finished"
	if v.Period.End.IsZero() && e.at("effectiveTime", "low").is() {
		v.Status = "in-progress"
	}
	c.visit = to("Encounter", v.ID)
	c.give("Encounter", v.ID, v, at)
}

// encounterEntry reads a visit of the encounters section, and its diagnoses.
func (c *converter) encounterEntry(e *element, at place) {
	if e.name != "encounter" || !e.is() {
		return
	}
	at = at.in("encounter")
	v := c.encounter(e, at)
	switch e.attr("moodCode") {
	case "", "EVN":
		v.Status = "finished"
		switch e.at("statusCode").attr("code") {
		case "active":
			v.Status = "in-progress"
		case "aborted", "cancelled":
			v.Status = "cancelled"
		case "nullified":
			v.Status = "entered-in-error"
		}
	default:
		v.Status = "planned"
	}
	if negated(e) {
		v.Status = "cancelled"
	}
	c.give("Encounter", v.ID, v, at)
	for act, place := range related(e, at, "act") {
		c.concern(act, place, encounterDiagnosis, to("Encounter", v.ID))
	}
}

// encounter reads what both sorts of visits have.
func (c *converter) encounter(e *element, at place) *fhir.Encounter {
	v := &fhir.Encounter{Subject: c.patient, Discharge: c.concept(e.at("sdtc:dischargeDispositionCode"))}
	if d := e.at("dischargeDispositionCode"); d != nil {
		v.Discharge = c.concept(d)
	}
	v.Period.Start, v.Period.End = c.span(e.at("effectiveTime"), at)
	code := c.described(e.at("code"), e)
	kind := fhir.CodeableConcept{Text: code.Text}
	for _, coding := range code.Coding {
		switch {
		case coding.System == actCode && v.Class.Code == "":
			v.Class = fhir.Coding{System: actCode, Code: coding.Code, Display: coding.Display}
		default:
			kind.Coding = append(kind.Coding, coding)
		}
	}
	for _, coding := range kind.Coding {
		if v.Class.Code == "" && coding.System == cpt && len(coding.Code) == 5 {
			if class := classes[coding.Code[:4]]; class != "" {
				v.Class = fhir.Coding{System: actCode, Code: class}
			}
		}
	}
	if len(kind.Coding) > 0 || v.Class.Code == "" {
		v.Type = list(kind)
	}
	for o := range related(e, at, "observation", "RSON") {
		v.Reason = append(v.Reason, list(c.concept(o.at("value")))...)
	}
	v.ID = c.id("Encounter", e, []string{codeKey(code), v.Period.Start.Text}, v.Period.End.Text)
	return v
}
