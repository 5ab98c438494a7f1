package eventindex

import (
	"slices"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// visitConcept is the type of the visit that an event belongs to.
const visitConcept events.Column = "visit_occurrence.visit_concept_id"

// domain says where the events of a domain come from.
type domain struct {
	name                       cohort.Domain
	table                      omop.Table // 0 for eras, which are made of others
	concept, start, end, visit string     // columns, "" for none
	attributes                 []attribute
}

type attribute struct {
	name events.Column
	kind omop.VectorKind
}

// domains are in the order in which a segment has them: what others refer to and are made
// of comes first.
var domains = []domain{
	ofTable(cohort.VisitOccurrence, omop.VisitTable, "visit_concept_id", "visit_start_date", "visit_end_date"),
	ofTable(cohort.ConditionOccurrence, omop.ConditionTable, "condition_concept_id", "condition_start_date", "condition_end_date"),
	ofTable(cohort.DrugExposure, omop.DrugTable, "drug_concept_id", "drug_exposure_start_date", "drug_exposure_end_date"),
	ofTable(cohort.ProcedureOccurrence, omop.ProcedureTable, "procedure_concept_id", "procedure_date", "procedure_end_date"),
	ofTable(cohort.Measurement, omop.MeasurementTable, "measurement_concept_id", "measurement_date", ""),
	ofTable(cohort.Observation, omop.ObservationTable, "observation_concept_id", "observation_date", ""),
	ofTable(cohort.Death, omop.DeathTable, "cause_concept_id", "death_date", ""),
	ofTable(cohort.DeviceExposure, omop.DeviceTable, "device_concept_id", "device_exposure_start_date", "device_exposure_end_date"),
	ofTable(cohort.Specimen, omop.SpecimenTable, "specimen_concept_id", "specimen_date", ""),
	ofTable(cohort.VisitDetail, omop.VisitDetailTable, "visit_detail_concept_id", "visit_detail_start_date", "visit_detail_end_date"),
	ofTable(cohort.PayerPlanPeriod, omop.PayerPlanTable, "", "payer_plan_period_start_date", "payer_plan_period_end_date"),
	{name: cohort.ConditionEra, attributes: []attribute{{"condition_occurrence_count", omop.WholeVector}}},
	{name: cohort.DrugEra, attributes: []attribute{{"drug_exposure_count", omop.WholeVector}, {"gap_days", omop.WholeVector}}},
}

func ofTable(name cohort.Domain, t omop.Table, concept, start, end string) domain {
	d := domain{name: name, table: t, concept: concept, start: start, end: end}
	for i, f := range omop.Fields(t) {
		switch f.Name {
		case "person_id", concept, start, end:
		case "visit_occurrence_id":
			if i > 0 {
				d.visit = f.Name
			}
		case "provider_id", "care_site_id":
			for _, name := range cared[f.Name] {
				d.attributes = append(d.attributes, attribute{name, omop.WholeVector})
			}
		default:
			if i > 0 {
				d.attributes = append(d.attributes, attribute{events.Column(f.Name), f.Kind})
			}
		}
	}
	if d.visit != "" {
		d.attributes = append(d.attributes, attribute{visitConcept, omop.WholeVector})
	}
	return d
}

// place returns the index of a domain in domains, -1 for one that is not among them.
func place(name cohort.Domain) int {
	return slices.IndexFunc(domains, func(d domain) bool { return d.name == name })
}

// has reports whether an attribute is one of the domain.
func (d *domain) has(name events.Column) (int, bool) {
	i := slices.IndexFunc(d.attributes, func(a attribute) bool { return a.name == name })
	return i, i >= 0
}

// rows are events of one domain in memory, column by column.
type rows struct {
	person  []uint32 // ordinal in the segment
	concept []int64  // events.Null for none
	start   []int64  // days
	end     []int64
	id      []int64
	visit   []int64
	attr    []omop.Vector // as domain.attributes
}

func newRows(d *domain) *rows { return &rows{attr: make([]omop.Vector, len(d.attributes))} }

// grow makes room for n rows.
func (r *rows) grow(d *domain, n int) {
	r.person, r.concept = slices.Grow(r.person, n), slices.Grow(r.concept, n)
	r.start, r.end, r.id, r.visit = slices.Grow(r.start, n), slices.Grow(r.end, n), slices.Grow(r.id, n), slices.Grow(r.visit, n)
	for i, a := range d.attributes {
		v := &r.attr[i]
		switch {
		case a.name == visitConcept: // it is joined later
		case a.kind == omop.NumberVector:
			v.Number = slices.Grow(v.Number, n)
		case a.kind == omop.TextVector:
			v.Text, v.Absent = slices.Grow(v.Text, n), slices.Grow(v.Absent, n)
		default:
			v.Whole = slices.Grow(v.Whole, n)
		}
	}
}

func (r *rows) len() int { return len(r.person) }

// order sorts the rows by concept, person, start and id, and returns their former places.
func (r *rows) order() []uint32 {
	type key struct {
		concept int64
		person  uint32
		start   int32
		id      int64
		at      uint32
	}
	keys := make([]key, r.len())
	for i := range keys {
		keys[i] = key{r.concept[i], r.person[i], int32(r.start[i]), r.id[i], uint32(i)} //nolint:gosec // days, and rows of a segment
	}
	slices.SortFunc(keys, func(a, b key) int {
		switch {
		case a.concept != b.concept:
			return sign(a.concept < b.concept)
		case a.person != b.person:
			return sign(a.person < b.person)
		case a.start != b.start:
			return sign(a.start < b.start)
		case a.id != b.id:
			return sign(a.id < b.id)
		}
		return 0
	})
	places := make([]uint32, len(keys))
	for i := range keys {
		places[i] = keys[i].at
	}
	return places
}

func sign(less bool) int {
	if less {
		return -1
	}
	return 1
}

// gather returns the values at places.
func gather[T any](values []T, places []uint32) []T {
	if values == nil {
		return nil
	}
	out := make([]T, len(places))
	for i, p := range places {
		out[i] = values[p]
	}
	return out
}
