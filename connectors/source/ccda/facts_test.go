package ccda

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
)

// facts are the clinical content of resources, as texts by kind. Ids, references and the
// names of systems that are a converter's own are no content.
type facts map[string][]string

func (f facts) add(kind, format string, args ...any) {
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	if text != "" && !strings.HasSuffix(text, "=") {
		f[kind] = append(f[kind], text)
	}
}

// instant renders a time as what it means: an instant in UTC, or a day as sent.
func instant(t fhir.Time) string {
	if t.Precision >= fhir.PrecisionMinute {
		return t.At.UTC().Format(time.RFC3339Nano)
	}
	return t.Text
}

func codeFact(c fhir.Coding) string {
	switch c.System {
	case loinc, snomed, "http://www.nlm.nih.gov/research/umls/rxnorm", "http://hl7.org/fhir/sid/icd-10-cm":
		return c.System[strings.LastIndexByte(c.System, '/')+1:] + "|" + c.Code
	}
	return c.Code
}

// code is the first code of a concept, or else its text.
func code(c fhir.CodeableConcept) string {
	if len(c.Coding) > 0 {
		return codeFact(c.Coding[0])
	}
	return c.Text
}

// codes adds each code of a concept, or else its text.
func (f facts) codes(kind string, all ...fhir.CodeableConcept) {
	for _, c := range all {
		for _, k := range c.Coding {
			f.add(kind, "%s", codeFact(k))
		}
		if len(c.Coding) == 0 {
			f.add(kind, "%s", c.Text)
		}
	}
}

func amount(q *fhir.Quantity) string {
	if q == nil || q.Value == nil {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%s%g %s", q.Comparator, q.Value.Value, q.Unit))
}

func found(v fhir.Value) string {
	switch {
	case v.Quantity != nil:
		return amount(v.Quantity)
	case v.Range != nil:
		return amount(v.Range[0]) + " to " + amount(v.Range[1])
	case v.Integer != nil:
		return fmt.Sprint(*v.Integer)
	case v.String != nil:
		return strings.Join(strings.Fields(*v.String), " ")
	case !v.Concept.IsZero():
		return code(v.Concept)
	}
	return instant(v.Time)
}

func factsOf(resources []fhir.Resource) facts {
	f := facts{}
	for _, resource := range resources {
		switch r := resource.(type) {
		case *fhir.Patient:
			f.add("Patient.gender", "%s", r.Gender)
			f.add("Patient.birthDate", "%s", r.BirthDate.Text)
			for _, c := range r.Race {
				f.add("Patient.race", "%s", c.Code)
			}
			for _, c := range r.Ethnicity {
				f.add("Patient.ethnicity", "%s", c.Code)
			}
		case *fhir.Encounter:
			f.add("Encounter.class", "%s", r.Class.Code)
			f.add("Encounter.status", "%s", r.Status)
			f.codes("Encounter.type", r.Type...)
			f.add("Encounter.start", "%s", instant(r.Period.Start))
			f.add("Encounter.end", "%s", instant(r.Period.End))
			f.codes("Encounter.discharge", r.Discharge)
		case *fhir.Condition:
			f.codes("Condition.code", r.Code)
			f.add("Condition.onset", "%s = %s", code(r.Code), instant(r.Onset))
			f.add("Condition.abated", "%s = %s", code(r.Code), instant(r.Abated))
		case *fhir.AllergyIntolerance:
			about := r.Code
			for _, reaction := range r.Reactions { // where others say what it is about
				if about.IsZero() {
					about = reaction.Substance
				}
			}
			f.codes("AllergyIntolerance.code", about)
			f.add("AllergyIntolerance.clinical", "%s", code(r.Clinical))
			f.add("AllergyIntolerance.onset", "%s", instant(r.Onset))
			for _, reaction := range r.Reactions {
				f.codes("AllergyIntolerance.reaction", reaction.Manifestation...)
				f.add("AllergyIntolerance.severity", "%s", reaction.Severity)
			}
		case *fhir.MedicationRequest:
			f.codes("Medication.code", r.Medication)
			for _, d := range r.Dosage {
				f.add("Medication.dose", "%s = %s", code(r.Medication), amount(d.Dose))
				f.codes("Medication.route", d.Route)
			}
			f.add("Medication.start", "%s = %s", code(r.Medication), instant(r.Dispense.Validity.Start))
			f.add("Medication.end", "%s = %s", code(r.Medication), instant(r.Dispense.Validity.End))
		case *fhir.Immunization:
			f.codes("Immunization.code", r.Vaccine)
			f.add("Immunization.status", "%s %s", instant(r.Occurred), r.Status)
			f.add("Immunization.occurred", "%s", instant(r.Occurred))
			f.add("Immunization.lot", "%s", r.LotNumber)
			f.add("Immunization.dose", "%s", amount(r.Dose))
		case *fhir.Procedure:
			f.codes("Procedure.code", r.Code)
			f.add("Procedure.status", "%s %s", code(r.Code), r.Status)
			f.add("Procedure.performed", "%s = %s", code(r.Code), instant(r.Performed)+instant(r.During.Start))
		case *fhir.Observation:
			about := code(r.Code)
			f.codes("Observation.code", r.Code)
			f.add("Observation.value", "%s = %s", about, found(r.Value))
			f.add("Observation.status", "%s %s", about, r.Status)
			f.add("Observation.effective", "%s = %s", about, instant(r.Effective)+instant(r.During.Start))
			for _, i := range r.Interpreted {
				f.add("Observation.interpretation", "%s = %s", about, code(i))
			}
			for _, g := range r.Range {
				f.add("Observation.range", "%s = %s to %s", about, amount(g.Low), amount(g.High))
			}
		case *fhir.DiagnosticReport:
			f.codes("DiagnosticReport.code", r.Code)
			f.add("DiagnosticReport.status", "%s %s", code(r.Code), r.Status)
			f.add("DiagnosticReport.effective", "%s", instant(r.Effective)+instant(r.During.Start))
			f.add("DiagnosticReport.results", "%s %d", code(r.Code), len(r.Results))
		}
	}
	return f
}

// who adds what resources leave out.
func (f facts) who(i hl7v2.Identity) {
	for _, id := range i.Identifiers {
		f.add("Identity.identifier", "%s", id.Value)
	}
	for _, n := range i.Names {
		f.add("Identity.name", "%s %s, %s", n.Use, n.Family, strings.Join(n.Given, " "))
	}
	for _, a := range i.Addresses {
		f.add("Identity.address", "%s %s; %s; %s; %s; %s", a.Use, strings.Join(a.Lines, "; "), a.City, a.State, a.Postcode, a.Country)
	}
	for _, t := range i.Telecoms {
		f.add("Identity.telecom", "%s %s %s", t.System, t.Use, t.Value)
	}
}

// theirs reads what others made of a document with package fhir, so that both sides are
// of the same types.
func theirs(t testing.TB, c outside) facts {
	t.Helper()
	var lines bytes.Buffer
	var person map[string]any
	for _, r := range c.Expected {
		switch r["resourceType"] {
		case "Patient":
			person = r
		case "MedicationStatement":
			asRequest(r, c.Expected)
		case "Medication":
			continue
		}
		delete(r, "issued") // not compared, and not a time in one
		for name, value := range map[string]any{"status": "none", "subject": map[string]any{"reference": "Patient/left-out"}} {
			if r[name] == nil {
				r[name] = value
			}
		}
		line, err := json.Marshal(r)
		require.NoError(t, err)
		lines.Write(append(line, '\n'))
	}
	var resources []fhir.Resource
	for rec, err := range fhir.Read(t.Context(), &lines, fhir.Options{}) {
		require.NoError(t, err, c.Name)
		resources = append(resources, rec.Resource)
	}
	f := factsOf(resources)
	f.who(personOf(person))
	return f
}

// asRequest turns a MedicationStatement, which package fhir does not decode, into the
// MedicationRequest that says the same.
func asRequest(r map[string]any, all []map[string]any) {
	r["resourceType"], r["dosageInstruction"] = "MedicationRequest", r["dosage"]
	if period := r["effectivePeriod"]; period != nil {
		r["dispenseRequest"] = map[string]any{"validityPeriod": period}
	}
	reference, _ := r["medicationReference"].(map[string]any)
	delete(r, "medicationReference")
	for _, m := range all {
		if m["resourceType"] == "Medication" && reference["reference"] == "Medication/"+fmt.Sprint(m["id"]) {
			r["medicationCodeableConcept"] = m["code"]
		}
	}
}

// personOf reads names, addresses and identifiers of a Patient.
func personOf(r map[string]any) (who hl7v2.Identity) {
	each := func(name string, read func(map[string]any)) {
		all, _ := r[name].([]any)
		for _, v := range all {
			m, _ := v.(map[string]any)
			read(m)
		}
	}
	text := func(m map[string]any, name string) string { s, _ := m[name].(string); return s }
	list := func(m map[string]any, name string) (all []string) {
		values, _ := m[name].([]any)
		for _, v := range values {
			all = append(all, fmt.Sprint(v))
		}
		return all
	}
	each("identifier", func(m map[string]any) {
		who.Identifiers = append(who.Identifiers, hl7v2.Identifier{Value: strings.TrimPrefix(text(m, "value"), "urn:uuid:")})
	})
	each("name", func(m map[string]any) {
		who.Names = append(who.Names, hl7v2.Name{Use: text(m, "use"), Family: text(m, "family"), Given: list(m, "given")})
	})
	each("address", func(m map[string]any) {
		who.Addresses = append(who.Addresses, hl7v2.Address{
			Use: text(m, "use"), Lines: list(m, "line"), City: text(m, "city"), State: text(m, "state"),
			Postcode: text(m, "postalCode"), Country: text(m, "country"),
		})
	})
	each("telecom", func(m map[string]any) {
		who.Telecoms = append(who.Telecoms, hl7v2.Telecom{System: text(m, "system"), Use: text(m, "use"), Value: text(m, "value")})
	})
	return who
}
