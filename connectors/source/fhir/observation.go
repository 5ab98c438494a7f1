package fhir

// Value is what an Observation or one of its components found. At most one field besides
// Collected is set; none is set if the observation has only components, or no result.
type Value struct {
	private

	Quantity *Quantity
	Concept  CodeableConcept
	String   *string
	Boolean  *bool
	Integer  *int
	Range    *[2]*Quantity // low, high; either may be nil
	Ratio    *[2]*Quantity // numerator, denominator
	Time     Time          // valueDateTime
	TimeText string        // valueTime, hh:mm:ss
	Period   Period

	// Collected is the result as it was first written down ("98.6 F"), of a source that
	// sends a standardized one beside it. FHIR has no element for it.
	Collected string
}

// Observation is a FHIR Observation.
type Observation struct {
	private

	ID          string
	Status      string // such as final, amended, entered-in-error
	Category    []CodeableConcept
	Code        CodeableConcept
	Subject     Reference
	Encounter   Reference
	By          Reference // who gave the care
	Effective   Time      // effectiveDateTime or effectiveInstant
	During      Period    // effectivePeriod
	Issued      Time
	Value       Value
	Absent      CodeableConcept // why there is no value
	Interpreted []CodeableConcept
	Range       []ReferenceRange
	Components  []Component
}

// Component is one part of an Observation, such as the systolic of a blood pressure.
type Component struct {
	private

	Code        CodeableConcept
	Value       Value
	Absent      CodeableConcept
	Interpreted []CodeableConcept
	Range       []ReferenceRange
}

// ReferenceRange is the span a laboratory calls normal; either end may be nil.
type ReferenceRange struct {
	private

	Low, High *Quantity
	Text      string
}

func decodeObservation(t *tree, at int, id string) Resource {
	o := &Observation{
		ID:          id,
		Status:      t.required(at, "status"),
		Category:    t.concepts(at, "category"),
		Code:        t.requiredConcept(at, "code"),
		Subject:     t.requiredReference(at, "subject"),
		Encounter:   t.encounterOf(at),
		By:          t.by(at, "performer", ""),
		Effective:   t.time(at, "effectiveDateTime"),
		During:      t.period(at, "effectivePeriod"),
		Issued:      t.time(at, "issued"),
		Value:       t.observed(at),
		Absent:      t.concept(at, "dataAbsentReason"),
		Interpreted: t.concepts(at, "interpretation"),
		Range:       t.ranges(at),
	}
	if o.Effective.IsZero() {
		o.Effective = t.time(at, "effectiveInstant")
	}
	t.list(at, "component", func(c int) {
		o.Components = append(o.Components, Component{
			Code:        t.requiredConcept(c, "code"),
			Value:       t.observed(c),
			Absent:      t.concept(c, "dataAbsentReason"),
			Interpreted: t.concepts(c, "interpretation"),
			Range:       t.ranges(c),
		})
	})
	return o
}

// observed reads value[x].
func (t *tree) observed(at int) Value {
	v := Value{
		Quantity: t.quantity(at, "valueQuantity"),
		Concept:  t.concept(at, "valueCodeableConcept"),
		Boolean:  t.boolean(at, "valueBoolean"),
		Integer:  t.integer(at, "valueInteger"),
		Time:     t.time(at, "valueDateTime"),
		TimeText: t.str(at, "valueTime"),
		Period:   t.period(at, "valuePeriod"),
		Range:    t.pair(at, "valueRange", "low", "high"),
		Ratio:    t.pair(at, "valueRatio", "numerator", "denominator"),
	}
	if c := t.typed(at, "valueString", kindString); c != none {
		s := t.textOf(c)
		v.String = &s
	}
	return v
}

func (t *tree) pair(at int, name, first, second string) *[2]*Quantity {
	c := t.typed(at, name, kindObject)
	if c == none {
		return nil
	}
	return &[2]*Quantity{t.quantity(c, first), t.quantity(c, second)}
}

func (t *tree) ranges(at int) []ReferenceRange {
	var all []ReferenceRange
	t.list(at, "referenceRange", func(e int) {
		all = append(all, ReferenceRange{Low: t.quantity(e, "low"), High: t.quantity(e, "high"), Text: t.str(e, "text")})
	})
	return all
}

// EachReference implements [Resource].
func (o *Observation) EachReference(visit func(string, *Reference)) {
	visitAll(visit, named{"subject", &o.Subject}, named{"encounter", &o.Encounter}, named{"performer", &o.By})
}
