package cdisc

import (
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// finding makes the Observation of a row with a test. One that was not done is cancelled, so
// that it takes the place of a result that an earlier delivery had.
func (c *converter) finding() fhir.Resource {
	o := &fhir.Observation{
		Status: "final", Category: inCategory(categoryOf[c.domain]), Code: c.test(), Subject: c.who(), Encounter: c.visit(),
		Effective: c.timeOf("DTC"),
	}
	if end := c.timeOf("ENDTC"); !end.IsZero() { // a collection, such as urine of 24 hours
		o.During = fhir.Period{Start: firstOf(o.Effective, end), End: end}
	}
	if flag, ok := flags[c.of("NRIND")]; ok {
		o.Interpreted = []fhir.CodeableConcept{one(interpretations, flag)}
	}
	if c.of("STAT") == notDone {
		o.Status, o.Absent = "cancelled", one(absentReason, "not-performed")
		if o.Effective.IsZero() {
			return nil
		}
		return o
	}
	c.result(o)
	c.needs(firstOf(o.Effective, o.During.Start), "DTC", "DY")
	return o
}

// test is what was measured: the LOINC code that the row has, else that of a vital sign, and
// CDISC's term. A finding about an event (FA) is named with that, as its test alone is only
// "Occurrence Indicator" or "Severity".
func (c *converter) test() fhir.CodeableConcept {
	o := fhir.CodeableConcept{Text: c.of("TEST")}
	code := c.of("TESTCD")
	if code == "" {
		c.fail(c.domain+"TESTCD", fhir.RuleMissingField, "a record needs to say what it is about")
	}
	if object := c.of("OBJ"); object != "" {
		o.Text += ": " + object
		return o
	}
	known := c.of("LOINC")
	if known == "" && c.domain == "VS" {
		known = vitalSigns[code]
	}
	if known != "" {
		o.Coding = append(o.Coding, fhir.Coding{System: loinc, Code: known})
	}
	o.Coding = append(o.Coding, fhir.Coding{System: "CDISC " + c.domain + "TESTCD", Code: code, Display: o.Text})
	return o
}

// result takes the standardized result with its unit, and that as collected beside it; if
// there is no standardized one, that as collected. --STRESC says it, as --STRESN is its copy
// as a number: some CSV files have 0 there where it is missing.
func (c *converter) result(o *fhir.Observation) {
	text, unit, low, high := c.of("STRESC"), "STRESU", "STNRLO", "STNRHI"
	collected := strings.TrimSpace(c.of("ORRES") + " " + c.of("ORRESU"))
	if _, ok := c.own["STRESC"]; !ok {
		text = c.of("STRESN")
	}
	if text == "" {
		text, unit, low, high = c.of("ORRES"), "ORRESU", "ORNRLO", "ORNRHI"
	}
	if text == "" {
		o.Absent = one(absentReason, "unknown")
		return
	}
	if q := quantity(text); q != nil {
		c.units.set(q, c.of(unit))
		o.Value.Quantity = q
	} else {
		o.Value.String = &text
	}
	if unit == "STRESU" && collected != strings.TrimSpace(text+" "+c.of(unit)) {
		o.Value.Collected = collected
	}
	r := fhir.ReferenceRange{Low: c.limit(low), High: c.limit(high)}
	if r.Low != nil || r.High != nil {
		o.Range = []fhir.ReferenceRange{r}
	}
}

// limit is an end of the reference range, nil if it is not a number. In a CSV file 0 is none
// if the range as collected is empty.
func (c *converter) limit(name string) *fhir.Quantity {
	q := quantity(c.of(name))
	if q == nil || q.Value.Value == 0 && c.table.text && c.of("ORNRLO") == "" && c.of("ORNRHI") == "" {
		return nil
	}
	unit := "STRESU"
	if strings.HasPrefix(name, "OR") {
		unit = "ORRESU"
	}
	c.units.set(q, c.of(unit))
	return q
}
