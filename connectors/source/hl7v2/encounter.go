package hl7v2

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// classes are the v3 ActCode of HL7 table 0004. A class that is not here keeps the
// code of the table.
//
// Source: concept map "PatientClass[EncounterClass]" of the v2-to-FHIR guide; R, who comes
// again and again, is ambulatory by our own reading.
var classes = map[string]string{"E": "EMER", "I": "IMP", "O": "AMB", "P": "PRENC", "R": "AMB"}

// eventStatus is what some trigger events say about the visit, whatever PV1 repeats.
var eventStatus = map[string]string{
	"A03": "finished",
	"A05": "planned", "A14": "planned", "A38": "cancelled",
	"A11": "cancelled", "A27": "cancelled",
	"A23": "entered-in-error",
}

// underway are the events that take place during a visit, so that a pre-admission
// class (P) left in PV1-2 does not make it a plan.
var underway = map[string]bool{
	"A01": true, "A02": true, "A04": true, "A06": true, "A07": true, "A09": true, "A10": true, "A12": true, "A13": true,
	"A15": true, "A16": true, "A25": true, "A26": true,
}

// pv1 reads the visit. Without a visit number the patient and the admission name it;
// without both there is none. A message that is not about the visit, such as a result,
// gives it only if it says when it began.
func (c *converter) pv1(s *segment) {
	c.visit = fhir.Reference{}
	admitted := c.timeOf(s.field(44))
	id := c.assigned("Encounter", s.field(19))
	if id == "" && c.patient.ID != "" && !admitted.IsZero() {
		id = fhir.Digest("Encounter", c.patient.ID, admitted.Text)
	}
	if id == "" {
		return
	}
	c.visit = fhir.To("Encounter", id)
	if !c.belongs(s) || c.mergeEvent() || c.kind != "ADT" && c.kind != "BAR" && admitted.IsZero() {
		return
	}
	e := c.encounter(s)
	e.ID = id
	c.give("Encounter", s, id, e)
}

func (c *converter) encounter(s *segment) *fhir.Encounter {
	e := &fhir.Encounter{
		Class:     class(s.field(2).at(1).text()),
		Subject:   c.patient,
		Period:    fhir.Period{Start: c.time(s, 44), End: c.time(s, 45)},
		Discharge: withSystem(concept(s.field(36)), tables+"0112"),
	}
	if kind := concept(s.field(4)); !kind.IsZero() {
		e.Type = append(e.Type, withSystem(kind, tables+"0007"))
	}
	if pv2 := c.after(s, "PV2"); pv2 != nil {
		e.Reason = concepts(pv2.field(3))
	}
	if c.event == "A13" { // cancel discharge
		e.Period.End, e.Discharge = fhir.Time{}, fhir.CodeableConcept{}
	}
	e.Status = c.visitStatus(s.field(2).at(1).text(), !e.Period.End.IsZero())
	return e
}

func (c *converter) visitStatus(patientClass string, ended bool) string {
	status := ""
	if c.kind == "ADT" {
		status = eventStatus[c.event]
	}
	switch {
	case status != "":
		return status
	case ended:
		return "finished"
	case patientClass == "P" && !(c.kind == "ADT" && underway[c.event]):
		return "planned"
	}
	return "in-progress"
}

func class(code string) fhir.Coding {
	if act := classes[code]; act != "" {
		return fhir.Coding{System: actCode, Code: act}
	}
	if code == "" {
		return fhir.Coding{}
	}
	return fhir.Coding{System: tables + "0004", Code: code}
}

// after is the segment of the given name that belongs to s: behind it, before the next
// of s's own name.
func (c *converter) after(s *segment, name string) *segment {
	for i := s.index + 1; i < len(c.msg.segments); i++ {
		switch other := &c.msg.segments[i]; other.name {
		case name:
			return other
		case s.name:
			return nil
		}
	}
	return nil
}
