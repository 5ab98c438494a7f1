package omop_test

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

const (
	male, female   = 8507, 8532
	ehr            = 32817 // type concept "EHR"
	systolic       = 3004249
	mmHg           = 8876
	hypertension   = 320128
	diabetes       = 201826
	lisinopril     = 19080128
	outpatientWalk = 9202
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func open(t testing.TB, db *sqldb.DB) *omop.Store {
	t.Helper()
	s, err := omop.Open(t.Context(), db)
	require.NoError(t, err)
	return s
}

func put(t testing.TB, db *sqldb.DB, s *omop.Store, b omop.Batch) (r omop.Result) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) (err error) {
		r, err = s.Put(t.Context(), tx, b)
		return err
	}))
	return r
}

func collect[T any](t testing.TB, db *sqldb.DB, seq func(context.Context, *sqldb.Tx) iter.Seq2[T, error]) (out []T) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
		for v, err := range seq(t.Context(), tx) {
			require.NoError(t, err)
			out = append(out, v)
		}
		return nil
	}))
	return out
}

func ptr[T any](v T) *T { return &v }

func day(s string) omop.Date {
	d, err := sqldb.ParseDate(s)
	if err != nil {
		panic(err)
	}
	return d
}

func rec(person, key string) omop.Record {
	return omop.Record{Key: omop.NewKey(key), Person: omop.NewKey(person), Pointer: "entry[" + key + "]"}
}

// ada is one person with a row in every table.
func ada() omop.Batch {
	visit := func(r omop.Record) omop.Record { r.Visit = omop.NewKey("v1"); return r }
	return omop.Batch{
		Raw: [32]byte{1}, Mapper: "test/1", At: now,
		Persons: []omop.Person{{
			Key: omop.NewKey("ada"), Pointer: "entry[0]", GenderConceptID: female, YearOfBirth: 1950, MonthOfBirth: 12, DayOfBirth: 10,
			BirthDatetime: time.Date(1950, 12, 10, 4, 0, 0, 0, time.UTC), RaceConceptID: 8527, SourceValue: "p-1", GenderSource: "female",
		}},
		Periods: []omop.ObservationPeriod{{Person: omop.NewKey("ada"), Start: day("2010-01-01"), End: day("2020-12-31"), TypeConceptID: ehr}},
		Visits: []omop.Visit{{
			Record: rec("ada", "v1"), ConceptID: outpatientWalk, Start: day("2015-05-05"), StartTime: time.Date(2015, 5, 5, 9, 30, 0, 0, time.UTC),
			End: day("2015-05-05"), TypeConceptID: ehr, SourceValue: "AMB",
		}},
		Conditions: []omop.Condition{{
			Record: visit(rec("ada", "c1")), ConceptID: hypertension, Start: day("2015-05-05"), End: ptr(day("2019-01-01")), TypeConceptID: ehr,
			SourceValue: "59621000", SourceConceptID: hypertension, StatusSource: "active",
		}},
		Drugs: []omop.Drug{{
			Record: visit(rec("ada", "d1")), ConceptID: lisinopril, Start: day("2015-05-06"), End: day("2015-06-05"), TypeConceptID: ehr,
			Refills: ptr(2), Quantity: ptr(30.5), DaysSupply: ptr(30), Sig: "once a day", SourceValue: "314076",
		}},
		Procedures: []omop.Procedure{{Record: visit(rec("ada", "p1")), ConceptID: 4012925, Start: day("2016-02-29"), TypeConceptID: ehr, Quantity: ptr(1)}},
		Measurements: []omop.Measurement{{
			Record: visit(rec("ada", "m1")), ConceptID: systolic, Start: day("2015-05-05"), StartTime: time.Date(2015, 5, 5, 9, 40, 0, 0, time.UTC),
			TypeConceptID: ehr, Number: ptr(148.25), UnitConceptID: mmHg, UnitSource: "mm[Hg]", RangeLow: ptr(90.), RangeHigh: ptr(140.), SourceValue: "8480-6",
		}},
		Observations: []omop.Observation{{
			Record: visit(rec("ada", "o1")), ConceptID: 4275495, Start: day("2015-05-05"), TypeConceptID: ehr, Text: "never smoker", SourceValue: "72166-2",
		}},
		Deaths: []omop.Death{{Person: omop.NewKey("ada"), Pointer: "entry[0]", Date: day("2020-12-31"), TypeConceptID: ehr}},
	}
}

// dump is every row of every table as text, for "changes nothing" tests.
func dump(t testing.TB, db *sqldb.DB) string {
	t.Helper()
	ctx := t.Context()
	var b strings.Builder
	require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
		for _, table := range []string{"person", "observation_period", "visit_occurrence", "condition_occurrence", "drug_exposure", "procedure_occurrence", "measurement", "observation", "death", "lineage", "load", "quality"} {
			query := "SELECT t.*::text FROM " + table + " t ORDER BY 1"
			if tx.Dialect() == sqldb.SQLite {
				query = sqliteRowText(t, db, table)
			}
			rows, err := tx.Query(ctx, query)
			require.NoError(t, err, table)
			for rows.Next() {
				var line string
				require.NoError(t, rows.Scan(&line))
				fmt.Fprintf(&b, "%s %s\n", table, line)
			}
			require.NoError(t, rows.Err())
			rows.Close()
		}
		return nil
	}))
	return b.String()
}

func sqliteRowText(t testing.TB, db *sqldb.DB, table string) string {
	t.Helper()
	ctx := t.Context()
	var parts []string
	require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(ctx, "SELECT name FROM pragma_table_info(?)", table)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var name string
			require.NoError(t, rows.Scan(&name))
			parts = append(parts, "quote("+name+")")
		}
		return rows.Err()
	}))
	return "SELECT " + strings.Join(parts, " || ',' || ") + " FROM " + table + " ORDER BY 1"
}

func TestPutTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		first := put(t, db, s, ada())
		require.Equal(t, omop.Result{Stored: 8}, first)
		before := dump(t, db)
		require.Equal(t, 8, strings.Count(before, "lineage "))
		second := put(t, db, s, ada())
		require.Equal(t, omop.Result{Duplicates: 8}, second)
		require.Equal(t, before, dump(t, db))

		again := ada()
		again.Raw, again.At = [32]byte{2}, now.Add(time.Hour) // the same records in another file
		require.Equal(t, omop.Result{Duplicates: 8}, put(t, db, s, again))
		require.Equal(t, strings.Count(before, "\n")+1, strings.Count(dump(t, db), "\n"), "only the pass is new")
	})
}

func TestValuesAreStoredAsGiven(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		put(t, db, s, ada())
		ctx := t.Context()
		require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
			var number, low float64
			var unit, visit, visitOf int64
			var at time.Time
			var measured omop.Date
			var value *string
			require.NoError(t, tx.QueryRow(ctx, `SELECT m.value_as_number, m.range_low, m.unit_concept_id, m.measurement_datetime, m.measurement_date,
				m.visit_occurrence_id, v.visit_occurrence_id, m.value_source_value FROM measurement m, visit_occurrence v`).
				Scan(&number, &low, &unit, &at, &measured, &visit, &visitOf, &value))
			require.InDelta(t, 148.25, number, 0)
			require.InDelta(t, 90, low, 0)
			require.EqualValues(t, mmHg, unit)
			require.Equal(t, time.Date(2015, 5, 5, 9, 40, 0, 0, time.UTC), at)
			require.Equal(t, day("2015-05-05"), measured)
			require.Equal(t, visitOf, visit)
			require.Nil(t, value)

			var quantity float64
			var refills, sourceConcept int64
			require.NoError(t, tx.QueryRow(ctx, "SELECT quantity, refills, drug_source_concept_id FROM drug_exposure").Scan(&quantity, &refills, &sourceConcept))
			require.InDelta(t, 30.5, quantity, 0)
			require.EqualValues(t, 2, refills)
			require.Zero(t, sourceConcept, "a source value without a concept is concept 0")
			return nil
		}))
	})
}

func TestChangedRowReplacesTheEarlierOne(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		put(t, db, s, ada())
		ctx := t.Context()
		rowID := func() (id int64) {
			require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
				return tx.QueryRow(ctx, "SELECT measurement_id FROM measurement").Scan(&id)
			}))
			return id
		}
		before := rowID()
		b := omop.Batch{Raw: [32]byte{9}, Mapper: "test/2", At: now, Measurements: ada().Measurements, Deaths: ada().Deaths, Persons: ada().Persons}
		b.Measurements[0].Number = ptr(150.)
		b.Measurements[0].Outlier = true
		b.Deaths[0].Date = day("2020-12-30")
		b.Persons[0].RaceConceptID = 0
		require.Equal(t, omop.Result{Replaced: 3}, put(t, db, s, b))
		require.Equal(t, before, rowID())
		values := collect(t, db, func(ctx context.Context, tx *sqldb.Tx) iter.Seq2[omop.Value, error] {
			return s.Values(ctx, tx, omop.Quantity{Concept: systolic})
		})
		require.Len(t, values, 1)
		require.InDelta(t, 150, values[0].Number, 0)
		people := collect(t, db, s.Persons)
		require.Len(t, people, 1)
		require.Equal(t, day("2020-12-30"), *people[0].Death)
		require.Zero(t, people[0].RaceConceptID)

		require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
			o, err := s.Origin(ctx, tx, omop.MeasurementTable, omop.NewKey("ada"), omop.NewKey("m1"))
			require.NoError(t, err)
			require.Equal(t, omop.Origin{Raw: [32]byte{9}, Mapper: "test/2", Pointer: "entry[m1]"}, o)
			o, err = s.Origin(ctx, tx, omop.ConditionTable, omop.NewKey("ada"), omop.NewKey("c1"))
			require.NoError(t, err)
			require.Equal(t, omop.Origin{Raw: [32]byte{1}, Mapper: "test/1", Pointer: "entry[c1]"}, o)
			_, err = s.Origin(ctx, tx, omop.ConditionTable, omop.NewKey("ada"), omop.NewKey("m1"))
			require.ErrorIs(t, err, sqldb.ErrNoRows)
			return nil
		}))

		// A finding alone is a change too.
		b.Measurements[0].Outlier, b.Measurements[0].Invalid = false, true
		require.Equal(t, omop.Result{Replaced: 1, Duplicates: 2}, put(t, db, s, b))
		require.Empty(t, collect(t, db, func(ctx context.Context, tx *sqldb.Tx) iter.Seq2[omop.Value, error] {
			return s.Values(ctx, tx, omop.Quantity{Concept: systolic})
		}), "invalid rows do not count")
		b.Measurements[0].Invalid = false
		require.Equal(t, omop.Result{Replaced: 1, Duplicates: 2}, put(t, db, s, b))
		require.NotContains(t, dump(t, db), "quality ")
	})
}

func TestRefusedRowsDoNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		b := omop.Batch{Mapper: "test/1", At: now, Persons: ada().Persons}
		b.Persons = append(b.Persons,
			omop.Person{Key: omop.NewKey("born in month 13"), Pointer: "a", YearOfBirth: 1950, MonthOfBirth: 13},
			omop.Person{Key: omop.NewKey("no year"), Pointer: "b"},
			omop.Person{Pointer: "c", YearOfBirth: 1950})
		m := func(pointer string, change func(*omop.Measurement)) {
			x := ada().Measurements[0]
			x.Key, x.Pointer = omop.NewKey(pointer), pointer
			change(&x)
			b.Measurements = append(b.Measurements, x)
		}
		m("ok", func(*omop.Measurement) {})
		m("nan", func(x *omop.Measurement) { x.Number = ptr(math.NaN()) })
		m("inf", func(x *omop.Measurement) { x.RangeHigh = ptr(math.Inf(1)) })
		m("year", func(x *omop.Measurement) { x.Start = sqldb.Day(10_000, 1, 1) })
		m("time", func(x *omop.Measurement) { x.StartTime = time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC) })
		m("big", func(x *omop.Measurement) { x.ConceptID = math.MaxInt32 + 1 })
		m("negative", func(x *omop.Measurement) { x.ConceptID = -1 })
		m("whose", func(x *omop.Measurement) { x.Person = omop.NewKey("nobody") })
		m("nameless", func(x *omop.Measurement) { x.Key = omop.Key{} })
		m("refused person", func(x *omop.Measurement) { x.Person = omop.NewKey("no year") })
		b.Periods = []omop.ObservationPeriod{
			{Person: omop.NewKey("nobody"), Start: day("2000-01-01"), End: day("2001-01-01")},
			{Person: omop.NewKey("ada"), Start: day("2002-01-01"), End: day("2001-01-01")},
		}
		b.Deaths = []omop.Death{{Pointer: "d", Date: day("2000-01-01")}}
		r := put(t, db, s, b)
		require.Equal(t, 2, r.Stored)
		require.Equal(t, []omop.Refusal{
			{omop.PersonTable, "a", omop.BirthDateRange},
			{omop.PersonTable, "b", omop.BirthDateRange},
			{omop.PersonTable, "c", omop.MissingKey},
			{omop.MeasurementTable, "nan", omop.NotFinite},
			{omop.MeasurementTable, "inf", omop.NotFinite},
			{omop.MeasurementTable, "year", omop.DateRange},
			{omop.MeasurementTable, "time", omop.DateRange},
			{omop.MeasurementTable, "big", omop.NumberRange},
			{omop.MeasurementTable, "negative", omop.NumberRange},
			{omop.MeasurementTable, "whose", omop.UnknownPerson},
			{omop.MeasurementTable, "nameless", omop.MissingKey},
			{omop.MeasurementTable, "refused person", omop.UnknownPerson},
			{omop.DeathTable, "d", omop.MissingKey},
			{omop.PeriodTable, "", omop.UnknownPerson},
			{omop.PeriodTable, "", omop.DateRange},
		}, r.Refused)
	})
}

func TestTextsFitTheirColumns(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		b := ada()
		b.Observations[0].Text = strings.Repeat("é", 100)
		b.Observations[0].SourceValue = "a\x00b\xff"
		b.Conditions[0].StopReason = strings.Repeat("x", 21)
		put(t, db, s, b)
		ctx := t.Context()
		require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
			var value, source, reason string
			require.NoError(t, tx.QueryRow(ctx, "SELECT value_as_string, observation_source_value, stop_reason FROM observation, condition_occurrence").
				Scan(&value, &source, &reason))
			require.Equal(t, strings.Repeat("é", 60), value)
			require.Equal(t, "ab\uFFFD", source)
			require.Equal(t, strings.Repeat("x", 20), reason)
			return nil
		}))
	})
}

func TestVisitThatComesLaterIsLinked(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		visits := ada().Visits
		b := ada()
		b.Visits = nil
		require.Equal(t, 7, put(t, db, s, b).Stored)
		b.Visits = visits
		require.Equal(t, omop.Result{Stored: 1, Replaced: 5, Duplicates: 2}, put(t, db, s, b))
		require.Equal(t, omop.Result{Duplicates: 8}, put(t, db, s, b))
	})
}

func TestPeriodWidensToWhatWasPut(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		put(t, db, s, ada())
		period := func(start, end string) string {
			put(t, db, s, omop.Batch{Mapper: "m", At: now, Periods: []omop.ObservationPeriod{{Person: omop.NewKey("ada"), Start: day(start), End: day(end)}}})
			var from, to omop.Date
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
				return tx.QueryRow(t.Context(), "SELECT observation_period_start_date, observation_period_end_date FROM observation_period").Scan(&from, &to)
			}))
			return from.String() + " " + to.String()
		}
		require.Equal(t, "2010-01-01 2020-12-31", period("2012-01-01", "2013-01-01"))
		require.Equal(t, "2009-01-01 2020-12-31", period("2009-01-01", "2013-01-01"))
		require.Equal(t, "2009-01-01 2021-12-31", period("2012-01-01", "2021-12-31"))
	})
}

func TestPersons(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		require.Empty(t, collect(t, db, s.Persons))
		put(t, db, s, ada())
		put(t, db, s, omop.Batch{Mapper: "m", At: now, Persons: []omop.Person{{Key: omop.NewKey("bob"), GenderConceptID: male, YearOfBirth: 1980}}})
		people := collect(t, db, s.Persons)
		require.Len(t, people, 2)
		require.True(t, people[0].ID.Less(people[1].ID))
		require.Equal(t, day("1950-12-10"), people[0].Birth())
		require.Equal(t, day("2020-12-31"), *people[0].Death)
		require.Equal(t, 64, people[0].Age(day("2015-12-09")))
		require.Equal(t, 65, people[0].Age(day("2015-12-10")))
		require.Equal(t, -1, people[0].Age(day("1950-12-09")))
		require.Nil(t, people[1].Death)
		require.Equal(t, day("1980-01-01"), people[1].Birth(), "unknown month and day")

		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			id, err := s.PersonByKey(t.Context(), tx, omop.NewKey("bob"))
			require.NoError(t, err)
			require.Equal(t, people[1].ID, id)
			_, err = s.PersonByKey(t.Context(), tx, omop.NewKey("eve"))
			require.ErrorIs(t, err, sqldb.ErrNoRows)
			counts, err := s.Counts(t.Context(), tx)
			require.NoError(t, err)
			require.EqualValues(t, 2, counts[omop.PersonTable])
			require.EqualValues(t, 1, counts[omop.MeasurementTable])
			require.EqualValues(t, 1, counts[omop.PeriodTable])
			require.Len(t, counts, 16)
			return nil
		}))
	})
}

func TestBatchMustNameMapperAndTime(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	s := open(t, db)
	for _, b := range []omop.Batch{{At: now}, {Mapper: "m"}} {
		require.Error(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := s.Put(t.Context(), tx, b)
			return err
		}))
	}
}

func TestFullDiskLeavesTheStoreAsItWas(t *testing.T) {
	t.Parallel()
	db := sqltest.SQLite(t)
	s := open(t, db)
	put(t, db, s, ada())
	before := dump(t, db)
	ctx := t.Context()
	limit := func(pages int64) {
		require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.Exec(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
			return err
		}))
	}
	var pages int64
	require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error { return tx.QueryRow(ctx, "PRAGMA page_count").Scan(&pages) }))
	limit(pages + 20)
	big := omop.Batch{Mapper: "m", At: now, Persons: ada().Persons}
	for i := range 5000 {
		m := ada().Measurements[0]
		m.Key = omop.NewKey(fmt.Sprint(i))
		big.Measurements = append(big.Measurements, m)
	}
	require.ErrorIs(t, db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := s.Put(ctx, tx, big)
		return err
	}), sqldb.ErrFull)
	require.Equal(t, before, dump(t, db))
	limit(1 << 20)
	require.Equal(t, 5000, put(t, db, s, big).Stored, "and goes on when there is room")
}

// TestWhatALaterFileSaysStands, in whatever order the files are put.
func TestWhatALaterFileSaysStands(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		file := func(position int64, number float64) omop.Batch {
			b := omop.Batch{Raw: [32]byte{byte(position)}, Mapper: "m", At: now, Position: position, Persons: ada().Persons, Measurements: ada().Measurements}
			b.Measurements[0].Number, b.Measurements[0].Visit = ptr(number), omop.Key{}
			return b
		}
		require.Equal(t, omop.Result{Stored: 2}, put(t, db, s, file(3, 1)))
		require.Equal(t, omop.Result{Duplicates: 1, Superseded: 1}, put(t, db, s, file(2, 2)), "an earlier file")
		require.Equal(t, omop.Result{Duplicates: 2}, put(t, db, s, file(5, 1)), "a later one says the same")
		require.Equal(t, omop.Result{Duplicates: 1, Superseded: 1}, put(t, db, s, file(4, 2)), "and stands for that")
		require.Equal(t, omop.Result{Duplicates: 1, Replaced: 1}, put(t, db, s, file(5, 7)), "a file replaces its own rows")
		require.Equal(t, omop.Result{Duplicates: 1, Replaced: 1}, put(t, db, s, file(6, 8)))
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			ada, result := omop.NewKey("ada"), omop.NewKey("m1")
			o, err := s.Origin(t.Context(), tx, omop.MeasurementTable, ada, result)
			require.NoError(t, err)
			require.Equal(t, [32]byte{6}, o.Raw)
			return nil
		}))
	})
}
