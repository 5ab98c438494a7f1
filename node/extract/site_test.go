package extract_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/extract"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	male, female = 8507, 8532
	hiv          = 439727
	weight       = 3025315
	secret       = "SECRET" // in every text of the store
)

// site is a store with people.
type site struct {
	db    *sqldb.DB
	store *omop.Store
	trail *audit.Trail
	days  map[int][]omop.Date // of the measurements of a person, whose values are person*100 and on
	born  map[int]omop.Date
}

// newSite makes people of all ages with visits, conditions and measurements. Person 0
// is 97, one is the only one with a condition.
func newSite(t testing.TB, db *sqldb.DB, persons int) *site {
	t.Helper()
	s := &site{db: db, days: map[int][]omop.Date{}, born: map[int]omop.Date{}}
	var err error
	s.store, err = omop.Open(t.Context(), db)
	require.NoError(t, err)
	s.trail, err = audit.Open(t.Context(), db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(1, 2)) // the same people each time
	b := omop.Batch{Raw: [32]byte{1}, Mapper: "test/1", At: now}
	for i := range persons {
		s.add(&b, i, random)
	}
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		r, err := s.store.Put(t.Context(), tx, b)
		require.Empty(t, r.Refused)
		return err
	}))
	return s
}

func (s *site) add(b *omop.Batch, i int, random *rand.Rand) {
	key := omop.NewKey(fmt.Sprintf("%s-%d", secret, i))
	record := func(name string) omop.Record {
		return omop.Record{Key: omop.NewKey(fmt.Sprintf("%d-%s", i, name)), Person: key, Pointer: "line 1"}
	}
	born := sqldb.Day(1940, 1, 1) + omop.Date(random.IntN(80*365))
	if i == 0 {
		born = sqldb.Day(1928, 6, 1)
	}
	s.born[i] = born
	at := born.Time()
	b.Persons = append(b.Persons, omop.Person{
		Key: key, Pointer: "line 1", GenderConceptID: []int64{male, female}[random.IntN(2)], YearOfBirth: at.Year(), MonthOfBirth: int(at.Month()), DayOfBirth: at.Day(),
		RaceConceptID: []int64{8527, 8516, 8515}[min(random.IntN(12), 2)], SourceValue: secret, GenderSource: secret,
	})
	day := func() omop.Date { return born + omop.Date(random.IntN(int(sqldb.DateOf(now)-born))) }
	start := day()
	visit := record("v")
	b.Visits = append(b.Visits, omop.Visit{Record: visit, ConceptID: 9202, Start: start, End: start + 2, TypeConceptID: 32817, SourceValue: secret})
	about := []int64{320128, 201826, hiv}[random.IntN(3)]
	if i == 1 {
		about = 4000001
	}
	condition := record("c")
	condition.Visit = visit.Key
	b.Conditions = append(b.Conditions, omop.Condition{Record: condition, ConceptID: about, Start: start, StartTime: start.Time().Add(time.Hour), TypeConceptID: 32817, StopReason: secret, SourceValue: secret})
	for j := range 3 {
		r, value, on := record(fmt.Sprintf("m%d", j)), float64(i*100+j), day()
		s.days[i] = append(s.days[i], on)
		b.Measurements = append(b.Measurements, omop.Measurement{Record: r, ConceptID: weight, Start: on, TypeConceptID: 32817, Number: &value, UnitConceptID: 9529, ValueSource: secret})
	}
	invalid, broken := record("bad"), -1.0
	invalid.Invalid = true
	b.Measurements = append(b.Measurements, omop.Measurement{Record: invalid, ConceptID: weight, Start: start, TypeConceptID: 32817, Number: &broken})
	if i%5 == 0 {
		b.Deaths = append(b.Deaths, omop.Death{Person: key, Pointer: "line 1", Date: sqldb.DateOf(now) - 400, TypeConceptID: 32817, CauseSource: secret})
	}
	b.Periods = append(b.Periods, omop.ObservationPeriod{Person: key, Start: born, End: sqldb.DateOf(now), TypeConceptID: 32817})
}

func parse(t testing.TB, text string) extract.Spec {
	t.Helper()
	s, err := extract.Parse([]byte("version: 1\n" + text))
	require.NoError(t, err)
	return s
}

func (s *site) config(t testing.TB, spec, to string, key byte) extract.Config {
	return extract.Config{DB: s.db, Store: s.store, Trail: s.trail, Spec: parse(t, spec), Key: extract.NewKey([32]byte{key}), To: to, Now: now, Program: "test"}
}

func (s *site) write(t testing.TB, spec string, key byte) (string, extract.Manifest) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "extract")
	m, err := extract.Write(t.Context(), s.config(t, spec, to, key))
	require.NoError(t, err)
	return to, m
}

// load reads a table of an extract as a node would. There must be no problem with it.
func load(t testing.TB, folder, table string) (rows []*cdm.Row) {
	t.Helper()
	f, err := os.Open(filepath.Join(folder, "cdm", table+".csv"))
	require.NoError(t, err)
	defer f.Close()
	for r, err := range cdm.Read(t.Context(), f, fhir.Options{}) {
		require.NoError(t, err)
		row, ok := r.Resource.(*cdm.Row)
		require.True(t, ok)
		require.Empty(t, row.Defects)
		require.Equal(t, table, r.Type)
		rows = append(rows, row)
	}
	return rows
}
