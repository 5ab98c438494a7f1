package cdisc

import (
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// add notes a fact that was said.
func add(facts map[string][]string, kind, text string) {
	if text != "" {
		facts[kind] = append(facts[kind], text)
	}
}

// factsOf is what a resource says, as texts.
func factsOf(resource fhir.Resource) map[string][]string {
	facts := map[string][]string{}
	switch r := resource.(type) {
	case *fhir.Patient:
		add(facts, "Patient.sex", r.Gender)
		add(facts, "Patient.birth", r.BirthDate.Text)
		add(facts, "Patient.death", r.Died.Text)
		add(facts, "Patient.race", r.RaceText)
		add(facts, "Patient.ethnicity", r.EthnicityText)
	case *fhir.Condition:
		add(facts, "Condition.term", r.Code.Text)
		add(facts, "Condition.start", r.Onset.Text)
		add(facts, "Condition.end", r.Abated.Text)
	case *fhir.Encounter:
		add(facts, "Encounter.start", r.Period.Start.Text)
		add(facts, "Encounter.end", r.Period.End.Text)
		add(facts, "Encounter.visit", r.Class.Code)
	case *fhir.MedicationRequest:
		add(facts, "Medication.term", r.Medication.Text)
		add(facts, "Medication.start", r.Authored.Text)
		add(facts, "Medication.end", r.Dispense.Validity.End.Text)
		if d := r.Dosage[0].Dose; d != nil {
			add(facts, "Medication.dose", d.Value.Text+" "+d.Unit)
		}
		add(facts, "Medication.route", r.Dosage[0].Route.Text)
	case *fhir.Observation:
		add(facts, "Observation.test", r.Code.Coding[len(r.Code.Coding)-1].Code)
		add(facts, "Observation.time", r.Effective.Text)
		switch v := r.Value; {
		case v.Quantity != nil:
			add(facts, "Observation.value", strings.TrimSpace(v.Quantity.Comparator+v.Quantity.Value.Text+" "+v.Quantity.Unit))
		case v.String != nil:
			add(facts, "Observation.value", *v.String)
		}
		add(facts, "Observation.collected", r.Value.Collected)
		if len(r.Range) > 0 && r.Range[0].Low != nil {
			add(facts, "Observation.low", r.Range[0].Low.Value.Text)
		}
		if len(r.Range) > 0 && r.Range[0].High != nil {
			add(facts, "Observation.high", r.Range[0].High.Value.Text)
		}
	}
	return facts
}

// stated is what a row of text says, by the names of SDTM's variables alone.
func stated(row map[string]string, domain string) map[string][]string {
	facts := map[string][]string{}
	of := func(name string) string { return row[domain+name] }
	switch domain {
	case "DM":
		add(facts, "Patient.sex", map[string]string{"M": "male", "F": "female"}[row["SEX"]])
		add(facts, "Patient.birth", row["BRTHDTC"])
		add(facts, "Patient.death", row["DTHDTC"])
		add(facts, "Patient.race", row["RACE"])
		add(facts, "Patient.ethnicity", row["ETHNIC"])
	case "AE", "MH":
		term := of("DECOD")
		if term == "" {
			term = of("TERM")
		}
		add(facts, "Condition.term", term)
		add(facts, "Condition.start", of("STDTC"))
		add(facts, "Condition.end", of("ENDTC"))
	case "SV":
		add(facts, "Encounter.start", of("STDTC"))
		add(facts, "Encounter.end", of("ENDTC"))
		add(facts, "Encounter.visit", row["VISIT"])
	case "EX":
		add(facts, "Medication.term", of("TRT"))
		add(facts, "Medication.start", of("STDTC"))
		add(facts, "Medication.end", of("ENDTC"))
		add(facts, "Medication.dose", of("DOSE")+" "+of("DOSU"))
		add(facts, "Medication.route", of("ROUTE"))
	case "LB", "VS":
		add(facts, "Observation.test", of("TESTCD"))
		add(facts, "Observation.time", of("DTC"))
		value, collected := strings.TrimSpace(of("STRESC")+" "+of("STRESU")), strings.TrimSpace(of("ORRES")+" "+of("ORRESU"))
		add(facts, "Observation.value", value)
		if value != collected {
			add(facts, "Observation.collected", collected)
		}
		add(facts, "Observation.low", of("STNRLO"))
		add(facts, "Observation.high", of("STNRHI"))
	}
	return facts
}
