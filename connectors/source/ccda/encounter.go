package ccda

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// classes are what some codes of CPT say about where a visit took place, by how they
// begin: offices and other outpatient places, emergency departments, hospitals.
//
// Source: "Encounters" of the C-CDA on FHIR guide, which gives some of them as examples, and
// the headings of CPT's section Evaluation and Management.
var classes = map[string]string{"9920": "AMB", "9921": "AMB", "9924": "AMB", "9928": "EMER", "9922": "IMP", "9923": "IMP", "9925": "IMP"}

// pending is the visit of the header. It waits for the encounters section, which may
// speak of it too, so that one visit is one record.
type pending struct {
	visit *fhir.Encounter
	line  int
	raw   []byte
}

const encompassingEncounter place = "encompassingEncounter"

// encompassing reads the visit that the document is about.
func (c *converter) encompassing(e *element) {
	if !e.is() {
		return
	}
	v := c.encounter(e, encompassingEncounter)
	if _, number := identified(e); number == "" && v.Period.Start.IsZero() {
		c.fault = nil // nothing to tell it by
		return
	}
	v.Status = "finished"
	if v.Period.End.IsZero() && e.at("effectiveTime", "low").is() {
		v.Status = "in-progress"
	}
	if c.fault != nil {
		c.give("Encounter", v.ID, v, encompassingEncounter)
		return
	}
	c.visit, c.about = fhir.To("Encounter", v.ID), pending{v, c.line, c.raw}
}

// finish gives the visit of the header, if no section spoke of it.
func (c *converter) finish() {
	if v := c.about; v.visit != nil {
		c.about, c.line, c.raw = pending{}, v.line, v.raw
		c.give("Encounter", v.visit.ID, v.visit, encompassingEncounter)
	}
}

// join adds to v what the header says of the same visit.
func (c *converter) join(v *fhir.Encounter) {
	h := c.about.visit
	if h == nil || h.ID != v.ID {
		return
	}
	c.about = pending{}
	if v.Period.Start.IsZero() {
		v.Period.Start = h.Period.Start
	}
	if v.Period.End.IsZero() {
		v.Period.End = h.Period.End
	}
	if v.Class.Code == "" {
		v.Class = h.Class
	}
	if v.Discharge.IsZero() {
		v.Discharge = h.Discharge
	}
}

// visitStatuses are FHIR's of HL7 v3's ActStatus, where that says more than the times do.
//
// Source: concept map CF-EncounterStatus of the C-CDA on FHIR guide.
var visitStatuses = map[string]string{
	"aborted": "unknown", "cancelled": "cancelled", "held": "planned", "new": "unknown", "suspended": "onleave",
	"nullified": "entered-in-error",
}

// visitStatus is what a visit of the encounters section is.
func visitStatus(e *element, period fhir.Period) string {
	status := e.at("statusCode").attr("code")
	switch mood := e.attr("moodCode"); {
	case mood != "" && mood != "EVN":
		return "planned"
	case negated(e):
		return "cancelled"
	case visitStatuses[status] != "":
		return visitStatuses[status]
	case status == "active" && period.End.IsZero() && e.at("effectiveTime", "low").is():
		return "in-progress"
	}
	return "finished"
}

// encounterEntry reads a visit of the encounters section, and its diagnoses.
func (c *converter) encounterEntry(e *element, at place) {
	if e.name != "encounter" || !e.is() {
		return
	}
	at = at.in("encounter")
	v := c.encounter(e, at)
	v.Status = visitStatus(e, v.Period)
	if c.fault == nil {
		c.join(v)
	}
	visit := fhir.To("Encounter", v.ID)
	if !c.give("Encounter", v.ID, v, at) {
		visit = fhir.Reference{}
	}
	for act, place := range related(e, at, "act") {
		c.concern(act, place, encounterDiagnosis, visit)
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
	v.ID = c.visitID(e, codeKey(code), v.Period)
	return v
}
