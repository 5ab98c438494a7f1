package dataset_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	stored "github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/dataset"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

var now = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// clinic has some columns of every kind.
func clinic(system string) stored.Schema {
	return stored.Schema{
		Name: "clinic", Version: "1", Person: stored.Person{Column: "pid", System: system},
		Columns: []stored.Column{
			{Name: "crp", Kind: "numeric", Domain: "Measurement", Low: -1, High: 500, Unit: "mg/L"},
			{Name: "grade", Kind: "factor", Domain: "ConditionOccurrence", Levels: []string{"low", "high"}},
			{Name: "smoker", Kind: "logical", Domain: "Observation", True: "yes", False: "no"},
		},
	}
}

type site struct {
	*dataset.Service
	store *stored.Store
	trail *audit.Trail
	db    *sqldb.DB
}

// newSite returns a site that knows the persons of some keys.
func newSite(t *testing.T, db *sqldb.DB, keys ...omop.Key) *site {
	t.Helper()
	s := &site{db: db}
	people, err := omop.Open(t.Context(), db)
	require.NoError(t, err)
	s.store, err = stored.Open(t.Context(), db)
	require.NoError(t, err)
	s.trail, err = audit.Open(t.Context(), db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	batch := omop.Batch{Raw: [32]byte{1}, Mapper: "test/1", At: now}
	for _, key := range keys {
		batch.Persons = append(batch.Persons, omop.Person{Key: key, Pointer: "p", YearOfBirth: 1950})
	}
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := people.Put(t.Context(), tx, batch)
		return err
	}))
	s.Service = dataset.New(dataset.Config{DB: db, Store: s.store, People: people, Trail: s.trail, Now: func() time.Time { return now }})
	return s
}

func patients(n int) []omop.Key {
	var keys []omop.Key
	for i := range n {
		keys = append(keys, mapping.PersonKey(fmt.Sprintf("p%d", i)))
	}
	return keys
}

// values returns all rows of the set, as text, sorted.
func (s *site) values(t *testing.T, schema stored.Schema) []string {
	t.Helper()
	var out []string
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		for row, err := range s.store.Values(t.Context(), tx, schema, []int{0, 1, 2}) {
			if err != nil {
				return err
			}
			out = append(out, fmt.Sprint(row.Values))
		}
		return nil
	}))
	slices.Sort(out)
	return out
}

func TestAFileIsLoadedByItsSchema(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, patients(4)...)
		loaded, err := s.Load(t.Context(), clinic(stored.FHIR), strings.NewReader("\uFEFFsmoker,note,pid,crp,grade\n"+
			"yes,\"a, b\nc\",p0,12.5,low\n no ,, p1 ,NA,high\n,,p3,-1e-1,\n"), false)
		require.NoError(t, err)
		require.Equal(t, dataset.Loaded{Name: "clinic", Rows: 3, Skipped: map[dataset.Rule]int{}, Problems: []dataset.Problem{}}, loaded)
		require.Equal(t, []string{"[-0.1 NaN NaN]", "[12.5 0 1]", "[NaN 1 0]"}, s.values(t, clinic(stored.FHIR)))

		set, err := s.Set(t.Context(), "clinic")
		require.NoError(t, err)
		require.Equal(t, []int64{1, 1, 1}, set.Missing)
		list, err := s.List(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.NoError(t, s.Drop(t.Context(), "clinic"))
		require.ErrorIs(t, s.Drop(t.Context(), "clinic"), stored.ErrUnknown)
		trail, err := s.trail.Latest(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, []audit.Record{{At: now, Event: audit.DatasetDropped, Subject: "clinic"}, {At: now, Event: audit.DatasetLoaded, Subject: "clinic"}}, trail)
	})
}

// faulty has a row of every rule, and one good row.
const faulty = `pid,crp,grade,smoker
p0,1,low,yes
,1,low,yes
not an id,1,low,yes
stranger-4711,1,low,yes
p0,2,low,yes
p1,0x10,low,yes
p2,501,low,yes
p3,1,LOW,yes
p4,1,low,true
p5,1
`

func TestAFileWithFaultsChangesNothing(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, patients(6)...)
		_, err := s.Load(t.Context(), clinic(stored.FHIR), strings.NewReader("pid,crp,grade,smoker\np1,7,high,no\n"), false)
		require.NoError(t, err)
		before := s.values(t, clinic(stored.FHIR))

		_, err = s.Load(t.Context(), clinic(stored.FHIR), strings.NewReader(faulty), false)
		var faults dataset.Faults
		require.ErrorAs(t, err, &faults)
		document := problem.From(err)
		require.Equal(t, 422, document.Status)
		require.Contains(t, document.Title, `1 of rule unknown-level`)
		require.Contains(t, document.Title, `line 7 column "crp" (not-a-number)`)
		for _, value := range []string{"4711", "0x10", "501", "LOW", "stranger"} {
			require.NotContains(t, err.Error(), value)
		}
		require.Equal(t, before, s.values(t, clinic(stored.FHIR)))

		loaded, err := s.Load(t.Context(), clinic(stored.FHIR), strings.NewReader(faulty), true)
		require.NoError(t, err)
		require.Equal(t, 1, loaded.Rows)
		require.Equal(t, map[dataset.Rule]int{
			dataset.NoPerson: 2, dataset.UnknownPerson: 1, dataset.SecondRow: 1, dataset.NoNumber: 1, dataset.OutOfRange: 1, dataset.NoLevel: 1, dataset.NotLogical: 1, dataset.Width: 1,
		}, loaded.Skipped, "each row by its first fault")
		require.Equal(t, []dataset.Problem{
			{3, "pid", dataset.NoPerson},
			{4, "pid", dataset.NoPerson},
			{5, "pid", dataset.UnknownPerson},
			{6, "pid", dataset.SecondRow},
			{7, "crp", dataset.NoNumber},
			{8, "crp", dataset.OutOfRange},
			{9, "grade", dataset.NoLevel},
			{10, "smoker", dataset.NotLogical},
			{11, "", dataset.Width},
		}, loaded.Problems)
		require.Equal(t, []string{"[1 0 1]"}, s.values(t, clinic(stored.FHIR)))
	})
}

func TestPersonsAreNamedByTheSystemOfOtherLoads(t *testing.T) {
	t.Parallel()
	for system, key := range map[string]omop.Key{
		stored.FHIR:     mapping.PersonKey("17"),
		stored.OMOP:     mapping.CDMKey("person", 17),
		"urn:oid:1.2.3": mapping.PersonKey(fhir.Digest("Patient", "urn:oid:1.2.3", "17")),
	} {
		s := newSite(t, sqltest.SQLite(t), key)
		loaded, err := s.Load(t.Context(), clinic(system), strings.NewReader("pid,crp,grade,smoker\n17,1,low,yes\n"), false)
		require.NoError(t, err, system)
		require.Equal(t, 1, loaded.Rows)
	}
}

// TestTwoNamesOfOnePersonAreTwoRows: a person whom a merge has given a second name cannot
// have a row under each.
func TestTwoNamesOfOnePersonAreTwoRows(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), patients(2)...)
	people, err := omop.Open(t.Context(), s.db)
	require.NoError(t, err)
	require.NoError(t, s.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := people.Put(t.Context(), tx, omop.Batch{
			Raw: [32]byte{2}, Mapper: "test/1", At: now, Merges: []omop.Merge{{Survivor: mapping.PersonKey("p0"), Retired: mapping.PersonKey("p1"), Pointer: "m"}},
		})
		return err
	}))
	loaded, err := s.Load(t.Context(), clinic(stored.FHIR), strings.NewReader("pid,crp,grade,smoker\np1,1,low,yes\np0,2,low,yes\n"), true)
	require.NoError(t, err)
	require.Equal(t, map[dataset.Rule]int{dataset.SecondRow: 1}, loaded.Skipped)
	require.Equal(t, []dataset.Problem{{Line: 3, Column: "pid", Rule: dataset.SecondRow}}, loaded.Problems)
}

func TestAFileThatIsNoTableIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), patients(1)...)
	for text, want := range map[string]string{
		"":                                 "no header",
		"pid,crp,grade\n":                  `the schema's "smoker"`,
		"pid,crp,grade,smoker,crp\n":       `has twice, the schema's "crp"`,
		"pid,crp,grade,smoker\np0,\"1,a\n": "line 2 is no CSV",
		"PAR1 is not what this is":         "no table that can be read",
		strings.Repeat("a,", 2000) + "\n":  "over 2000 columns",
	} {
		_, err := s.Load(t.Context(), clinic(stored.FHIR), strings.NewReader(text), true)
		require.ErrorContains(t, err, want)
		require.NotEqual(t, 500, problem.From(err).Status, want)
	}
	bad := clinic(stored.FHIR)
	bad.Name = ""
	_, err := s.Load(t.Context(), bad, strings.NewReader(""), true)
	require.ErrorContains(t, err, "schema: name")
}

// TestAParquetFileIsLoaded reads the made-up people of Eunomia; see ORIGIN.md beside the file.
func TestAParquetFileIsLoaded(t *testing.T) {
	t.Parallel()
	f, err := os.Open(filepath.Join("..", "..", "connectors", "source", "parquet", "testdata", "person.parquet"))
	require.NoError(t, err)
	defer f.Close()
	schema := stored.Schema{
		Name: "people", Version: "1", Person: stored.Person{Column: "PERSON_ID", System: stored.OMOP},
		Columns: []stored.Column{
			{Name: "YEAR_OF_BIRTH", Kind: "numeric", Domain: "Person", Low: 1900, High: 2026, Unit: "a"},
			{Name: "GENDER_CONCEPT_ID", Kind: "factor", Domain: "Person", Levels: []string{"8507", "8532"}},
			{Name: "GENDER_SOURCE_VALUE", Kind: "logical", Domain: "Person", True: "F", False: "M"},
		},
	}
	s := newSite(t, sqltest.SQLite(t), mapping.CDMKey("person", 6), mapping.CDMKey("person", 156))
	loaded, err := s.Load(t.Context(), schema, f, true)
	require.NoError(t, err)
	require.Equal(t, 2, loaded.Rows)
	require.Equal(t, map[dataset.Rule]int{dataset.UnknownPerson: 53}, loaded.Skipped)
	require.Equal(t, []string{"[1963 1 1]", "[1978 1 1]"}, s.values(t, schema))
}

// TestOneLoadAtATime: values in memory are those of one file.
func TestOneLoadAtATime(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), patients(1)...)
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := s.Load(context.Background(), clinic(stored.FHIR), r, false)
		done <- err
	}()
	_, err := io.WriteString(w, "pid,crp,grade,smoker\n") // it is read, so the load has begun
	require.NoError(t, err)
	_, err = s.Load(t.Context(), clinic(stored.FHIR), strings.NewReader(""), false)
	require.ErrorIs(t, err, dataset.ErrBusy)
	require.NoError(t, w.Close())
	require.NoError(t, <-done)
}

// FuzzLoad: whatever a file holds, what is stored is of the schema's types, and rows are
// stored or counted.
func FuzzLoad(f *testing.F) {
	f.Add(faulty)
	f.Add("pid,crp,grade,smoker\np0,\"1\",low,yes\n")
	f.Add("pid,crp,grade,smoker\r\np0,1e999,low,yes\r\n\r\np1,,,\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := dataset.Rows(clinic(stored.FHIR), strings.NewReader(text))
		if err != nil {
			return
		}
		for _, r := range rows {
			require.Len(t, r, 3)
			require.True(t, math.IsNaN(r[0]) || -1 <= r[0] && r[0] <= 500)
			for _, v := range r[1:] {
				require.True(t, math.IsNaN(v) || v == 0 || v == 1)
			}
		}
	})
}
