package ingest_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/eventindex"
	columns "github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/node/events/memory"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// published cohort definitions, by id.
func cohorts(t *testing.T) map[string]cohort.Definition {
	t.Helper()
	f, err := os.Open("../../protocol/cohort/testdata/definitions.tar.gz")
	require.NoError(t, err)
	defer f.Close()
	plain, err := gzip.NewReader(f)
	require.NoError(t, err)
	all := map[string]cohort.Definition{}
	for in := tar.NewReader(plain); ; {
		header, err := in.Next()
		if err == io.EOF {
			return all
		}
		require.NoError(t, err)
		if !strings.HasPrefix(header.Name, "library/") || header.Typeflag != tar.TypeReg {
			continue
		}
		raw, err := io.ReadAll(in)
		require.NoError(t, err)
		all[header.Name], err = cohort.Read(raw)
		require.NoError(t, err)
	}
}

// TestTheIndexHasTheCohortsOfTheTables loads a CDM and evaluates published definitions over
// the event index and over the very tables that it is made of, read by other code.
func TestTheIndexHasTheCohortsOfTheTables(t *testing.T) {
	t.Parallel()
	const folder = "../members/testdata/library"
	for engine, address := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + filepath.Join(t.TempDir(), "site.db") },
		"postgres": func() string { return sqltest.PostgresDSN(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			address := address()
			s := newSite(t, sqltest.Open(t, address))
			s.run(t)
			s.importCDM(t, everySixth(t, folder))
			index, err := eventindex.Open(eventindex.Config{Dir: t.TempDir(), DB: s.db, Store: s.store, Vocabulary: s.words})
			require.NoError(t, err)
			defer func() { require.NoError(t, index.Close()) }()
			snapshot, err := index.Snapshot(t.Context())
			require.NoError(t, err)
			defer snapshot.Close()

			require.NoError(t, s.db.Write(t.Context(), func(tx *sqldb.Tx) error { // rows that the index leaves out
				for table, key := range map[string]string{
					"visit_occurrence": "visit_occurrence_id", "condition_occurrence": "condition_occurrence_id", "drug_exposure": "drug_exposure_id",
					"procedure_occurrence": "procedure_occurrence_id", "measurement": "measurement_id", "observation": "observation_id",
				} {
					if _, err := tx.Exec(t.Context(), "DELETE FROM "+table+" WHERE "+key+" IN (SELECT row_id FROM quality WHERE NOT is_valid)"); err != nil {
						return err
					}
				}
				return nil
			}))

			all := cohorts(t)
			var sets []cohort.ConceptSet
			needs := memory.Needs{}
			for name, d := range all {
				sets = append(sets, d.ConceptSets...)
				more, err := members.Needs(d)
				require.NoError(t, err, name)
				needs.Add(more)
			}
			words, err := memory.ReadVocabulary(t.Context(), memory.Folder(folder), sets)
			require.NoError(t, err)
			guest, err := sqldb.OpenGuest(t.Context(), address, "")
			require.NoError(t, err)
			defer guest.Close()
			require.NoError(t, guest.Read(t.Context(), func(v *sqldb.Visit) error {
				tables, err := memory.Database(t.Context(), v)
				require.NoError(t, err)
				source, err := memory.Read(t.Context(), tables, needs)
				require.NoError(t, err)
				require.Equal(t, source.People().ID, snapshot.People().ID)
				compared, entries := 0, 0
				for i, name := range slices.Sorted(maps.Keys(all)) {
					d := all[name]
					if i%3 != 0 {
						continue
					}
					got, err := members.Evaluate(t.Context(), d, snapshot, words, members.Options{Attrition: true})
					if errors.As(err, new(columns.NoTableError)) || readsEras(d) {
						continue // which the tables lack, too
					}
					require.NoError(t, err, name)
					want, err := members.Evaluate(t.Context(), d, source, words, members.Options{Attrition: true})
					require.NoError(t, err, name)
					require.Equal(t, want, got, name)
					compared, entries = compared+1, entries+len(got.Entries)
				}
				require.Greater(t, compared, 60)
				require.Greater(t, entries, 300)
				return nil
			}))
		})
	}
}

// everySixth copies the tables of a CDM with a sixth of its people.
func everySixth(t *testing.T, folder string) string {
	t.Helper()
	out := t.TempDir()
	for _, table := range stored {
		in, err := os.Open(filepath.Join(folder, table+".csv.gz"))
		require.NoError(t, err)
		plain, err := gzip.NewReader(in)
		require.NoError(t, err)
		rows, err := csv.NewReader(plain).ReadAll()
		require.NoError(t, err)
		require.NoError(t, in.Close())
		person := slices.Index(rows[0], "person_id")
		rows = slices.DeleteFunc(rows, func(row []string) bool {
			id, err := strconv.Atoi(row[person])
			return err == nil && id%6 != 0
		})
		f, err := os.Create(filepath.Join(out, table+".csv.gz"))
		require.NoError(t, err)
		z := gzip.NewWriter(f)
		require.NoError(t, csv.NewWriter(z).WriteAll(rows))
		require.NoError(t, errors.Join(z.Close(), f.Close()))
	}
	return out
}

// readsEras reports whether a definition asks for what the index makes and a table has not.
func readsEras(d cohort.Definition) bool {
	for _, domain := range d.Reads() {
		if domain == cohort.ConditionEra || domain == cohort.DrugEra {
			return true
		}
	}
	return false
}
