package hl7v2

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// genders are FHIR's administrative genders of HL7 table 0001.
//
// Source: concept map "AdministrativeSex" of the v2-to-FHIR guide, and X of later versions.
var genders = map[string]string{
	"F": "female", "M": "male", "O": "other", "A": "other", "N": "other", "X": "other", "U": "unknown",
}

// ethnicities are the codes of CDC's race and ethnicity set for HL7 table 0189.
var ethnicities = map[string]string{"H": "2135-2", "N": "2186-5"}

// pid begins a patient's group.
func (c *converter) pid(s *segment) {
	c.endGroup()
	c.visit, c.order, c.orphaned = fhir.Reference{}, order{}, false
	id := c.subjectOf(s)
	c.patient = fhir.To("Patient", id)
	if id == "" {
		c.belongs(s)
		return
	}
	if c.mergeEvent() && s.field(7).empty() {
		return // it only says which number survives
	}
	p := c.person(s)
	p.ID = id
	c.give("Patient", s, id, p)
}

// subjectOf is the id of the patient whom a PID names.
func (c *converter) subjectOf(s *segment) string {
	if id := c.patientID(s.field(3)); id != "" {
		return id
	}
	return c.patientID(s.field(2)) // the external id, before 2.7
}

func (c *converter) person(s *segment) *fhir.Patient {
	p := &fhir.Patient{
		Gender:    genders[s.field(8).at(1).text()],
		BirthDate: Day(c.time(s, 7)),
		Died:      c.time(s, 29),
	}
	if p.Died.IsZero() {
		p.Deceased = yesOrNo(s.field(30).text())
	}
	p.Race, p.RaceText = categories(s.field(10), nil)
	p.Ethnicity, p.EthnicityText = categories(s.field(22), ethnicities)
	return p
}

// yesOrNo reads HL7 table 0136, and the words some write instead.
func yesOrNo(s string) *bool {
	yes := s == "Y" || s == "YES"
	if !yes && s != "N" && s != "NO" {
		return nil
	}
	return &yes
}

// categories reads races or ethnicities; codes of a table are replaced by CDC's.
func categories(f field, cdc map[string]string) (codes []fhir.Coding, text string) {
	for _, one := range concepts(f) {
		for _, coding := range one.Coding {
			if code := cdc[coding.Code]; code != "" {
				coding = fhir.Coding{System: race, Code: code, Display: coding.Display}
			}
			codes = append(codes, coding)
			if text == "" {
				text = coding.Display
			}
		}
		if one.Text != "" {
			text = one.Text
		}
	}
	return codes, text
}
