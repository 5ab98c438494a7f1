package hl7v2

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// vaccination is an Immunization; results behind its RXA have its time.
type vaccination struct {
	segment  *segment
	resource *fhir.Immunization
}

// completions are FHIR's of HL7 table 0322 (RXA-20).
//
// Source: concept map "CompletionStatus" of the v2-to-FHIR guide.
var completions = map[string]string{"CP": "completed", "PA": "completed", "": "completed", "RE": "not-done", "NA": "not-done"}

// rxa reads an administration: a vaccination in a VXU, else a MedicationAdministration,
// which is kept raw.
func (c *converter) rxa(s *segment) {
	c.endVaccination()
	if c.kind != "VXU" && c.kind != "VXR" && c.kind != "RSP" {
		c.keep("MedicationAdministration", s, c.orderID("MedicationAdministration"), s.raw)
		return
	}
	if !c.belongs(s) {
		return
	}
	i := &fhir.Immunization{
		Status:        mapped(completions, s.field(20).text()),
		Vaccine:       c.required(s, 5),
		Patient:       c.patient,
		Encounter:     c.visit,
		Occurred:      c.time(s, 3),
		PrimarySource: primarySource(s.field(9)),
		LotNumber:     s.field(15).at(1).text(),
	}
	// 999 is the guide's word for an unknown amount.
	if amount := s.field(6).at(1).text(); amount != "999" {
		i.Dose = ParseQuantity(amount, unitOf(s.field(7)))
	}
	if code, ok := i.Vaccine.In(systems["CVX"]); ok && code.Code == "998" {
		i.Status = "not-done" // "no vaccine administered"
	}
	if actionDeletes(s.field(21).text()) {
		i.Status = "entered-in-error"
	}
	if c.order.number != "" {
		i.ID = fhir.Digest("Immunization", c.order.by, c.order.number, codeKey(i.Vaccine))
	} else {
		i.ID = fhir.Digest("Immunization", "", c.patient.ID, codeKey(i.Vaccine), c.when(i.Occurred))
	}
	c.give("Immunization", s, i.ID, i)
	c.given = &vaccination{s, i}
}

// primarySource reads RXA-9 (CDC's NIP001): 00 was given here, 01 to 08 are history.
func primarySource(notes field) *bool {
	for _, n := range notes.repeats() {
		if code := n.at(1).text(); len(code) == 2 && code[0] == '0' {
			here := code == "00"
			return &here
		}
	}
	return nil
}

func (c *converter) endVaccination() { c.given = nil }
