package cdisc

import (
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// medication makes a MedicationRequest of what was taken along (CM) or given by the trial
// (EX): the mapping has one kind of drug exposure, and takes it from that.
func (c *converter) medication() fhir.Resource {
	if c.of("STAT") == notDone {
		return nil
	}
	start, end := c.timeOf("STDTC"), c.timeOf("ENDTC")
	if start.IsZero() { // the first day on which it is known to have been taken
		start = firstOf(c.timeOf("DTC"), end)
		if !end.IsZero() && end.At.Before(start.At) {
			start = end
		}
	}
	o := &fhir.MedicationRequest{Status: "completed", Intent: "order", Medication: c.term("TRT"), Subject: c.who(), Authored: start}
	if !end.IsZero() {
		o.Dispense.Validity = fhir.Period{Start: start, End: end}
	}
	if c.ongoing() {
		o.Status = "active"
	}
	dosage := fhir.Dosage{Dose: c.dose(), Route: c.route()}
	dosage.Text = c.instruction()
	if dosage.Text != "" || !dosage.Route.IsZero() {
		o.Dosage = []fhir.Dosage{dosage}
	}
	if c.of("OCCUR") == "N" {
		o.Status = "cancelled"
		if start.IsZero() {
			return nil
		}
	}
	c.needs(start, "STDTC", "STDY")
	return o
}

// dose is the amount at one time, nil if it is not a number. A dose of 0 is one in EX, as of
// a placebo; elsewhere nobody takes nothing, and some CSV files have 0 for a missing dose.
func (c *converter) dose() *fhir.Quantity {
	q := quantity(c.of("DOSE"))
	if q == nil || q.Value.Value == 0 && c.domain != "EX" {
		return nil
	}
	c.units.set(q, c.of("DOSU"))
	return q
}

// instruction is the dosage in words: "54 mg PATCH QD".
func (c *converter) instruction() string {
	parts := []string{c.of("DOSTXT"), c.of("DOSU"), c.of("DOSFRM"), c.of("DOSFRQ")}
	if c.dose() != nil {
		parts[0] = c.of("DOSE")
	} else if parts[0] == "" {
		parts[1] = ""
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

// route is the way of administration: CDISC's term, and SNOMED CT's concept of it.
func (c *converter) route() fhir.CodeableConcept {
	term := c.of("ROUTE")
	if term == "" {
		return fhir.CodeableConcept{}
	}
	o := fhir.CodeableConcept{Text: term, Coding: []fhir.Coding{{System: "CDISC ROUTE", Code: term}}}
	if code, ok := routes[term]; ok {
		o.Coding = append(o.Coding, fhir.Coding{System: snomed, Code: code, Display: strings.ToLower(term)})
	}
	return o
}

// substance makes an Observation of the use of tobacco, alcohol or coffee: SUDOSE if it is
// said, else SUDOSTXT, else whether.
func (c *converter) substance() fhir.Resource {
	o := &fhir.Observation{
		Status: "final", Category: inCategory("social-history"), Code: c.term("TRT"), Subject: c.who(),
		Effective: firstOf(c.timeOf("DTC"), c.timeOf("STDTC")),
	}
	if o.Value.Quantity = c.dose(); o.Value.Quantity == nil {
		for _, name := range []string{"DOSTXT", "OCCUR"} {
			if s := c.of(name); s != "" && o.Value.String == nil {
				o.Value.String = &s
			}
		}
	}
	if c.of("STAT") == notDone {
		return nil
	}
	c.needs(o.Effective, "DTC", "DY")
	return o
}
