package hl7v2

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// facts are the clinical content of resources, as texts by kind. Ids, references and
// the names of systems that are a converter's own are no content.
type facts map[string][]string

func (f facts) add(kind, format string, args ...any) {
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	if text != "" && !strings.HasSuffix(text, "=") {
		f[kind] = append(f[kind], text)
	}
}

// get walks expected JSON: a name, or an index into an array.
func get(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			a, _ := v.([]any)
			if p >= len(a) {
				return nil
			}
			v = a[p]
		}
	}
	return v
}

func text(v any, path ...any) string {
	switch v := get(v, path...).(type) {
	case string:
		return strings.TrimSpace(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

func list(v any, path ...any) []any {
	a, _ := get(v, path...).([]any)
	return a
}

// instant renders a FHIR time as what it means: an instant in UTC, or a day as sent.
func instant(s string) string {
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return at.UTC().Format(time.RFC3339Nano)
	}
	return s
}

// codes are the codes of a concept in order, with their systems where those are
// anybody's, else the text.
func codes(v any) string {
	var all []string
	for _, c := range list(v, "coding") {
		all = append(all, codeFact(text(c, "system"), text(c, "code")))
	}
	all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
	if len(all) == 0 {
		return text(v, "text")
	}
	return strings.Join(all, ",")
}

func codeFact(system, code string) string {
	switch system {
	case loinc, snomed, "http://hl7.org/fhir/sid/ndc", "http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-9-cm":
		return system + "|" + code
	}
	return code
}

func ourCodes(c fhir.CodeableConcept) string {
	var all []string
	for _, k := range c.Coding {
		all = append(all, codeFact(k.System, k.Code))
	}
	if len(all) == 0 {
		return c.Text
	}
	return strings.Join(all, ",")
}

func ourTime(t fhir.Time) string { return instant(t.Text) }

func quantity(v any) string {
	unit := text(v, "code")
	if unit == "" {
		unit = text(v, "unit")
	}
	return strings.TrimSpace(text(v, "comparator") + text(v, "value") + " " + unit)
}

func ourQuantity(q *fhir.Quantity) string {
	if q == nil {
		return ""
	}
	value := ""
	if q.Value != nil {
		value = strconv.FormatFloat(q.Value.Value, 'g', -1, 64)
	}
	unit := q.Code
	if unit == "" {
		unit = q.Unit
	}
	return strings.TrimSpace(q.Comparator + value + " " + unit)
}

func value(v any) string {
	switch {
	case get(v, "valueQuantity") != nil:
		return quantity(get(v, "valueQuantity"))
	case get(v, "valueCodeableConcept") != nil:
		return codes(get(v, "valueCodeableConcept"))
	case get(v, "valueRatio") != nil:
		return quantity(get(v, "valueRatio", "numerator")) + " : " + quantity(get(v, "valueRatio", "denominator"))
	case get(v, "valueRange") != nil:
		return quantity(get(v, "valueRange", "low")) + " to " + quantity(get(v, "valueRange", "high"))
	case get(v, "valuePeriod") != nil:
		return instant(text(v, "valuePeriod", "start")) + " to " + instant(text(v, "valuePeriod", "end"))
	case get(v, "valueDateTime") != nil:
		return instant(text(v, "valueDateTime"))
	}
	return text(v, "valueString") + text(v, "valueTime")
}

func ourValue(v fhir.Value) string {
	switch {
	case v.Quantity != nil:
		return ourQuantity(v.Quantity)
	case !v.Concept.IsZero():
		return ourCodes(v.Concept)
	case v.Ratio != nil:
		return ourQuantity(v.Ratio[0]) + " : " + ourQuantity(v.Ratio[1])
	case v.Range != nil:
		return ourQuantity(v.Range[0]) + " to " + ourQuantity(v.Range[1])
	case !v.Period.Start.IsZero() || !v.Period.End.IsZero():
		return ourTime(v.Period.Start) + " to " + ourTime(v.Period.End)
	case !v.Time.IsZero():
		return ourTime(v.Time)
	case v.String != nil:
		return *v.String
	}
	return v.TimeText
}

// expectedFacts are those of the resources that others made.
func expectedFacts(resources []map[string]any) facts {
	f := facts{}
	for _, r := range resources {
		switch r["resourceType"] {
		case "Patient":
			f.patient(r)
		case "Encounter":
			f.add("Encounter.class", "%s", text(r, "class", "code"))
			f.add("Encounter.status", "%s", text(r, "status"))
			f.add("Encounter.start", "%s", instant(text(r, "period", "start")))
			f.add("Encounter.end", "%s", instant(text(r, "period", "end")))
			f.add("Encounter.reason", "%s", codes(get(r, "reasonCode", 0)))
			f.add("Encounter.discharge", "%s", codes(get(r, "hospitalization", "dischargeDisposition")))
		case "Observation":
			f.observation(r)
		case "DiagnosticReport":
			code := codes(r["code"])
			f.add("DiagnosticReport.code", "%s", code)
			f.add("DiagnosticReport.status", "%s %s", code, text(r, "status"))
			f.add("DiagnosticReport.effective", "%s", instant(text(r, "effectiveDateTime")))
			f.add("DiagnosticReport.issued", "%s", instant(text(r, "issued")))
			f.add("DiagnosticReport.results", "%s %d", code, len(list(r, "result")))
		case "AllergyIntolerance":
			code := codes(r["code"])
			f.add("AllergyIntolerance.code", "%s", code)
			f.add("AllergyIntolerance.category", "%s", text(r, "category", 0))
			f.add("AllergyIntolerance.criticality", "%s", text(r, "criticality"))
			f.add("AllergyIntolerance.reaction", "%s", codes(get(r, "reaction", 0, "manifestation", 0)))
		case "Condition":
			f.add("Condition.code", "%s", codes(r["code"]))
			f.add("Condition.onset", "%s", instant(text(r, "onsetDateTime")))
		case "Procedure":
			f.add("Procedure.code", "%s", codes(r["code"]))
			f.add("Procedure.performed", "%s", instant(text(r, "performedDateTime")))
		case "Immunization":
			f.add("Immunization.code", "%s", codes(r["vaccineCode"]))
			f.add("Immunization.occurred", "%s", instant(text(r, "occurrenceDateTime")))
			f.add("Immunization.lot", "%s", text(r, "lotNumber"))
			f.add("Immunization.dose", "%s", quantity(r["doseQuantity"]))
			f.add("Immunization.primary", "%s", text(r, "primarySource"))
			f.add("Immunization.status", "%s", text(r, "status"))
		case "MedicationRequest":
			for _, m := range resources {
				if m["resourceType"] == "Medication" && strings.HasSuffix(text(r, "medicationReference", "reference"), text(m, "id")) {
					f.add("MedicationRequest.code", "%s", codes(m["code"]))
				}
			}
			f.add("MedicationRequest.authored", "%s", instant(text(r, "authoredOn")))
			f.add("MedicationRequest.refills", "%s", text(r, "dispenseRequest", "numberOfRepeatsAllowed"))
			f.add("MedicationRequest.dispense", "%s", text(r, "dispenseRequest", "quantity", "value"))
			f.add("MedicationRequest.dose", "%s", text(r, "dosageInstruction", 0, "doseAndRate", 0, "doseQuantity", "value"))
			f.add("MedicationRequest.route", "%s", codes(get(r, "dosageInstruction", 0, "route")))
			f.add("MedicationRequest.status", "%s", text(r, "status"))
		}
	}
	return f
}

func (f facts) patient(r map[string]any) {
	f.add("Patient.gender", "%s", text(r, "gender"))
	f.add("Patient.birthDate", "%s", text(r, "birthDate"))
	f.add("Patient.died", "%s", instant(text(r, "deceasedDateTime")))
	f.add("Patient.deceased", "%s", text(r, "deceasedBoolean"))
	for _, e := range list(r, "extension") {
		url := text(e, "url")
		for _, part := range list(e, "extension") {
			f.add("Patient."+url[strings.LastIndexByte(url, '-')+1:], "%s", text(part, "valueCoding", "code"))
		}
	}
	for _, i := range list(r, "identifier") {
		f.add("Identity.identifier", "%s %s", text(i, "value"), text(i, "type", "coding", 0, "code"))
	}
	for _, n := range list(r, "name") {
		f.add("Identity.name", "%s", nameFact(text(n, "use"), text(n, "family"), anyTexts(list(n, "given"))))
	}
	for _, a := range list(r, "address") {
		f.add("Identity.address", "%s", addressFact(anyTexts(list(a, "line")), text(a, "city"), text(a, "state"), text(a, "postalCode"), text(a, "country")))
	}
	for _, n := range list(r, "telecom") {
		f.add("Identity.telecom", "%s", text(n, "value"))
	}
}

func anyTexts(all []any) []string {
	out := []string{}
	for _, v := range all {
		s, _ := v.(string)
		out = append(out, s)
	}
	return out
}

func nameFact(use, family string, given []string) string {
	return strings.TrimSpace(use + " " + family + ", " + strings.Join(given, " "))
}

func addressFact(lines []string, rest ...string) string {
	return strings.Trim(strings.Join(append(lines, rest...), "; "), "; ")
}

func (f facts) observation(r map[string]any) {
	code := codes(r["code"])
	f.add("Observation.code", "%s", code)
	f.add("Observation.value", "%s = %s", code, value(r))
	f.add("Observation.status", "%s %s", code, text(r, "status"))
	f.add("Observation.effective", "%s = %s", code, instant(text(r, "effectiveDateTime")))
	for _, i := range list(r, "interpretation") {
		f.add("Observation.interpretation", "%s = %s", code, codes(i))
	}
	f.add("Observation.range", "%s = %s", code, text(r, "referenceRange", 0, "text"))
	for _, c := range list(r, "component") {
		f.add("Observation.value", "%s = %s", code, value(c))
	}
	f.add("Observation.absent", "%s = %s", code, text(r, "dataAbsentReason", "coding", 0, "code"))
}

// recordFacts are those of our records, and of the identities in the message.
func recordFacts(resources []fhir.Resource, identities []Identity) facts {
	f := facts{}
	for _, resource := range resources {
		switch r := resource.(type) {
		case *fhir.Patient:
			f.add("Patient.gender", "%s", r.Gender)
			f.add("Patient.birthDate", "%s", r.BirthDate.Text)
			f.add("Patient.died", "%s", ourTime(r.Died))
			if r.Deceased != nil {
				f.add("Patient.deceased", "%v", *r.Deceased)
			}
			for _, c := range r.Race {
				f.add("Patient.race", "%s", c.Code)
			}
			for _, c := range r.Ethnicity {
				f.add("Patient.ethnicity", "%s", c.Code)
			}
		case *fhir.Encounter:
			f.add("Encounter.class", "%s", r.Class.Code)
			f.add("Encounter.status", "%s", r.Status)
			f.add("Encounter.start", "%s", ourTime(r.Period.Start))
			f.add("Encounter.end", "%s", ourTime(r.Period.End))
			if len(r.Reason) > 0 {
				f.add("Encounter.reason", "%s", ourCodes(r.Reason[0]))
			}
			f.add("Encounter.discharge", "%s", ourCodes(r.Discharge))
		case *fhir.Observation:
			f.ourObservation(r)
		case *fhir.DiagnosticReport:
			code := ourCodes(r.Code)
			f.add("DiagnosticReport.code", "%s", code)
			f.add("DiagnosticReport.status", "%s %s", code, r.Status)
			f.add("DiagnosticReport.effective", "%s", ourTime(r.Effective))
			f.add("DiagnosticReport.issued", "%s", ourTime(r.Issued))
			f.add("DiagnosticReport.results", "%s %d", code, len(r.Results))
		case *fhir.AllergyIntolerance:
			f.add("AllergyIntolerance.code", "%s", ourCodes(r.Code))
			f.add("AllergyIntolerance.category", "%s", strings.Join(r.Category, ","))
			f.add("AllergyIntolerance.criticality", "%s", r.Criticality)
			if len(r.Reactions) > 0 {
				f.add("AllergyIntolerance.reaction", "%s", ourCodes(r.Reactions[0].Manifestation[0]))
			}
		case *fhir.Condition:
			f.add("Condition.code", "%s", ourCodes(r.Code))
			f.add("Condition.onset", "%s", ourTime(r.Onset))
		case *fhir.Procedure:
			f.add("Procedure.code", "%s", ourCodes(r.Code))
			f.add("Procedure.performed", "%s", ourTime(r.Performed)+ourTime(r.During.Start))
		case *fhir.Immunization:
			f.add("Immunization.code", "%s", ourCodes(r.Vaccine))
			f.add("Immunization.occurred", "%s", ourTime(r.Occurred))
			f.add("Immunization.lot", "%s", r.LotNumber)
			f.add("Immunization.dose", "%s", ourQuantity(r.Dose))
			if r.PrimarySource != nil {
				f.add("Immunization.primary", "%v", *r.PrimarySource)
			}
			f.add("Immunization.status", "%s", r.Status)
		case *fhir.MedicationRequest:
			f.add("MedicationRequest.code", "%s", ourCodes(r.Medication))
			f.add("MedicationRequest.authored", "%s", ourTime(r.Authored))
			if r.Dispense.Repeats != nil {
				f.add("MedicationRequest.refills", "%d", *r.Dispense.Repeats)
			}
			f.add("MedicationRequest.dispense", "%s", number(r.Dispense.Quantity))
			f.add("MedicationRequest.dose", "%s", number(r.Dosage[0].Dose))
			f.add("MedicationRequest.route", "%s", ourCodes(r.Dosage[0].Route))
			f.add("MedicationRequest.status", "%s", r.Status)
		}
	}
	for _, who := range identities {
		for _, i := range who.Identifiers {
			f.add("Identity.identifier", "%s %s", i.Value, i.Type)
		}
		for _, n := range who.Names {
			f.add("Identity.name", "%s", nameFact(n.Use, n.Family, n.Given))
		}
		for _, a := range who.Addresses {
			f.add("Identity.address", "%s", addressFact(slices.Clone(a.Lines), a.City, a.State, a.Postcode, a.Country))
		}
		for _, n := range who.Telecoms {
			f.add("Identity.telecom", "%s", n.Value)
		}
	}
	return f
}

func number(q *fhir.Quantity) string {
	if q == nil || q.Value == nil {
		return ""
	}
	return json.Number(q.Value.Text).String()
}

func (f facts) ourObservation(r *fhir.Observation) {
	code := ourCodes(r.Code)
	f.add("Observation.code", "%s", code)
	f.add("Observation.value", "%s = %s", code, ourValue(r.Value))
	f.add("Observation.status", "%s %s", code, r.Status)
	f.add("Observation.effective", "%s = %s", code, ourTime(r.Effective))
	for _, i := range r.Interpreted {
		f.add("Observation.interpretation", "%s = %s", code, ourCodes(i))
	}
	ranges := r.Range
	for _, c := range r.Components {
		f.add("Observation.value", "%s = %s", code, ourValue(c.Value))
		ranges = nil // theirs are compared only where they stand on the observation
	}
	for _, g := range ranges {
		f.add("Observation.range", "%s = %s", code, g.Text)
	}
	if len(r.Absent.Coding) > 0 {
		f.add("Observation.absent", "%s = %s", code, r.Absent.Coding[0].Code)
	}
}
