package fhir

// MedicationRequest is a FHIR MedicationRequest.
type MedicationRequest struct {
	private

	ID     string
	Status string // such as active, completed, stopped, entered-in-error
	Intent string // such as order, plan, proposal

	// Medication is what was ordered: medicationCodeableConcept, or the code
	// of the contained Medication that was referred to. MedicationRecord is set
	// instead if the Medication is a resource elsewhere.
	Medication       CodeableConcept
	MedicationRecord Reference

	Subject   Reference
	Encounter Reference
	Authored  Time
	Reason    []CodeableConcept
	Reasons   []Reference // reasonReference
	Requester Reference
	Dosage    []Dosage
	Dispense  Dispense
}

// Dosage is one dosage instruction. Timing is per day or whatever PeriodUnit (UCUM) says.
type Dosage struct {
	private

	Text       string
	AsNeeded   *bool
	Route      CodeableConcept
	Dose       *Quantity
	Frequency  *int
	Period     *Decimal
	PeriodUnit string // s, min, h, d, wk, mo, a
}

// Dispense is what the pharmacy may hand out.
type Dispense struct {
	private

	Validity Period
	Repeats  *int
	Quantity *Quantity
	Supply   *Quantity // how long one dispense lasts
}

func decodeMedicationRequest(t *tree, at int, id string) Resource {
	m := &MedicationRequest{
		ID:        id,
		Status:    t.required(at, "status"),
		Intent:    t.str(at, "intent"),
		Subject:   t.requiredReference(at, "subject"),
		Encounter: t.encounterOf(at),
		Authored:  t.time(at, "authoredOn"),
		Requester: t.reference(at, "requester"),
	}
	m.Medication, m.MedicationRecord = t.medication(at)
	m.Reason, m.Reasons = t.reasons(at)
	if m.MedicationRecord.Form == ReferenceContained {
		m.Medication = t.containedMedication(at, m.MedicationRecord.ID)
		m.MedicationRecord = Reference{}
	}
	if m.Medication.IsZero() && m.MedicationRecord.IsZero() {
		t.missing(at, "medicationCodeableConcept")
	}
	t.list(at, "dosageInstruction", func(e int) { m.Dosage = append(m.Dosage, t.dosage(e)) })
	if d := t.typed(at, "dispenseRequest", kindObject); d != none {
		m.Dispense = Dispense{
			Validity: t.period(d, "validityPeriod"), Repeats: t.integer(d, "numberOfRepeatsAllowed"),
			Quantity: t.quantity(d, "quantity"), Supply: t.quantity(d, "expectedSupplyDuration"),
		}
	}
	return m
}

// containedMedication returns the code of the contained Medication called id.
func (t *tree) containedMedication(at int, id string) (code CodeableConcept) {
	t.list(at, "contained", func(e int) {
		if t.str(e, "id") == id && t.str(e, "resourceType") == "Medication" {
			code = t.concept(e, "code")
		}
	})
	return code
}

func (t *tree) dosage(at int) Dosage {
	repeat := t.typed(t.typed(at, "timing", kindObject), "repeat", kindObject)
	d := Dosage{
		Text:       t.str(at, "text"),
		AsNeeded:   t.boolean(at, t.or(at, "asNeededBoolean", "asNeeded")),
		Route:      t.concept(at, "route"),
		Frequency:  t.integer(repeat, "frequency"),
		Period:     t.decimal(repeat, "period"),
		PeriodUnit: t.str(repeat, "periodUnit"),
	}
	t.list(at, "doseAndRate", func(e int) {
		if d.Dose == nil {
			d.Dose = t.quantity(e, "doseQuantity")
		}
	})
	return d
}

// EachReference implements [Resource].
func (m *MedicationRequest) EachReference(visit func(string, *Reference)) {
	visitAll(visit, named{"medicationReference", &m.MedicationRecord}, named{"subject", &m.Subject},
		named{"encounter", &m.Encounter}, named{"requester", &m.Requester})
	visitList(visit, "reasonReference", m.Reasons)
}
