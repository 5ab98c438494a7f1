package hl7v2

import (
	"strconv"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// medication is the MedicationRequest of one order. RXO is what was ordered and RXE
// what the pharmacy made of it; they are one order, so RXE takes the place of RXO.
type medication struct {
	segment  *segment
	resource *fhir.MedicationRequest
	fault    *fhir.Problem
}

// orderStatuses are FHIR's request statuses of HL7 table 0119 (ORC-1), by their
// definition.
var orderStatuses = map[string]string{
	"NW": "active", "OK": "active", "RE": "active", "XO": "active", "XX": "active", "RO": "active", "RF": "active", "RL": "active", "SC": "active", "SN": "active", "NA": "active", "PA": "active",
	"CA": "cancelled", "OC": "cancelled", "CR": "cancelled", "DC": "stopped", "OD": "stopped", "DR": "stopped",
	"HD": "on-hold", "OH": "on-hold", "HR": "on-hold", "DE": "entered-in-error",
}

func (c *converter) rxo(s *segment) {
	c.ordered(s, 1, "original-order", [...]int{2, 4, 7, 11, 12, 13})
}

func (c *converter) rxe(s *segment) {
	c.ordered(s, 2, "filler-order", [...]int{3, 5, 7, 10, 11, 12})
}

// ordered reads an RXO or RXE. The fields are those of the amount to give, its unit,
// the instructions, the amount to dispense, its unit and the number of refills.
func (c *converter) ordered(s *segment, code int, intent string, at [6]int) {
	if !c.belongs(s) {
		return
	}
	r := &fhir.MedicationRequest{
		ID:         c.medicationID(s, code),
		Status:     mapped(orderStatuses, c.order.control),
		Intent:     intent,
		Medication: c.required(s, code),
		Subject:    c.patient,
		Encounter:  c.visit,
		Authored:   c.order.authored,
	}
	dose := fhir.Dosage{Text: instructions(s.field(at[2]))}
	dose.Dose = ParseQuantity(s.field(at[0]).at(1).text(), unitOf(s.field(at[1])))
	r.Dosage = []fhir.Dosage{dose}
	r.Dispense.Quantity = ParseQuantity(s.field(at[3]).at(1).text(), unitOf(s.field(at[4])))
	if n, err := strconv.ParseInt(s.field(at[5]).at(1).text(), 10, 32); err == nil {
		repeats := int(n)
		r.Dispense.Repeats = &repeats
	}
	c.request = &medication{segment: s, resource: r, fault: c.fault}
	c.fault = nil
}

func instructions(f field) string {
	text := ""
	for _, i := range f.repeats() {
		line := i.at(2).text()
		if line == "" {
			line = i.at(1).text()
		}
		if text != "" {
			text += "; "
		}
		text += line
	}
	return text
}

func (c *converter) medicationID(s *segment, code int) string {
	if c.order.number != "" {
		return fhir.Digest("MedicationRequest", c.order.by, c.order.number)
	}
	return fhir.Digest("MedicationRequest", "", c.patient.ID, codeKey(concept(s.field(code))), c.when(c.order.authored))
}

// rxr adds the route to the order before it.
func (c *converter) rxr(s *segment) {
	if c.request != nil && c.request.resource.Dosage[0].Route.IsZero() {
		c.request.resource.Dosage[0].Route = withSystem(concept(s.field(1)), tables+"0162")
	}
}

// rxd is a dispense; there is no struct for it.
func (c *converter) rxd(s *segment) {
	c.keep("MedicationDispense", s, c.orderID("MedicationDispense"), s.raw)
}

// endMedication gives the request once its routes have been read.
func (c *converter) endMedication() {
	if r := c.request; r != nil {
		c.request, c.fault = nil, r.fault
		c.give("MedicationRequest", r.segment, r.resource.ID, r.resource)
	}
}
