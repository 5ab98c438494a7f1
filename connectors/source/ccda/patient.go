package ccda

import (
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
)

// genders are FHIR's administrative genders of HL7 v3's.
//
// Source: concept map CF-AdministrativeGender of the C-CDA on FHIR guide, and O and X as
// senders write them.
var genders = map[string]string{"F": "female", "M": "male", "UN": "other", "O": "other", "X": "other", "UNK": "unknown"}

// ombRaces are the five categories that a race is counted by; other codes of the CDC's set
// are details of one of them.
//
// Source: US Core, ValueSet omb-race-category.
var ombRaces = map[string]bool{"1002-5": true, "2028-9": true, "2054-5": true, "2076-8": true, "2106-3": true}

// header reads whom the document is about, and which visit.
func (c *converter) header(document *element) {
	role := document.at("recordTarget", "patientRole")
	id := patientID(role)
	targets := 0
	for range document.each("recordTarget") {
		targets++
	}
	at := place("recordTarget")
	switch {
	case targets > 1:
		c.problem(RuleNoPatient, at, "want a document about one patient")
	case id == "":
		c.problem(RuleNoPatient, at, "want an identifier in patientRole")
	}
	if c.fault != nil {
		c.give("", "", nil, at)
		return
	}
	c.patient = fhir.To("Patient", id)
	p := c.person(role.at("patient"), at)
	p.ID = id
	c.give("Patient", id, p, at)
	if visit := document.at("componentOf", "encompassingEncounter"); visit != nil {
		c.encompassing(visit)
	}
}

func (c *converter) person(e *element, at place) *fhir.Patient {
	p := &fhir.Patient{
		Gender:    gender(e.at("administrativeGenderCode")),
		BirthDate: hl7v2.Day(c.time(e.at("birthTime"), at)),
		Died:      c.time(e.at("sdtc:deceasedTime"), at),
	}
	if dead := e.at("sdtc:deceasedInd").attr("value"); p.Died.IsZero() && dead != "" {
		yes := dead == "true" || dead == "1"
		p.Deceased = &yes
	}
	p.Race, p.RaceText = c.categories(e, "raceCode", ombRaces)
	p.Ethnicity, p.EthnicityText = c.categories(e, "ethnicGroupCode", nil)
	return p
}

func gender(e *element) string {
	if e == nil {
		return ""
	}
	return mapped(genders, e.attr("code"))
}

// categories reads a code and what sdtc adds to it, those that are first before their
// details.
func (c *converter) categories(e *element, name string, first map[string]bool) (codes []fhir.Coding, text string) {
	var details []fhir.Coding
	for _, n := range []string{name, "sdtc:" + name} {
		for code := range e.each(n) {
			said := c.concept(code)
			for _, coding := range said.Coding {
				if first == nil || first[coding.Code] {
					codes = append(codes, coding)
				} else {
					details = append(details, coding)
				}
				if text == "" {
					text = coding.Display
				}
			}
			if text == "" {
				text = said.Text
			}
		}
	}
	return append(codes, details...), text
}
