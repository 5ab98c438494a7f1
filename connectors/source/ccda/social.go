package ccda

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// questions are the LOINC codes of what templates ask whose code is only ASSERTION, as
// R1.1 had them.
//
// Source: Smoking Status, Tobacco Use and Pregnancy Observation of C-CDA R2.1; LOINC
// 82810-3, pregnancy status, by the C-CDA on FHIR guide.
var questions = map[string]string{
	"2.16.840.1.113883.10.20.22.4.78": "72166-2",
	"2.16.840.1.113883.10.20.22.4.85": "11367-0",
	"2.16.840.1.113883.10.20.15.3.8":  "82810-3",
}

// socialHistory reads a finding of social history.
func (c *converter) socialHistory(e *element, at place) {
	if e.name == "organizer" {
		c.components(e, at.in(e.name), "social-history")
		return
	}
	if e.name != "observation" || !happened(e) {
		return
	}
	at = at.in(e.name)
	if negated(e) {
		c.keep("Negation", at)
		return
	}
	f := c.observation(e, wrapper{}, at, "social-history")
	if e.at("code").attr("code") == "ASSERTION" {
		c.asserted(e, f)
	}
	c.finding(e, f, at)
}

// asserted gives a finding whose code only says that its value is so the code of its
// question; if that is not known, the value is what the finding is about.
func (c *converter) asserted(e *element, f *fhir.Observation) {
	for t := range e.each("templateId") {
		if code := questions[t.attr("root")]; code != "" {
			f.Code = one(loinc, code)
			return
		}
	}
	if !f.Value.Concept.IsZero() {
		f.Code, f.Value = f.Value.Concept, fhir.Value{}
	}
}
