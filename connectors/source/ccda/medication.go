package ccda

import (
	"math"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// medicationStatuses are FHIR's of HL7 v3's ActStatus.
//
// Source: concept map CF-MedicationStatus of the C-CDA on FHIR guide; cancelled, held and
// new, which it leaves open, by their definition.
var medicationStatuses = map[string]string{
	"active": "active", "completed": "completed", "aborted": "stopped", "cancelled": "cancelled",
	"held": "on-hold", "suspended": "on-hold", "nullified": "entered-in-error", "new": "draft",
}

// Templates.
const (
	freeTextSig = "147"
	supplyOrder = "17"
)

// medication reads a medication activity, or those in an act around it. One that was
// intended (INT) or ordered counts as much as one that took place (EVN): it is how senders
// write the list of what a patient takes. A proposal does not.
func (c *converter) medication(e *element, at place) {
	switch e.name {
	case "act":
		for s, place := range related(e, at.in("act"), "substanceAdministration") {
			c.medication(s, place)
		}
		return
	case "organizer":
		n := 0
		for component := range e.each("component") {
			n++
			for s := range component.each("substanceAdministration") {
				c.medication(s, at.in("organizer").nth("component", n))
			}
		}
		return
	case "substanceAdministration":
	default:
		return
	}
	at = at.in(e.name)
	if negated(e) {
		c.keep("Negation", at)
		return
	}
	if mood := e.attr("moodCode"); !e.is() || !oneOf(mood, []string{"", "EVN", "INT", "RQO"}) {
		return
	}
	code := c.product(e)
	if code.IsZero() && e.at("consumable") != nil {
		return // it says that nothing is known
	}
	m := &fhir.MedicationRequest{
		Status:     mapped(medicationStatuses, e.at("statusCode").attr("code")),
		Intent:     "order",
		Medication: code,
		Subject:    c.patient,
	}
	c.required(code, at.in("consumable"))
	dose := c.dosage(e, at, m)
	m.Dosage = []fhir.Dosage{dose}
	if m.Dispense.Validity.Start.IsZero() {
		m.Authored = authored(e)
	}
	for o := range related(e, at, "observation", "RSON") {
		m.Reason = append(m.Reason, list(c.concept(o.at("value")))...)
	}
	for s := range related(e, at, "supply") {
		c.supply(s, m)
	}
	m.ID = c.id("MedicationRequest", e, []string{codeKey(code), m.Dispense.Validity.Start.Text, m.Authored.Text}, m.Dispense.Validity.End.Text, dose.Text)
	c.give("MedicationRequest", m.ID, m, at)
}

// product is what was taken.
func (c *converter) product(e *element) fhir.CodeableConcept {
	product := e.at("consumable", "manufacturedProduct")
	material := product.at("manufacturedMaterial")
	if material == nil {
		material = product.at("manufacturedLabeledDrug")
	}
	code := c.concept(material.at("code"))
	if code.IsZero() {
		code.Text = material.at("name").words()
	}
	return code
}

// dosage reads how much was taken, how often and, into m, from when to when.
func (c *converter) dosage(e *element, at place, m *fhir.MedicationRequest) (d fhir.Dosage) {
	for t := range e.each("effectiveTime") {
		switch t.attr("xsi:type") {
		case "PIVL_TS":
			period := t.at("period")
			if q := quantity(period); q != nil {
				d.Period, d.PeriodUnit = q.Value, q.Code
			} else if low, _ := limits(period); low != nil { // every 4 to 6 hours
				d.Period, d.PeriodUnit = low.Value, low.Code
			}
			if d.Period != nil {
				once := 1
				d.Frequency = &once
			}
		case "EIVL_TS", "SXPR_TS":
		default:
			if !m.Dispense.Validity.Start.IsZero() || !m.Dispense.Validity.End.IsZero() {
				continue
			}
			start, end := c.span(t, at)
			if t.attr("value") != "" { // once
				end = start
			}
			m.Dispense.Validity = fhir.Period{Start: start, End: end}
		}
	}
	amount := e.at("doseQuantity")
	if d.Dose = quantity(amount); d.Dose == nil {
		// From one to two tablets is not one dose.
		if low, high := limits(amount); low != nil && (high == nil || high.Value.Value == low.Value.Value) {
			d.Dose = low
		}
	}
	d.Route = c.concept(e.at("routeCode"))
	for p := range e.each("precondition") {
		needed := p.is()
		d.AsNeeded = &needed
	}
	for s := range related(e, at, "substanceAdministration") {
		if s.of(freeTextSig) && d.Text == "" {
			d.Text = c.words(s.at("text"))
		}
	}
	return d
}

// supply reads an order to hand out. It says how often that may be done, the first time
// included.
//
// Source: Medication Supply Order of C-CDA R2.1, on repeatNumber.
func (c *converter) supply(e *element, m *fhir.MedicationRequest) {
	if !e.of(supplyOrder) && e.attr("moodCode") == "EVN" {
		return // what was handed out
	}
	if q := quantity(e.at("quantity")); q != nil {
		m.Dispense.Quantity = q
	}
	if n := decimal(e.at("repeatNumber").attr("value")); n != nil && n.Value >= 1 && n.Value <= math.MaxInt16 {
		repeats := int(n.Value) - 1
		m.Dispense.Repeats = &repeats
	}
}
