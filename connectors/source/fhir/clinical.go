package fhir

// Condition is a FHIR Condition.
type Condition struct {
	private

	ID           string
	Clinical     CodeableConcept // active, recurrence, relapse, inactive, remission, resolved
	Verification CodeableConcept // such as confirmed, refuted, entered-in-error
	Category     []CodeableConcept
	Code         CodeableConcept
	Subject      Reference
	Encounter    Reference
	By           Reference // who gave the care
	Onset        Time      // onsetDateTime
	OnsetDuring  Period    // onsetPeriod
	Abated       Time      // abatementDateTime
	AbatedDuring Period    // abatementPeriod
	Recorded     Time
}

func decodeCondition(t *tree, at int, id string) Resource {
	return &Condition{
		ID:           id,
		Clinical:     t.statusConcept(at, "clinicalStatus"),
		Verification: t.statusConcept(at, "verificationStatus"),
		Category:     t.concepts(at, "category"),
		Code:         t.requiredConcept(at, "code"),
		Subject:      t.requiredReference(at, "subject"),
		Encounter:    t.encounterOf(at),
		By:           t.saidBy(at, "asserter", "recorder"),
		Onset:        t.time(at, "onsetDateTime"),
		OnsetDuring:  t.period(at, "onsetPeriod"),
		Abated:       t.time(at, "abatementDateTime"),
		AbatedDuring: t.period(at, "abatementPeriod"),
		Recorded:     t.time(at, t.or(at, "recordedDate", "assertedDate")),
	}
}

// EachReference implements [Resource].
func (c *Condition) EachReference(visit func(string, *Reference)) {
	visitAll(visit, named{"subject", &c.Subject}, named{"encounter", &c.Encounter}, named{"asserter", &c.By})
}

// Procedure is a FHIR Procedure.
type Procedure struct {
	private

	ID           string
	Status       string // such as completed, not-done, entered-in-error
	Category     CodeableConcept
	Code         CodeableConcept
	Subject      Reference
	Encounter    Reference
	By           Reference // who gave the care
	Performed    Time      // performedDateTime, occurrenceDateTime of R5
	During       Period    // performedPeriod, occurrencePeriod of R5
	Reason       []CodeableConcept
	ReasonRecord []Reference // reasonReference
}

func decodeProcedure(t *tree, at int, id string) Resource {
	p := &Procedure{
		ID:        id,
		Status:    t.required(at, "status"),
		Category:  t.firstConcept(at, "category"),
		Code:      t.requiredConcept(at, "code"),
		Subject:   t.requiredReference(at, "subject"),
		Encounter: t.encounterOf(at),
		By:        t.by(at, "performer", "actor"),
		Performed: t.time(at, t.or(at, "performedDateTime", "occurrenceDateTime")),
		During:    t.period(at, t.or(at, "performedPeriod", "occurrencePeriod")),
	}
	p.Reason, p.ReasonRecord = t.reasons(at)
	return p
}

// EachReference implements [Resource].
func (p *Procedure) EachReference(visit func(string, *Reference)) {
	visitAll(visit, named{"subject", &p.Subject}, named{"encounter", &p.Encounter}, named{"performer", &p.By})
	visitList(visit, "reasonReference", p.ReasonRecord)
}

// Immunization is a FHIR Immunization.
type Immunization struct {
	private

	ID            string
	Status        string // completed, not-done, entered-in-error
	Vaccine       CodeableConcept
	Patient       Reference
	Encounter     Reference
	By            Reference // who gave the care
	Occurred      Time      // occurrenceDateTime
	OccurredText  string    // occurrenceString
	PrimarySource *bool     // false if reported by someone else, for example the patient
	LotNumber     string
	Dose          *Quantity
}

func decodeImmunization(t *tree, at int, id string) Resource {
	return &Immunization{
		ID:            id,
		Status:        t.immunizationStatus(at),
		Vaccine:       t.requiredConcept(at, "vaccineCode"),
		Patient:       t.requiredReference(at, "patient"),
		Encounter:     t.encounterOf(at),
		By:            t.by(at, "performer", "actor"),
		Occurred:      t.time(at, t.or(at, "occurrenceDateTime", "date")),
		OccurredText:  t.str(at, "occurrenceString"),
		PrimarySource: t.boolean(at, "primarySource"),
		LotNumber:     t.str(at, "lotNumber"),
		Dose:          t.quantity(at, "doseQuantity"),
	}
}

// EachReference implements [Resource].
func (i *Immunization) EachReference(visit func(string, *Reference)) {
	visitAll(visit, named{"patient", &i.Patient}, named{"encounter", &i.Encounter}, named{"performer", &i.By})
}

// AllergyIntolerance is a FHIR AllergyIntolerance.
type AllergyIntolerance struct {
	private

	ID           string
	Clinical     CodeableConcept
	Verification CodeableConcept
	Type         string   // allergy or intolerance
	Category     []string // food, medication, environment, biologic
	Criticality  string   // low, high, unable-to-assess
	Code         CodeableConcept
	Patient      Reference
	Encounter    Reference
	By           Reference // who gave the care
	Onset        Time      // onsetDateTime
	Recorded     Time
	Reactions    []Reaction
}

// Reaction is one reaction that was seen.
type Reaction struct {
	private

	Substance     CodeableConcept
	Manifestation []CodeableConcept
	Severity      string // mild, moderate, severe
}

func decodeAllergyIntolerance(t *tree, at int, id string) Resource {
	a := &AllergyIntolerance{
		ID:           id,
		Clinical:     t.statusConcept(at, "clinicalStatus"),
		Verification: t.statusConcept(at, "verificationStatus"),
		Type:         t.codeOf(at, "type"),
		Category:     t.strings(at, "category"),
		Criticality:  t.str(at, "criticality"),
		Code:         t.concept(at, "code"),
		Patient:      t.requiredReference(at, "patient"),
		Encounter:    t.encounterOf(at),
		By:           t.saidBy(at, "recorder", "asserter"),
		Onset:        t.time(at, "onsetDateTime"),
		Recorded:     t.time(at, t.or(at, "recordedDate", "assertedDate")),
	}
	t.list(at, "reaction", func(e int) {
		a.Reactions = append(a.Reactions, Reaction{
			Substance: t.concept(e, "substance"), Manifestation: t.manifestations(e), Severity: t.str(e, "severity"),
		})
	})
	return a
}

// EachReference implements [Resource].
func (a *AllergyIntolerance) EachReference(visit func(string, *Reference)) {
	visitAll(visit, named{"patient", &a.Patient}, named{"encounter", &a.Encounter}, named{"recorder", &a.By})
}

// DiagnosticReport is a FHIR DiagnosticReport. Its results are Observations of their own.
type DiagnosticReport struct {
	private

	ID         string
	Status     string
	Category   []CodeableConcept
	Code       CodeableConcept
	Subject    Reference
	Encounter  Reference
	Effective  Time   // effectiveDateTime
	During     Period // effectivePeriod
	Issued     Time
	Results    []Reference
	Conclusion string
}

func decodeDiagnosticReport(t *tree, at int, id string) Resource {
	return &DiagnosticReport{
		ID:         id,
		Status:     t.required(at, "status"),
		Category:   t.concepts(at, "category"),
		Code:       t.requiredConcept(at, "code"),
		Subject:    t.requiredReference(at, "subject"),
		Encounter:  t.encounterOf(at),
		Effective:  t.time(at, "effectiveDateTime"),
		During:     t.period(at, "effectivePeriod"),
		Issued:     t.time(at, "issued"),
		Results:    t.references(at, "result"),
		Conclusion: t.str(at, "conclusion"),
	}
}

// EachReference implements [Resource].
func (d *DiagnosticReport) EachReference(visit func(string, *Reference)) {
	visitAll(visit, named{"subject", &d.Subject}, named{"encounter", &d.Encounter})
	visitList(visit, "result", d.Results)
}
