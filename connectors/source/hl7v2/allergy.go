package hl7v2

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

const (
	allergyClinical     = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
	allergyVerification = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
)

// allergyCategories are FHIR's of HL7 table 0127.
//
// Source: concept map "AllergenType[AllergyIntoleranceCategory]" of the v2-to-FHIR guide.
var allergyCategories = map[string]string{
	"DA": "medication", "FA": "food", "EA": "environment", "LA": "environment", "AA": "biologic", "PA": "environment",
}

// criticalities and severities are FHIR's of HL7 table 0128.
//
// Source: concept maps "AllergySeverity[...]" of the v2-to-FHIR guide.
var (
	criticalities = map[string]string{"SV": "high", "MI": "low"}
	severities    = map[string]string{"SV": "severe", "MO": "moderate", "MI": "mild"}
)

// al1 reads an allergy. The patient and the substance name it, as AL1 has no number.
func (c *converter) al1(s *segment) {
	if !c.belongs(s) {
		return
	}
	a := c.allergy(s)
	a.Onset = c.time(s, 6)
	a.ID = fhir.Digest("AllergyIntolerance", "", c.patient.ID, codeKey(a.Code))
	c.give("AllergyIntolerance", s, a.ID, a)
}

// allergy reads what AL1 and IAM have in the same fields.
func (c *converter) allergy(s *segment) *fhir.AllergyIntolerance {
	kind := s.field(2).at(1).text()
	severity := s.field(4).at(1).text()
	a := &fhir.AllergyIntolerance{
		Clinical:    one(allergyClinical, "active"),
		Criticality: criticalities[severity],
		Code:        c.required(s, 3),
		Patient:     c.patient,
		Encounter:   c.visit,
		Recorded:    c.recorded,
	}
	if kind != "" && kind != "MC" { // a contraindication may be either
		a.Type = "allergy"
	}
	if category := allergyCategories[kind]; category != "" {
		a.Category = []string{category}
	}
	for _, f := range s.field(5).repeats() {
		// A word in place of a code is what was seen, not a code.
		r := concept(f)
		if len(r.Coding) == 1 && r.Coding[0].System == "" && r.Coding[0].Display == "" {
			r = fhir.CodeableConcept{Text: r.Coding[0].Code}
		}
		a.Reactions = append(a.Reactions, fhir.Reaction{Manifestation: []fhir.CodeableConcept{r}, Severity: severities[severity]})
	}
	return a
}

// iam reads an allergy that has a number and a life of its own (A60).
func (c *converter) iam(s *segment) {
	if !c.belongs(s) {
		return
	}
	a := c.allergy(s)
	a.Onset = c.time(s, 11)
	if reported := c.time(s, 13); !reported.IsZero() {
		a.Recorded = reported
	}
	switch s.field(17).at(1).text() {
	case "C":
		a.Verification = one(allergyVerification, "confirmed")
	case "U", "S", "P":
		a.Verification = one(allergyVerification, "unconfirmed")
	case "E":
		a.Verification = one(allergyVerification, "entered-in-error")
	case "D":
		a.Verification = one(allergyVerification, "refuted")
	case "I":
		a.Clinical = one(allergyClinical, "inactive")
	}
	if actionDeletes(s.field(6).at(1).text()) {
		a.Verification = one(allergyVerification, "entered-in-error")
	}
	if by, number := c.entity(s.field(7)); number != "" {
		a.ID = fhir.Digest("AllergyIntolerance", by, number)
	} else {
		a.ID = fhir.Digest("AllergyIntolerance", "", c.patient.ID, codeKey(a.Code))
	}
	c.give("AllergyIntolerance", s, a.ID, a)
}
