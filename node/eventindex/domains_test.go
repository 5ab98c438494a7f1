package eventindex

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// TestEveryDomainIsAnswered asks for the events of each domain that a criterion can be about.
func TestEveryDomainIsAnswered(t *testing.T) {
	t.Parallel()
	without := map[cohort.Domain]bool{cohort.DoseEra: true, cohort.LocationRegion: true} // the store has no tables for them
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newStore(t, db)
		b := omop.Batch{Mapper: "test", At: now}
		key := omop.NewKey("p")
		of := omop.Record{Key: omop.NewKey("r"), Person: key, Visit: omop.NewKey("v"), Pointer: "line 1", Provider: omop.NewKey("doctor")}
		const on = omop.Date(18000)
		b.Persons = []omop.Person{{Key: key, YearOfBirth: 1950}}
		b.Stated = []omop.StatedPeriod{{Record: of, Start: on - 100, End: on + 100}}
		b.CareSites = []omop.CareSite{{Record: omop.Record{Key: omop.NewKey("ward")}, PlaceConceptID: ptr(8717)}}
		b.Providers = []omop.Provider{{Record: omop.Record{Key: omop.NewKey("doctor")}, SpecialtyConceptID: ptr(38004446)}, {Record: omop.Record{Key: omop.NewKey("other")}}}
		b.Visits = []omop.Visit{{Record: omop.Record{Key: omop.NewKey("v"), Person: key, Provider: omop.NewKey("other"), CareSite: omop.NewKey("ward")}, ConceptID: 9201, Start: on, End: on}}
		b.Conditions = []omop.Condition{{Record: of, ConceptID: 1, Start: on}}
		b.Drugs = []omop.Drug{{Record: of, ConceptID: 2, Start: on, End: on}}
		b.Procedures = []omop.Procedure{{Record: of, ConceptID: 3, Start: on}}
		b.Measurements = []omop.Measurement{{Record: of, ConceptID: 4, Start: on}}
		b.Observations = []omop.Observation{{Record: of, ConceptID: 5, Start: on}}
		b.Deaths = []omop.Death{{Person: key, Date: on, CauseConceptID: 6}}
		b.Devices = []omop.Device{{Record: of, ConceptID: 7, Start: on, End: ptr(on + 3), UniqueID: "(01)1", Quantity: ptr(2)}}
		b.Specimens = []omop.Specimen{{Record: of, ConceptID: 8, Start: on, Quantity: ptr(2.5), SourceID: "tube 1", AnatomicSiteConceptID: 81}}
		b.VisitDetails = []omop.VisitDetail{{Record: of, ConceptID: 9, Start: on, End: on + 1}}
		b.PayerPlans = []omop.PayerPlan{{Record: of, Start: on, End: on + 30, Payer: omop.Coded{ConceptID: 10}, Plan: omop.Coded{Source: "gold"}}}
		put(t, db, s, b)
		x := openIndex(t, t.TempDir(), db, s)
		state, err := x.Snapshot(t.Context())
		require.NoError(t, err)
		defer state.Close()
		var single *Single
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			id, err := s.PersonByKey(t.Context(), tx, key)
			require.NoError(t, err)
			single, err = ReadSingle(t.Context(), tx, s, &words{"1"}, id)
			return err
		}))
		for _, name := range cohort.Domains() {
			for what, source := range map[string]events.Source{"index": state, "one person": single} {
				d, err := cohort.Read([]byte(fmt.Sprintf(`{"PrimaryCriteria": {"CriteriaList": [{"%s": {}}],
					"ObservationWindow": {"PriorDays": 0, "PostDays": 0}, "PrimaryCriteriaLimit": {"Type": "All"}}}`, name)))
				require.NoError(t, err, name)
				found, err := members.Evaluate(t.Context(), d, source, nil, members.Options{})
				if without[name] {
					require.ErrorAs(t, err, new(events.NoTableError), "%s of %s", name, what)
					continue
				}
				require.NoError(t, err, "%s of %s", name, what)
				require.Len(t, found.Entries, 1, "%s of %s", name, what)
			}
		}
		for what, source := range map[string]events.Source{"index": state, "one person": single} {
			for _, name := range []cohort.Domain{cohort.ConditionOccurrence, cohort.DrugExposure, cohort.ProcedureOccurrence, cohort.Measurement, cohort.Observation, cohort.DeviceExposure, cohort.VisitDetail} {
				e, err := source.Events(t.Context(), name, nil, specialty)
				require.NoError(t, err, "%s of %s", name, what)
				require.Equal(t, []int64{38004446}, e.Columns[specialty].Int, "%s of %s", name, what)
			}
			e, err := source.Events(t.Context(), cohort.VisitOccurrence, nil, specialty, placeOfService, careSiteID)
			require.NoError(t, err)
			require.Equal(t, []int64{omop.Null}, e.Columns[specialty].Int, "%s: nothing says it", what)
			require.Equal(t, []int64{8717}, e.Columns[placeOfService].Int, what)
			require.NotEqual(t, []int64{omop.Null}, e.Columns[careSiteID].Int, what)
		}
		device, err := state.Events(t.Context(), cohort.DeviceExposure, []int64{7}, "unique_device_id", "quantity", visitConcept)
		require.NoError(t, err)
		require.Equal(t, []string{"(01)1"}, device.Columns["unique_device_id"].Text)
		require.Equal(t, []int64{2}, device.Columns["quantity"].Int)
		require.Equal(t, []int64{9201}, device.Columns[visitConcept].Int)
		require.Equal(t, []events.Day{events.Day(on) + 3}, device.End)
		specimen, err := state.Events(t.Context(), cohort.Specimen, []int64{8}, "specimen_source_id", "quantity", "anatomic_site_concept_id")
		require.NoError(t, err)
		require.Equal(t, []string{"tube 1"}, specimen.Columns["specimen_source_id"].Text)
		require.Equal(t, []float64{2.5}, specimen.Columns["quantity"].Number)
		require.Equal(t, []int64{81}, specimen.Columns["anatomic_site_concept_id"].Int)
		detail, err := state.Events(t.Context(), cohort.VisitDetail, []int64{9}, visitConcept)
		require.NoError(t, err)
		require.Equal(t, []int64{9201}, detail.Columns[visitConcept].Int)
		payer, err := state.Events(t.Context(), cohort.PayerPlanPeriod, nil, "payer_concept_id", "plan_concept_id", "sponsor_concept_id")
		require.NoError(t, err)
		require.Equal(t, []int64{10}, payer.Columns["payer_concept_id"].Int)
		require.Equal(t, []int64{0}, payer.Columns["plan_concept_id"].Int)
		require.Equal(t, []int64{events.Null}, payer.Columns["sponsor_concept_id"].Int)
	})
}

// TestWhoGivesCareChangesInTheIndex with the store, by an update and by a build alike.
func TestWhoGivesCareChangesInTheIndex(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newStore(t, db)
		for _, name := range []string{"p", "q", "r"} { // one by one: persons are numbered as they come
			of := omop.Record{Key: omop.NewKey("v"), Person: omop.NewKey(name), Provider: omop.NewKey("of " + name), CareSite: omop.NewKey("of " + name)}
			put(t, db, s, omop.Batch{
				Raw: [32]byte{1}, Mapper: "test", At: now, Persons: []omop.Person{{Key: of.Person, YearOfBirth: 1950}},
				Visits:    []omop.Visit{{Record: of, ConceptID: 9202, Start: 18000, End: 18000}},
				Providers: []omop.Provider{{Record: omop.Record{Key: of.Provider}, SpecialtyConceptID: ptr(1)}},
				CareSites: []omop.CareSite{{Record: omop.Record{Key: of.CareSite}, PlaceConceptID: ptr(2)}},
			})
		}
		x := openIndex(t, t.TempDir(), db, s)
		look := func(x *Index) map[events.Column][]int64 {
			state, err := x.Snapshot(t.Context())
			require.NoError(t, err)
			defer state.Close()
			e, err := state.Events(t.Context(), cohort.VisitOccurrence, nil, specialty, placeOfService)
			require.NoError(t, err)
			return map[events.Column][]int64{specialty: e.Columns[specialty].Int, placeOfService: e.Columns[placeOfService].Int}
		}
		require.Equal(t, map[events.Column][]int64{specialty: {1, 1, 1}, placeOfService: {2, 2, 2}}, look(x))
		put(t, db, s, omop.Batch{
			Raw: [32]byte{2}, Mapper: "test", At: now, Position: 1,
			Providers: []omop.Provider{{Record: omop.Record{Key: omop.NewKey("of q")}, SpecialtyConceptID: ptr(7)}},
			CareSites: []omop.CareSite{{Record: omop.Record{Key: omop.NewKey("of r")}}},
		})
		want := map[events.Column][]int64{specialty: {1, 7, 1}, placeOfService: {2, 2, omop.Null}}
		require.Equal(t, want, look(x))
		require.Equal(t, 2, x.Status().Segments, "by an update")
		require.Equal(t, want, look(openIndex(t, t.TempDir(), db, s)), "by a build")
	})
}

// TestAReadingFitsIntoItsMemory: what does not is refused before it is read.
func TestAReadingFitsIntoItsMemory(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	s := newStore(t, db)
	b := omop.Batch{Mapper: "test", At: now, Persons: []omop.Person{{Key: omop.NewKey("p"), YearOfBirth: 1950}}}
	for i := range 100 {
		b.Measurements = append(b.Measurements, omop.Measurement{
			Record: omop.Record{Key: omop.NewKey(fmt.Sprint(i)), Person: omop.NewKey("p")}, ConceptID: int64(1 + i%10), Start: 18000,
		})
	}
	put(t, db, s, b)
	x, err := Open(Config{Dir: t.TempDir(), DB: db, Store: s, Vocabulary: &words{"1"}, Memory: 99 * (eventBytes + columnBytes)})
	require.NoError(t, err)
	state, err := x.Snapshot(t.Context())
	require.NoError(t, err)
	defer state.Close()
	_, err = state.Events(t.Context(), cohort.Measurement, nil, "value_as_number")
	require.ErrorIs(t, err, events.ErrTooMany)
	all, err := state.Events(t.Context(), cohort.Measurement, nil)
	require.NoError(t, err)
	require.Len(t, all.Person, 100)
	one, err := state.Events(t.Context(), cohort.Measurement, []int64{7}, "value_as_number")
	require.NoError(t, err)
	require.Len(t, one.Person, 10)
}

// TestPartsOfThePeople: what is read of some of them at a time is what is read of all, also
// where an update knows better.
func TestPartsOfThePeople(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	s := newStore(t, db)
	b := omop.Batch{Raw: [32]byte{1}, Mapper: "test", At: now}
	measure := func(b *omop.Batch, name string, i int) {
		value := float64(i)
		b.Measurements = append(b.Measurements, omop.Measurement{
			Record: omop.Record{Key: omop.NewKey(fmt.Sprint(i)), Person: omop.NewKey(name)}, ConceptID: int64(1 + i%7/6), Start: 18000 + omop.Date(i%11), Number: &value,
		})
	}
	for p := range 120 {
		name := fmt.Sprint("p", p)
		b.Persons = append(b.Persons, omop.Person{Key: omop.NewKey(name), YearOfBirth: 1950})
		for i := range 30 {
			measure(&b, name, i)
		}
	}
	put(t, db, s, b)
	x := openIndex(t, t.TempDir(), db, s)
	first, err := x.Snapshot(t.Context())
	require.NoError(t, err)
	first.Close()
	more := omop.Batch{Raw: [32]byte{2}, Mapper: "test", At: now, Position: 1}
	for p := 0; p < 120; p += 3 {
		for i := range 40 {
			measure(&more, fmt.Sprint("p", p), 100+i)
		}
	}
	put(t, db, s, more)
	state, err := x.Snapshot(t.Context())
	require.NoError(t, err)
	defer state.Close()
	require.Equal(t, 2, x.Status().Segments)
	for _, concepts := range [][]int64{nil, {1}, {2, 1, 2}, {3}} {
		whole, err := state.Events(t.Context(), cohort.Measurement, concepts, "value_as_number")
		require.NoError(t, err)
		most, err := state.Most(cohort.Measurement, concepts)
		require.NoError(t, err)
		require.GreaterOrEqual(t, most, len(whole.Person))
		for _, width := range []uint32{13, 100, 119} {
			var persons []uint32
			var ids []int64
			var values []float64
			for from := uint32(0); from < 120; from += width {
				part, err := state.Between(from, min(from+width, 120)).Events(t.Context(), cohort.Measurement, concepts, "value_as_number")
				require.NoError(t, err)
				persons, ids = append(persons, part.Person...), append(ids, part.ID...)
				values = append(values, part.Columns["value_as_number"].Number...)
			}
			require.Len(t, persons, len(whole.Person))
			if len(persons) > 0 {
				require.Equal(t, whole.Person, persons)
				require.Equal(t, whole.ID, ids)
				require.Equal(t, whole.Columns["value_as_number"].Number, values)
			}
		}
	}
	none, err := state.Between(5, 5).Events(t.Context(), cohort.Measurement, nil)
	require.NoError(t, err)
	require.Empty(t, none.Person)
}
