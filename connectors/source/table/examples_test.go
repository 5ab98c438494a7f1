package table

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// said is what a record says, on one line, for comparison.
func said(rec fhir.Record) string {
	parts := []string{fmt.Sprintf("%s %s", rec.Path, rec.Type)}
	add := func(name string, more ...string) {
		if text := strings.TrimSpace(strings.Join(more, " ")); text != "" {
			parts = append(parts, name+" "+text)
		}
	}
	code := func(c fhir.CodeableConcept) string {
		var all []string
		for _, coding := range c.Coding {
			all = append(all, coding.System[strings.LastIndexByte(coding.System, '/')+1:]+"|"+coding.Code)
		}
		return strings.Join(append(all, c.Text), " ")
	}
	amount := func(q *fhir.Quantity) string {
		if q == nil {
			return ""
		}
		return q.Comparator + q.Value.Text + " " + q.Code
	}
	switch r := rec.Resource.(type) {
	case *fhir.Patient:
		add("born", r.BirthDate.Text)
		add("sex", r.Gender)
	case *fhir.Encounter:
		add("class", r.Class.Code)
		add("from", r.Period.Start.Text)
		add("to", r.Period.End.Text)
	case *fhir.Observation:
		add("at", r.Effective.Text)
		add("status", r.Status)
		add("code", code(r.Code))
		add("value", amount(r.Value.Quantity), code(r.Value.Concept))
		if r.Value.String != nil {
			add("text", *r.Value.String)
		}
		add("absent", code(r.Absent))
		for _, f := range r.Interpreted {
			add("flag", code(f))
		}
		for _, limits := range r.Range {
			add("range", amount(limits.Low), "to", amount(limits.High))
		}
	case *fhir.Condition:
		add("at", r.Onset.Text)
		add("code", code(r.Code))
	case *fhir.MedicationRequest:
		add("at", r.Authored.Text)
		add("code", code(r.Medication))
		add("dose", amount(r.Dosage[0].Dose))
	case *fhir.Immunization:
		add("at", r.Occurred.Text)
		add("code", code(r.Vaccine))
	}
	return strings.Join(strings.Fields(strings.Join(parts, "; ")), " ")
}

// TestExamplesSayWhatTheyShould holds the examples of the documentation to what a person
// reads in their tables.
func TestExamplesSayWhatTheyShould(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"lab.csv": {
			"line 2 Observation; at 2024-01-31T14:05:00-05:00; status final; code loinc.org|2823-3 north-lab|K Potassium; value 5.9 meq/L; flag v3-ObservationInterpretation|H; range 3.5 meq/L to 5.1 meq/L",
			"line 3 Observation; at 2024-01-31T14:05:00-05:00; status final; code loinc.org|2345-7 north-lab|GLU Glucose, serum; value 104 mg/dL; flag v3-ObservationInterpretation|H; range 70 mg/dL to 99 mg/dL",
			"line 4 Observation; at 2024-02-01T00:10:00-05:00; status final; code loinc.org|6598-7 north-lab|TROP Troponin T; value <0.01 ng/mL; flag v3-ObservationInterpretation|N; range to 0.03 ng/mL",
			"line 5 Observation; at 2024-02-01T09:30:00-05:00; status final; code loinc.org|94500-6 north-lab|COVPCR SARS-CoV-2 RNA; value sct|260415000 NOT DETECTED",
			"line 6 Observation; at 2024-02-01T09:41:00-05:00; status cancelled; code loinc.org|2823-3 north-lab|K Potassium; absent data-absent-reason|unknown; range 3.5 meq/L to 5.1 meq/L",
			"fhir: spreadsheet at line 7, Result: an exponent in place of digits; format the column as a number before it is exported",
			"fhir: invalid-number at line 8, Result: a number in another notation than decimal: says, or with separators of thousands",
		},
		"clinic.csv": {
			"line 2 Patient; born 1951-05-03; sex female",
			"line 2 RR sys Observation; at 2024-01-31; status final; code loinc.org|8480-6 systolic blood pressure; value 142 mm[Hg]",
			"line 2 RR dia Observation; at 2024-01-31; status final; code loinc.org|8462-4 diastolic blood pressure; value 88 mm[Hg]",
			"line 2 Gewicht Observation; at 2024-01-31; status final; code loinc.org|29463-7 body weight; value 71.5 kg",
			"line 2 HbA1c Observation; at 2024-01-31; status final; code loinc.org|4548-4 hemoglobin A1c; value 7.4 %",
			"line 2 Raucher Observation; at 2024-01-31; status final; code loinc.org|72166-2 tobacco smoking status; value sct|266919005 nein",
			"line 4 Patient; born 1948-11-17; sex male",
			"line 4 RR sys Observation; at 2024-01-31; status final; code loinc.org|8480-6 systolic blood pressure; value 128 mm[Hg]",
			"line 4 Gewicht Observation; at 2024-01-31; status final; code loinc.org|29463-7 body weight; value 90 kg",
			"line 4 Raucher Observation; at 2024-01-31; status final; code loinc.org|72166-2 tobacco smoking status; value sct|77176002 ja",
			"line 5 Patient; born 1951-05-03; sex female",
			"line 5 RR sys Observation; at 2024-02-05; status final; code loinc.org|8480-6 systolic blood pressure; value 138 mm[Hg]",
			"line 5 RR dia Observation; at 2024-02-05; status final; code loinc.org|8462-4 diastolic blood pressure; value 86 mm[Hg]",
			"fhir: invalid-number at line 5, Gewicht: a number in another notation than decimal: says, or with separators of thousands",
			"line 5 Raucher Observation; at 2024-02-05; status final; code loinc.org|72166-2 tobacco smoking status; value sct|266919005 nein",
		},
		"stays.tsv": {
			"line 1 Encounter; class IMP; from 2024-01-31T14:05:00+01:00; to 2024-02-03",
			"line 1 Condition; at 2024-01-31; code icd-10-cm|I21.4",
			"line 1 Condition; at 2024-01-31; code icd-10-cm|E11.9",
			"line 1 MedicationRequest; at 2024-01-31T14:05:00+01:00; code rxnorm|1191; dose 81 mg",
			"line 2 Encounter; class EMER; from 2024-02-01T07:30:00+01:00; to 2024-02-01",
			"line 2 Condition; at 2024-02-01; code icd-10-cm|S52.501A",
			"line 2 MedicationRequest; at 2024-02-01T07:30:00+01:00; code rxnorm|5640; dose 400 mg",
			"line 2 Immunization; at 2024-02-01; code cvx|140",
			"line 3 Encounter; class IMP; from 2024-03-10T23:55:00+01:00",
			"line 3 Condition; at 2024-03-10; code icd-10-cm|I50.9",
			"line 3 MedicationRequest; at 2024-03-10T23:55:00+01:00; code rxnorm|4603; dose 40 mg",
		},
	} {
		base, _, _ := strings.Cut(name, ".")
		var got []string
		for rec, err := range Read(t.Context(), strings.NewReader(string(file(t, "examples/"+name))), mapping(t, "examples/"+base+".yaml"), Options{}) {
			if err != nil {
				got = append(got, err.Error())
				continue
			}
			got = append(got, said(rec))
		}
		require.Equal(t, want, got, name)
	}
}
