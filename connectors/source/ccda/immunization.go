package ccda

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

// immunizationStatuses are FHIR's of HL7 v3's ActStatus.
//
// Source: concept map CF-ImmunizationStatus of the C-CDA on FHIR guide; active, and none,
// which it leaves open, are of a statement that something took place.
var immunizationStatuses = map[string]string{
	"completed": "completed", "active": "completed", "": "completed", "obsolete": "not-done",
	"aborted": "not-done", "cancelled": "not-done", "held": "not-done", "suspended": "not-done", "new": "not-done",
	"nullified": "entered-in-error",
}

// anyVaccine are SNOMED codes of no certain vaccine: denied, they say that none was given.
var anyVaccine = []string{"71181003", "787859002", "33879002", "398827000"}

// immunization reads an immunization activity; one that is negated was not given.
func (c *converter) immunization(e *element, at place) {
	if e.name != "substanceAdministration" || !happened(e) {
		return
	}
	at = at.in(e.name)
	i := &fhir.Immunization{
		Status:    mapped(immunizationStatuses, e.at("statusCode").attr("code")),
		Vaccine:   c.product(e),
		Patient:   c.patient,
		LotNumber: e.at("consumable", "manufacturedProduct", "manufacturedMaterial", "lotNumberText").words(),
		Dose:      quantity(e.at("doseQuantity")),
	}
	if negated(e) && (i.Vaccine.IsZero() || has(i.Vaccine, snomed, anyVaccine...)) {
		c.keep("Negation", at)
		return
	}
	if i.Vaccine.IsZero() && e.at("consumable") != nil {
		return // it says that nothing is known
	}
	c.required(i.Vaccine, at.in("consumable"))
	for t := range e.each("effectiveTime") {
		if i.Occurred.IsZero() && t.attr("xsi:type") != "PIVL_TS" {
			i.Occurred, _ = c.span(t, at)
		}
	}
	if negated(e) {
		i.Status = "not-done"
	}
	if e.at("informant") != nil { // somebody told of it who did not give it
		first := false
		i.PrimarySource = &first
	}
	i.ID = c.id("Immunization", e, []string{codeKey(i.Vaccine), i.Occurred.Text}, i.LotNumber)
	c.give("Immunization", i.ID, i, at)
}
