package table

import (
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

func (c *converter) person(r *record) fhir.Resource {
	p := &fhir.Patient{BirthDate: c.time(r, fieldBirth), Died: c.time(r, fieldDeath)}
	if at := r.fields[fieldSex]; c.text(at) != "" {
		sex, ok := sexOf(c.word(at))
		if !ok {
			c.fail(at, RuleUnknownWord, "no sex that FHIR has; say in codes: what the cell means")
		}
		p.Gender = sex
	}
	p.Race, p.RaceText = c.category(r.fields[fieldRace])
	p.Ethnicity, p.EthnicityText = c.category(r.fields[fieldEthnicity])
	return p
}

// sexOf reads FHIR's administrative gender, and its first letter.
func sexOf(word string) (sex string, ok bool) {
	switch strings.ToLower(word) {
	case "male", "m":
		return "male", true
	case "female", "f":
		return "female", true
	case "other", "o":
		return "other", true
	case "unknown", "u":
		return "unknown", true
	}
	return "", false
}

// category reads a race or ethnicity: an OMB category of US Core (2106-3) that the column
// or its codes: have, and the text.
func (c *converter) category(r ref) ([]fhir.Coding, string) {
	text, code := c.text(r), c.word(r)
	if code == text && !isLOINC(code) { // the categories have LOINC's check digit
		return nil, text
	}
	return []fhir.Coding{{System: race, Code: code, Display: text}}, text
}

func (c *converter) encounter(r *record) fhir.Resource {
	id := r.fields[fieldID]
	if c.count(id); c.text(id) == "" {
		c.fail(id, fhir.RuleMissingField, "a visit needs its number")
	}
	e := &fhir.Encounter{Status: c.status(r), Subject: c.subject(), Period: c.period(r)}
	if class := c.word(r.fields[fieldClass]); class != "" {
		e.Class = fhir.Coding{System: actCode, Code: class}
	}
	if kind := c.code(r); !kind.IsZero() {
		e.Type = []fhir.CodeableConcept{kind}
	}
	return e
}

// setID gives a resource the id of its record.
func setID(made fhir.Resource, id string) {
	switch r := made.(type) {
	case *fhir.Patient:
		r.ID = id
	case *fhir.Encounter:
		r.ID = id
	case *fhir.Observation:
		r.ID = id
	case *fhir.Condition:
		r.ID = id
	case *fhir.MedicationRequest:
		r.ID = id
	case *fhir.Procedure:
		r.ID = id
	case *fhir.Immunization:
		r.ID = id
	case *fhir.AllergyIntolerance:
		r.ID = id
	}
}
