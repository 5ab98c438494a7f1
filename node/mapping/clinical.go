package mapping

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/omop"
)

// begin starts the event of a record, or lists what keeps it from being one.
func (m *mapping) begin(subject fhir.Reference, subjectPath string, visit fhir.Reference, start fhir.Time, startPath string) (event, bool) {
	row, ok := m.of(subject, visit, subjectPath)
	if !ok {
		return event{}, false
	}
	if start.IsZero() {
		m.problem(NoDate, startPath)
		return event{}, false
	}
	return event{Record: row, start: start}, true
}

// says reports whether a status holds one of the codes.
func says(c fhir.CodeableConcept, codes ...string) bool {
	return slices.ContainsFunc(c.Coding, func(k fhir.Coding) bool { return slices.Contains(codes, k.Code) })
}

// certainties are the concepts of Condition.verificationStatus.
var certainties = map[string]int64{"confirmed": 32893, "provisional": 32899}

func (m *mapping) condition(c *fhir.Condition) {
	e, ok := m.begin(c.Subject, "subject", c.Encounter, firstOf(c.Onset, c.OnsetDuring.Start, c.Recorded), "onsetDateTime")
	if !ok {
		return
	}
	e.Provider = providerKey(c.By)
	e.usual, e.code = omop.ConditionTable, m.code(CodePart, c.Code)
	e.end = firstOf(c.Abated, c.AbatedDuring.End, c.AbatedDuring.Start)
	e.Invalid = says(c.Verification, "entered-in-error", "refuted")
	if len(c.Verification.Coding) > 0 {
		e.status.source = c.Verification.Coding[0].Code
		e.status.concept = certainties[e.status.source]
	}
	m.place(e)
}

func (m *mapping) procedure(p *fhir.Procedure) {
	e, ok := m.begin(p.Subject, "subject", p.Encounter, firstOf(p.Performed, p.During.Start, p.During.End), "performedDateTime")
	if !ok {
		return
	}
	e.Provider = providerKey(p.By)
	e.usual, e.code, e.end = omop.ProcedureTable, m.code(CodePart, p.Code), p.During.End
	e.Invalid = slices.Contains([]string{"entered-in-error", "not-done", "preparation"}, p.Status)
	m.place(e)
}

func (m *mapping) immunization(i *fhir.Immunization) {
	e, ok := m.begin(i.Patient, "patient", i.Encounter, i.Occurred, "occurrenceDateTime")
	if !ok {
		return
	}
	e.Provider = providerKey(i.By)
	e.usual, e.code = omop.DrugTable, m.code(CodePart, i.Vaccine)
	e.drug.lot = i.LotNumber
	e.drug.amount(i.Dose)
	if i.Dose != nil {
		e.drug.doseUnit = cmp.Or(i.Dose.Code, i.Dose.Unit)
	}
	e.Invalid = slices.Contains([]string{"entered-in-error", "not-done"}, i.Status)
	m.place(e)
}

// allergy maps to observation, as far as the concept's domain does not say
// otherwise. If there is no code the substance of a reaction says what it is about.
func (m *mapping) allergy(a *fhir.AllergyIntolerance) {
	e, ok := m.begin(a.Patient, "patient", a.Encounter, firstOf(a.Onset, a.Recorded), "recordedDate")
	if !ok {
		return
	}
	e.Provider = providerKey(a.By)
	about := a.Code
	for _, r := range a.Reactions {
		if about.IsZero() {
			about = r.Substance
		}
	}
	if about.IsZero() {
		m.problem(NoCode, "code")
		return
	}
	e.usual, e.code = omop.ObservationTable, m.code(CodePart, about)
	e.Invalid = says(a.Verification, "entered-in-error", "refuted")
	m.place(e)
}

// maxSupply bounds a supply in days: a hundred years.
const maxSupply = 36_525

// daysPer are the days of a UCUM unit of time.
var daysPer = map[string]float64{"d": 1, "wk": 7, "mo": 30, "a": 365}

// medicationRequest maps an order to drug_exposure. A mere plan or proposal is no
// exposure.
func (m *mapping) medicationRequest(r *fhir.MedicationRequest) {
	e, ok := m.begin(r.Subject, "subject", r.Encounter, firstOf(r.Authored, r.Dispense.Validity.Start), "authoredOn")
	if !ok {
		return
	}
	e.Provider = providerKey(r.Requester)
	if r.Medication.IsZero() {
		m.problem(NoCode, "medicationReference") // a Medication in a record of its own is not read
		return
	}
	e.usual, e.code, e.end = omop.DrugTable, m.code(CodePart, r.Medication), r.Dispense.Validity.End
	e.Invalid = slices.Contains([]string{"entered-in-error", "cancelled", "draft"}, r.Status) ||
		slices.Contains([]string{"plan", "proposal", "option"}, r.Intent)
	e.drug.refills = r.Dispense.Repeats
	e.drug.amount(r.Dispense.Quantity)
	if s := r.Dispense.Supply; s != nil && s.Value != nil {
		if days := math.Ceil(s.Value.Value * daysPer[s.Code]); days >= 1 && days <= maxSupply {
			n := int(days)
			e.drug.days = &n
		}
	}
	var sig []string
	for _, d := range r.Dosage {
		if d.Text != "" {
			sig = append(sig, d.Text)
		}
		if !d.Route.IsZero() && e.drug.route.source == "" {
			e.drug.route = m.code(RoutePart, d.Route)
		}
		if d.Dose != nil && e.drug.doseUnit == "" {
			e.drug.doseUnit = cmp.Or(d.Dose.Code, d.Dose.Unit)
		}
	}
	e.drug.sig = strings.Join(sig, "; ")
	m.place(e)
}

func (d *drug) amount(q *fhir.Quantity) {
	if q != nil && q.Value != nil {
		v := q.Value.Value
		d.quantity = &v
	}
}
