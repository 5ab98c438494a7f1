package fhir

// Encounter is a FHIR Encounter.
type Encounter struct {
	private

	ID              string
	Status          string // of R4, such as finished, entered-in-error
	Class           Coding // v3 ActCode such as AMB, EMER, IMP; also Synthea's own spellings
	Type            []CodeableConcept
	Subject         Reference
	Period          Period
	Reason          []CodeableConcept
	ServiceProvider Reference
	Participant     []Reference // individuals
	Location        Reference   // the first
	Discharge       CodeableConcept
}

func decodeEncounter(t *tree, at int, id string) Resource {
	e := &Encounter{
		ID:              id,
		Status:          t.encounterStatus(at),
		Class:           t.encounterClass(at),
		Type:            t.concepts(at, "type"),
		Subject:         t.requiredReference(at, "subject"),
		Period:          t.period(at, t.or(at, "period", "actualPeriod")),
		Reason:          t.encounterReasons(at),
		ServiceProvider: t.reference(at, "serviceProvider"),
		Discharge:       t.concept(t.typed(at, t.or(at, "hospitalization", "admission"), kindObject), "dischargeDisposition"),
	}
	e.Location = t.by(at, "location", "location")
	t.list(at, "participant", func(p int) {
		if r := t.reference(p, t.or(p, "individual", "actor")); !r.IsZero() {
			e.Participant = append(e.Participant, r)
		}
	})
	return e
}

// EachReference implements [Resource].
func (e *Encounter) EachReference(visit func(string, *Reference)) {
	visitAll(visit, named{"subject", &e.Subject}, named{"serviceProvider", &e.ServiceProvider}, named{"location", &e.Location})
	visitList(visit, "participant", e.Participant)
}
