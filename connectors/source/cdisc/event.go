package cdisc

import (
	"slices"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// condition makes the Condition of an adverse event, a medical history or a clinical event.
// What was asked and did not occur is refuted; what was not asked says nothing.
func (c *converter) condition() fhir.Resource {
	if c.of("STAT") == notDone {
		return nil
	}
	o := &fhir.Condition{
		Code: c.term("TERM"), Subject: c.who(),
		Onset: c.timeOf("STDTC"), Recorded: c.timeOf("DTC"), Abated: c.timeOf("ENDTC"),
		Clinical: one(clinicalStatus, "active"),
	}
	if !o.Abated.IsZero() && !c.ongoing() {
		o.Clinical = one(clinicalStatus, "resolved")
	}
	start := firstOf(o.Onset, o.Recorded)
	if c.of("OCCUR") == "N" {
		o.Verification = one(verificationStatus, "refuted")
		if start.IsZero() {
			return nil
		}
	}
	c.needs(start, "STDTC", "STDY")
	return o
}

// procedure makes the Procedure of a row of PR.
func (c *converter) procedure() fhir.Resource {
	o := &fhir.Procedure{Status: "completed", Code: c.term("TRT"), Subject: c.who(), Encounter: c.visit()}
	start, end := firstOf(c.timeOf("STDTC"), c.timeOf("DTC")), c.timeOf("ENDTC")
	if end.IsZero() {
		o.Performed = start
	} else {
		o.During = fhir.Period{Start: firstOf(start, end), End: end}
	}
	if c.of("STAT") == notDone || c.of("OCCUR") == "N" {
		o.Status = "not-done"
		if start.IsZero() && end.IsZero() {
			return nil
		}
	}
	c.needs(firstOf(start, end), "STDTC", "STDY")
	return o
}

// disposition makes an Observation of what became of a subject in the trial: consent,
// completion, withdrawal. Its value is what was reported.
func (c *converter) disposition() fhir.Resource {
	o := &fhir.Observation{Status: "final", Code: c.term("TERM"), Subject: c.who(), Effective: firstOf(c.timeOf("STDTC"), c.timeOf("DTC"))}
	if reported := c.of("TERM"); reported != "" {
		o.Value.String = &reported
	}
	c.needs(o.Effective, "STDTC", "STDY")
	return o
}

// encounter makes the visit of a row of SV. Its class is not said; VISIT stands in its place.
func (c *converter) encounter() fhir.Resource {
	o := &fhir.Encounter{
		Status: "finished", Subject: c.who(), Class: fhir.Coding{System: "CDISC VISIT", Code: c.get("VISIT")},
		Period: fhir.Period{Start: c.timeOf("STDTC"), End: c.timeOf("ENDTC")},
	}
	if c.of("OCCUR") == "N" {
		o.Status = "cancelled"
		if o.Period.Start.IsZero() {
			return nil
		}
	}
	c.needs(o.Period.Start, "STDTC", "STDY")
	return o
}

// notDone is the --STAT of what did not take place.
const notDone = "NOT DONE"

// ongoing reports whether the row says that an event had not ended.
func (c *converter) ongoing() bool {
	return c.of("ENRTPT") == "ONGOING" || slices.Contains([]string{"ONGOING", "AFTER", "DURING/AFTER"}, c.of("ENRF"))
}

// term is what an event or treatment was: MedDRA's codes of it, the lowest level first, and
// the dictionary's term, else the words of the report.
func (c *converter) term(reported string) fhir.CodeableConcept {
	o := fhir.CodeableConcept{Text: c.of("DECOD")}
	if o.Text == "" || o.Text == "UNCODED" {
		o.Text = c.of(reported)
	}
	for _, level := range []struct{ code, term string }{{"LLTCD", "LLT"}, {"PTCD", "DECOD"}} {
		if code := canonical(c.of(level.code)); code != "" && code != "0" { // 0 stands for none in some CSV files
			o.Coding = append(o.Coding, fhir.Coding{System: medDRA, Code: code, Display: c.of(level.term)})
		}
	}
	if o.IsZero() {
		c.fail(c.domain+reported, fhir.RuleMissingField, "a record needs to say what it is about")
	}
	return o
}
