package table

import (
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// show lists the fields of a record: of which kind each is, and with values what it says.
type show struct {
	values bool
	fields []string
}

func (s *show) add(name, kind, value string) {
	switch {
	case value == "":
	case s.values:
		s.fields = append(s.fields, name+" "+value)
	default:
		s.fields = append(s.fields, name+": "+kind)
	}
}

func (s *show) time(name string, t fhir.Time) {
	kind := "day"
	switch {
	case t.Precision < fhir.PrecisionDay:
		kind = "year or month"
	case t.Precision > fhir.PrecisionDay && t.Zoned:
		kind = "time with zone"
	case t.Precision > fhir.PrecisionDay:
		kind = "time without zone"
	}
	s.add(name, kind, t.Text)
}

// code shows the first code, whose system is no secret.
func (s *show) code(name string, c fhir.CodeableConcept) {
	if len(c.Coding) == 0 {
		s.add(name, "text", c.Text)
		return
	}
	s.add(name, c.Coding[0].System, c.Coding[0].Code)
}

func (s *show) quantity(name string, q *fhir.Quantity) {
	if q == nil {
		return
	}
	kind := "number without unit"
	switch {
	case q.Code != "":
		kind = "number in UCUM"
	case q.Unit != "":
		kind = "number in another unit"
	}
	s.add(name, kind, strings.TrimSpace(q.Comparator+q.Value.Text+" "+q.Unit))
}

func (s *show) value(v fhir.Value) {
	s.quantity("value", v.Quantity)
	s.code("value", v.Concept)
	if v.String != nil {
		s.add("value", "text", *v.String)
	}
}

// Describe lists the fields of a record, for whoever tries a mapping: of which kind each is
// ("value: number in UCUM"), or with values what it says of the patient.
func Describe(rec fhir.Record, values bool) []string {
	s := &show{values: values, fields: []string{}}
	switch r := rec.Resource.(type) {
	case *fhir.Patient:
		s.add("patient", "id", r.ID)
		s.time("birth", r.BirthDate)
		s.time("death", r.Died)
		s.add("sex", "word", r.Gender)
	case *fhir.Encounter:
		s.add("patient", "id", r.Subject.ID)
		s.time("start", r.Period.Start)
		s.time("end", r.Period.End)
		s.add("class", "word", r.Class.Code)
	case *fhir.Observation:
		s.add("patient", "id", r.Subject.ID)
		s.time("time", r.Effective)
		s.code("code", r.Code)
		s.value(r.Value)
		s.add("status", "word", r.Status)
	case *fhir.Condition:
		s.event(r.Subject, r.Onset, r.Abated, r.Code)
	case *fhir.Procedure:
		if r.Performed.IsZero() {
			r.Performed = r.During.Start
		}
		s.event(r.Subject, r.Performed, r.During.End, r.Code)
	case *fhir.AllergyIntolerance:
		s.event(r.Patient, r.Onset, fhir.Time{}, r.Code)
	case *fhir.Immunization:
		s.event(r.Patient, r.Occurred, fhir.Time{}, r.Vaccine)
	case *fhir.MedicationRequest:
		s.event(r.Subject, r.Authored, r.Dispense.Validity.End, r.Medication)
		for _, d := range r.Dosage {
			s.quantity("dose", d.Dose)
		}
	}
	return s.fields
}

func (s *show) event(patient fhir.Reference, start, end fhir.Time, code fhir.CodeableConcept) {
	s.add("patient", "id", patient.ID)
	s.time("start", start)
	s.time("end", end)
	s.code("code", code)
}
