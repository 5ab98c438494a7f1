package report_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/report"
)

const (
	weight, height, bmi   = 3025315, 3036277, 3038553
	kg, cm, kgPerM2, mmHg = 9529, 8582, 9531, 8876
	hypertension          = 320128
	prostate              = 200962 // a condition of men
)

var today = sqldb.DateOf(now)

func record(person, key string) omop.Record {
	return omop.Record{Key: omop.NewKey(key), Person: omop.NewKey(person), Visit: omop.NewKey("v")}
}

func measurement(person, key string, concept int64, number float64, unit int64) omop.Measurement {
	return omop.Measurement{
		Record: record(person, key), ConceptID: concept, Start: today - 10, Number: &number, UnitConceptID: unit, UnitSource: "unit", SourceValue: "code",
	}
}

// healthy are persons of whom nothing is wrong.
func healthy(persons ...string) omop.Batch {
	var b omop.Batch
	for _, p := range persons {
		b.Persons = append(b.Persons, omop.Person{Key: omop.NewKey(p), GenderConceptID: omop.Female, YearOfBirth: 1960, MonthOfBirth: 2, DayOfBirth: 3})
		b.Periods = append(b.Periods, omop.ObservationPeriod{Person: omop.NewKey(p), Start: today - 1000, End: today})
		b.Visits = append(b.Visits, omop.Visit{Record: omop.Record{Key: omop.NewKey("v"), Person: omop.NewKey(p)}, ConceptID: 9202, Start: today - 11, End: today - 9})
		b.Conditions = append(b.Conditions, omop.Condition{Record: record(p, "c"), ConceptID: hypertension, Start: today - 10})
		b.Measurements = append(b.Measurements, measurement(p, "m", weight, 70, kg))
	}
	return b
}

// violated are the checks with a violation.
func violated(r report.Report) map[string]int64 {
	out := map[string]int64{}
	for _, c := range r.Checks {
		if c.Violations > 0 {
			out[c.ID] = c.Violations
		}
	}
	return out
}

// TestEachDefectIsFoundByItsCheck adds one defect at a time to data without any.
func TestEachDefectIsFoundByItsCheck(t *testing.T) {
	t.Parallel()
	died := func(b *omop.Batch, day omop.Date) {
		b.Deaths = []omop.Death{{Person: omop.NewKey("p"), Date: day}}
	}
	cases := []struct {
		name  string
		spoil func(*omop.Batch)
		want  map[string]int64
	}{
		{"nothing", func(*omop.Batch) {}, map[string]int64{}},
		{"a gender of no list", func(b *omop.Batch) { b.Persons[0].GenderConceptID = 8521 }, map[string]int64{"person.gender-concept": 1}},
		{"no gender", func(b *omop.Batch) { b.Persons[0].GenderConceptID = 0 }, map[string]int64{"person.unknown-gender": 1}},
		{"a birth without day", func(b *omop.Batch) { b.Persons[0].DayOfBirth = 0 }, map[string]int64{"person.partial-birth": 1}},
		{"born in 1803", func(b *omop.Batch) { b.Persons[0].YearOfBirth = 1803 }, map[string]int64{"person.impossible-birth": 1}},
		{"born tomorrow", func(b *omop.Batch) {
			born := (today + 1).Time()
			b.Persons[0].YearOfBirth, b.Persons[0].MonthOfBirth, b.Persons[0].DayOfBirth = born.Year(), int(born.Month()), born.Day()
		}, map[string]int64{
			"person.impossible-birth": 1, "observation_period.before-birth": 1, "visit_occurrence.before-birth": 1, "condition_occurrence.before-birth": 1, "measurement.before-birth": 1,
		}},
		{"no period", func(b *omop.Batch) { b.Periods = nil }, map[string]int64{
			"person.no-observation-period": 1, "visit_occurrence.outside-period": 1, "condition_occurrence.outside-period": 1, "measurement.outside-period": 1,
		}},
		{"a period that ends too soon", func(b *omop.Batch) { b.Periods[0].End = today - 11 }, map[string]int64{"condition_occurrence.outside-period": 1, "measurement.outside-period": 1}},
		{"no visit", func(b *omop.Batch) { b.Visits = nil }, map[string]int64{
			"person.no-visit": 1, "condition_occurrence.visitless": 1, "measurement.visitless": 1,
		}},
		{"no condition", func(b *omop.Batch) { b.Conditions = nil }, map[string]int64{"person.no-condition": 1}},
		{"no measurement", func(b *omop.Batch) { b.Measurements = nil }, map[string]int64{"person.no-measurement": 1}},
		{"a visit that ends before", func(b *omop.Batch) { b.Visits[0].End = today - 12 }, map[string]int64{"visit_occurrence.end-before-start": 1}},
		{"a condition of no concept", func(b *omop.Batch) { b.Conditions[0].ConceptID = 0 }, map[string]int64{"condition_occurrence.no-concept": 1}},
		{"a condition long after death", func(b *omop.Batch) {
			died(b, today-71)
			b.Measurements[0].Start = today - 11
			b.Visits[0].Start = today - 11
		}, map[string]int64{"condition_occurrence.after-death": 1}},
		{"a condition in the future", func(b *omop.Batch) { b.Conditions[0].Start = today + 2 }, map[string]int64{"condition_occurrence.in-future": 1, "condition_occurrence.outside-period": 1}},
		{"a condition of men", func(b *omop.Batch) { b.Conditions[0].ConceptID = prostate }, map[string]int64{"condition_occurrence.implausible-gender": 1}},
		{"the same of a man", func(b *omop.Batch) {
			b.Conditions[0].ConceptID, b.Persons[0].GenderConceptID = prostate, omop.Male
		}, map[string]int64{}},
		{"marked by the load", func(b *omop.Batch) { b.Measurements[0].Invalid = true }, map[string]int64{"measurement.marked-invalid": 1}},
		{"flagged by the load", func(b *omop.Batch) { b.Measurements[0].Outlier = true }, map[string]int64{"measurement.marked-outlier": 1}},
		{"no value", func(b *omop.Batch) { b.Measurements[0].Number = nil }, map[string]int64{"measurement.no-value": 1}},
		{"no unit", func(b *omop.Batch) { b.Measurements[0].UnitSource, b.Measurements[0].UnitConceptID = "", 0 }, map[string]int64{"measurement.no-unit": 1}},
		{"an unknown unit", func(b *omop.Batch) { b.Measurements[0].UnitConceptID = 0 }, map[string]int64{"measurement.unknown-unit": 1}},
		{"a unit of another kind", func(b *omop.Batch) { b.Measurements[0].UnitConceptID = mmHg }, map[string]int64{"measurement.wrong-unit.3025315.8876": 1}},
		{"grams", func(b *omop.Batch) { *b.Measurements[0].Number = 70_000 }, map[string]int64{"measurement.impossible-value.3025315.9529": 1}},
		{"a heavy person", func(b *omop.Batch) { *b.Measurements[0].Number = 550 }, map[string]int64{"measurement.implausible-value.3025315.9529": 1}},
		{"an index that was computed wrong", func(b *omop.Batch) {
			b.Measurements = append(b.Measurements, measurement("p", "h", height, 170, cm), measurement("p", "b", bmi, 29.1, kgPerM2))
		}, map[string]int64{"measurement.body-mass-index": 1}},
		{"one that was computed right", func(b *omop.Batch) {
			b.Measurements = append(b.Measurements, measurement("p", "h", height, 170, cm), measurement("p", "b", bmi, 24.2, kgPerM2))
		}, map[string]int64{}},
		{"one that another weight of the day gives", func(b *omop.Batch) {
			b.Measurements = append(b.Measurements, measurement("p", "h", height, 170, cm), measurement("p", "b", bmi, 29.1, kgPerM2), measurement("p", "w", weight, 84.1, kg))
		}, map[string]int64{}},
		{"the same twice", func(b *omop.Batch) {
			b.Measurements = append(b.Measurements, measurement("p", "again", weight, 70, kg))
		}, map[string]int64{"measurement.repeat": 1}},
		{"the same four times", func(b *omop.Batch) {
			for i := range 3 {
				b.Conditions = append(b.Conditions, omop.Condition{Record: record("p", fmt.Sprint(i)), ConceptID: hypertension, Start: today - 10})
			}
		}, map[string]int64{"condition_occurrence.repeat": 3}},
		{"another value at the time", func(b *omop.Batch) {
			b.Measurements = append(b.Measurements, measurement("p", "again", weight, 70.5, kg))
		}, map[string]int64{}},
	}
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		for _, c := range cases {
			s.empty()
			b := healthy("p")
			c.spoil(&b)
			s.put(b)
			require.Equal(t, c.want, violated(s.report()), c.name)
		}
	})
}

// TestReferencesThatLeadNowhere breaks what the store keeps whole by itself, as a
// database does that others write to.
func TestReferencesThatLeadNowhere(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.put(healthy("p", "q"))
		s.exec("UPDATE condition_occurrence SET visit_occurrence_id = 999999 WHERE person_id = (SELECT min(person_id) FROM person)")
		s.exec("UPDATE measurement SET visit_occurrence_id = (SELECT max(visit_occurrence_id) FROM visit_occurrence)")
		require.Equal(t, map[string]int64{"condition_occurrence.orphan-visit": 1, "measurement.other-visit": 1}, violated(s.report()))
		s.exec("UPDATE measurement SET person_id = 999999, visit_occurrence_id = NULL")
		r := s.report()
		require.EqualValues(t, 2, find(t, r, "measurement.orphan-person").Violations)
		require.False(t, r.Passed, "it is of severity reject")
	})
}

// TestReportsFollowTheRows states two laws for any rows: they give the same report in
// whatever order they came, and a copy of one under another key adds one violation, of
// uniqueness.
func TestReportsFollowTheRows(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	rapid.Check(t, func(rt *rapid.T) {
		b := someData(rt)
		s.empty()
		s.put(b)
		want := s.report()

		s.empty()
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		rng.Shuffle(len(b.Persons), func(i, j int) { b.Persons[i], b.Persons[j] = b.Persons[j], b.Persons[i] })
		s.put(omop.Batch{Persons: b.Persons, Visits: b.Visits, Periods: b.Periods})
		rows := slices.Clone(b.Measurements)
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		for chunk := range slices.Chunk(rows, 5) {
			s.put(omop.Batch{Measurements: chunk})
		}
		s.put(omop.Batch{Conditions: b.Conditions})
		require.Equal(rt, want, s.report())

		again := rapid.SampledFrom(b.Measurements).Draw(rt, "row")
		again.Key = omop.NewKey("again")
		s.put(omop.Batch{Measurements: []omop.Measurement{again}})
		before, after := violated(want), violated(s.report())
		require.Equal(rt, before["measurement.repeat"]+1, after["measurement.repeat"])
		for id := range after { // what is wrong with the row is wrong with its copy
			require.True(rt, id == "measurement.repeat" || before[id] > 0, "%s is new", id)
		}
	})
}

// someData are rows of few persons, some of them defective, all with keys of their own.
func someData(rt *rapid.T) omop.Batch {
	b := healthy("p", "q", "r")
	b.Measurements = b.Measurements[:1]
	n := rapid.IntRange(1, 12).Draw(rt, "rows")
	for i := range n {
		m := measurement(rapid.SampledFrom([]string{"p", "q", "r"}).Draw(rt, "person"), fmt.Sprint(i),
			rapid.SampledFrom([]int64{weight, height, 1, 0}).Draw(rt, "concept"), float64(rapid.IntRange(-5, 5).Draw(rt, "number"))*100,
			rapid.SampledFrom([]int64{0, kg, mmHg}).Draw(rt, "unit"))
		m.Start += omop.Date(rapid.IntRange(-3, 3).Draw(rt, "day"))
		m.Invalid = rapid.Bool().Draw(rt, "invalid")
		b.Measurements = append(b.Measurements, m)
	}
	return b
}

func TestSettingsChangeWhatFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	b := healthy("p", "q")
	b.Persons[0].GenderConceptID = 0
	s.put(b)
	c := find(t, s.report(), "person.unknown-gender")
	require.Equal(t, []any{report.Flag, 50.0, false}, []any{c.Severity, c.Percent, c.Passed})

	s.configure("checks: {unknown-gender: {severity: reject}}")
	require.False(t, s.report().Passed)
	s.configure("checks: {unknown-gender: {severity: reject}, person.unknown-gender: {threshold: 50}}")
	require.True(t, s.report().Passed, "what is at the threshold passes")
	last, err := s.Last(t.Context())
	require.NoError(t, err)
	require.True(t, last.Passed)

	s.configure("checks: {no-such-rule: {threshold: 50}}")
	_, err = s.Run(t.Context())
	require.ErrorContains(t, err, "no-such-rule")
	again, err := s.Last(t.Context())
	require.NoError(t, err)
	require.Equal(t, last, again, "a run that fails leaves the last report")
}

// configure writes the site's settings.
func (s *site) configure(text string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(s.settings, []byte(text), 0o600))
}

// exec changes the database past the store.
func (s *site) exec(statement string, args ...any) {
	s.t.Helper()
	require.NoError(s.t, s.db.Write(s.t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(s.t.Context(), statement, args...)
		return err
	}))
}

// empty removes all rows.
func (s *site) empty() {
	s.t.Helper()
	require.NoError(s.t, s.db.Write(s.t.Context(), func(tx *sqldb.Tx) error {
		for _, table := range []string{
			"person", "observation_period", "visit_occurrence", "condition_occurrence", "measurement", "death", "lineage", "quality", "load",
		} {
			if _, err := tx.Exec(s.t.Context(), "DELETE FROM "+table); err != nil {
				return err
			}
		}
		return nil
	}))
}
