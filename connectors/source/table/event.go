package table

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

func (c *converter) condition(r *record) fhir.Resource {
	p := c.period(r)
	state := "active"
	if !p.End.IsZero() {
		state = "resolved"
	}
	return &fhir.Condition{
		Code: c.code(r), Subject: c.subject(), Encounter: c.visit(r), Onset: p.Start, Abated: p.End, Clinical: one(clinical, state),
	}
}

func (c *converter) procedure(r *record) fhir.Resource {
	out := &fhir.Procedure{Status: c.status(r), Code: c.code(r), Subject: c.subject(), Encounter: c.visit(r)}
	if p := c.period(r); p.End.IsZero() {
		out.Performed = p.Start
	} else {
		out.During = p
	}
	return out
}

func (c *converter) immunization(r *record) fhir.Resource {
	return &fhir.Immunization{
		Status: c.status(r), Vaccine: c.code(r), Patient: c.subject(), Encounter: c.visit(r), Occurred: c.time(r, fieldTime),
		LotNumber: c.text(r.fields[fieldLot]), Dose: c.quantity(r.fields[fieldDose], c.unit(r.fields[fieldUnit])),
	}
}

func (c *converter) allergy(r *record) fhir.Resource {
	p := c.period(r)
	state := "active"
	if !p.End.IsZero() {
		state = "resolved"
	}
	out := &fhir.AllergyIntolerance{
		Code: c.code(r), Patient: c.subject(), Encounter: c.visit(r), Onset: p.Start, Clinical: one(allergyClinical, state),
		Type: c.word(r.fields[fieldType]),
	}
	if category := c.word(r.fields[fieldCategory]); category != "" {
		out.Category = []string{category}
	}
	return out
}

// medication makes a MedicationRequest, as a table of medications says what was ordered
// or taken home far more often than what was given.
func (c *converter) medication(r *record) fhir.Resource {
	p := c.period(r)
	out := &fhir.MedicationRequest{
		Status: c.status(r), Intent: "order", Medication: c.code(r), Subject: c.subject(), Encounter: c.visit(r), Authored: p.Start,
	}
	dosage := fhir.Dosage{Text: c.text(r.fields[fieldSig]), Dose: c.quantity(r.fields[fieldDose], c.unit(r.fields[fieldUnit]))}
	dosage.Route = c.concept(r.fields[fieldRoute], snomed, isSNOMED)
	if dosage.Text != "" || dosage.Dose != nil || !dosage.Route.IsZero() {
		out.Dosage = []fhir.Dosage{dosage}
	}
	if !p.End.IsZero() {
		out.Dispense.Validity = p
	}
	out.Dispense.Quantity = c.quantity(r.fields[fieldQuantity], fhir.Quantity{})
	out.Dispense.Supply = c.quantity(r.fields[fieldDays], fhir.Quantity{Unit: "d", System: ucums, Code: "d"})
	return out
}

// quantity reads a number in unit; a text that is none is a fault.
func (c *converter) quantity(r ref, unit fhir.Quantity) *fhir.Quantity {
	s := c.text(r)
	if s == "" {
		return nil
	}
	q, rule := parseNumber(s, c.m.comma)
	if rule != "" || q == nil {
		c.fail(r, fhir.RuleInvalidNumber, "want a number as decimal: says")
		return nil
	}
	q.Unit, q.System, q.Code = unit.Unit, unit.System, unit.Code
	return q
}
