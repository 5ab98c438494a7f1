package ingest_test

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// gibleed are the tables of 55 persons of a CDM, and what they should give.
const gibleed = "../../connectors/source/cdm/testdata/gibleed"

// stored are the tables in the order in which a site sends them.
var stored = []string{
	"person", "observation_period", "death", "visit_occurrence", "condition_occurrence", "drug_exposure", "procedure_occurrence", "measurement", "observation",
}

// importCDM loads the tables of a folder and returns the loads by table.
func (s *site) importCDM(t testing.TB, folder string) map[string]ingest.Job {
	t.Helper()
	loads := map[string]ingest.Job{}
	for _, table := range stored {
		f, err := os.ReadFile(filepath.Join(folder, table+".csv.gz"))
		require.NoError(t, err)
		loads[table] = s.load(t, table+".csv.gz", f)
	}
	return loads
}

// results are counts by analysis, then by strata.
type results map[int]map[string]int64

func (r results) add(analysis int, strata []string, n int64) {
	if r[analysis] == nil {
		r[analysis] = map[string]int64{}
	}
	r[analysis][strings.TrimRight(strings.Join(strata, "|"), "|")] = n
}

// published reads results as Achilles writes them.
func published(t testing.TB, file string) results {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	plain, err := gzip.NewReader(f)
	require.NoError(t, err)
	rows, err := csv.NewReader(plain).ReadAll()
	require.NoError(t, err)
	out := results{}
	for _, row := range rows[1:] {
		analysis, err := strconv.Atoi(row[0])
		require.NoError(t, err)
		n, err := strconv.ParseFloat(row[len(row)-1], 64)
		require.NoError(t, err)
		out.add(analysis, row[1:len(row)-1], int64(n))
	}
	return out
}

// analyze gives the results of what is stored, and of what the loads have found.
func (s *site) analyze(t testing.TB, loads map[string]ingest.Job) results {
	t.Helper()
	out := results{}
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		for analysis, query := range achilles() {
			rows, err := tx.Query(t.Context(), dialect(tx.Dialect(), query))
			require.NoError(t, err, "%d: %s", analysis, query)
			for rows.Next() {
				var n int64
				values, to := make([]any, width(query)-1), []any{}
				for i := range values {
					to = append(to, &values[i])
				}
				require.NoError(t, rows.Scan(append(to, &n)...))
				strata := make([]string, len(values))
				for i, v := range values {
					strata[i] = fmt.Sprint(v)
				}
				out.add(analysis, strata, n)
			}
			require.NoError(t, rows.Err())
			rows.Close()
		}
		return nil
	}))
	out.add(118, nil, loads["observation_period"].Counts.Rejected)
	for n, e := range events {
		if n != 2 {
			out.add(100*n+13, nil, loads[e.table].Counts.Findings["unknown-visit visit_occurrence_id"])
		}
	}
	return out
}

// TestAnalysesOfAnImportedCDM compares 116 analyses, 12,571 aggregates, with those that
// the sqlite3 program gives of the same files.
func TestAnalysesOfAnImportedCDM(t *testing.T) {
	t.Parallel()
	want := published(t, filepath.Join(gibleed, "expected.csv.gz"))
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		loads := s.importCDM(t, gibleed)
		require.Equal(t, want, s.analyze(t, loads))
		require.EqualValues(t, 55, loads["person"].Counts.Stored)
		require.Equal(t, ingest.WithProblems, loads["observation_period"].State)
		orphans, err := s.Problems(t.Context(), loads["observation_period"].ID, 0, 1000)
		require.NoError(t, err)
		require.Contains(t, orphans, ingest.Problem{Line: 3, Path: "person_id", Rule: "unknown-person", Detail: "table observation_period; load the table person first, then this file again"})
		counts := s.counts(t)

		again := s.importCDM(t, gibleed)
		require.Equal(t, ingest.Completed, again["person"].State)
		require.Equal(t, counts, s.counts(t), "a second time changes nothing")
		require.EqualValues(t, 55, again["observation_period"].Counts.Duplicates)
	})
}

// TestAWholeCDMAgainstAchilles compares every aggregate that Achilles has published of
// Eunomia's GiBleed and that the stored tables can answer, if TRIALMESH_GIBLEED names
// the folder of its 40 files.
func TestAWholeCDMAgainstAchilles(t *testing.T) {
	folder := os.Getenv("TRIALMESH_GIBLEED")
	if folder == "" {
		t.Skip("TRIALMESH_GIBLEED names no folder")
	}
	want := published(t, filepath.Join(folder, "achilles_results.csv.gz"))
	for _, number := range []int{431, 432, 631, 632, 731, 732, 831, 832, 1831, 1832, 1833, 2004} { // proportions
		for strata, n := range want[number] {
			parts := strings.Split(strata, "|")
			switch number {
			case 2004:
				parts = parts[:1]
			case 1833:
				parts = parts[:2]
			default:
				parts = parts[1:]
			}
			delete(want[number], strata)
			want.add(number, parts, n)
		}
	}
	for name, open := range map[string]func(testing.TB) *sqldb.DB{"sqlite": sqltest.SQLite, "postgres": sqltest.Postgres} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, open(t))
			s.run(t)
			begun, read := time.Now(), int64(0)
			loads := s.importCDM(t, folder)
			took := time.Since(begun)
			for _, table := range stored {
				j := loads[table]
				read += j.Counts.Records
				t.Logf("%s: %s, %d records, %d stored, %d rejected, unmapped %v, findings %v, %.1f s", table, j.State, j.Counts.Records, j.Counts.Stored,
					j.Counts.Rejected, j.Counts.Unmapped, j.Counts.Findings, j.Ended.Sub(j.Accepted).Seconds())
			}
			t.Logf("%d rows in %s, %.0f rows/s", read, took, float64(read)/took.Seconds())
			s.knownAnswers(t, folder)
			got := s.analyze(t, loads)
			same, all, unlike := 0, 0, []int{}
			for _, analysis := range slices.Sorted(maps.Keys(want)) {
				if analysis >= 2_000_000 { // how long Achilles took
					continue
				}
				have, asked := got[analysis]
				if !asked {
					t.Logf("analysis %d: %d aggregates are not of stored tables", analysis, len(want[analysis]))
					continue
				}
				equal := 0
				for strata, n := range want[analysis] {
					if have[strata] == n {
						equal++
					}
				}
				same, all = same+equal, all+len(want[analysis])
				if equal < len(want[analysis]) || len(have) != equal {
					t.Logf("analysis %d: %d of %d aggregates equal, %d stored", analysis, equal, len(want[analysis]), len(have))
					unlike = append(unlike, analysis)
				}
			}
			t.Logf("%d of %d aggregates equal in %d analyses", same, all, len(got))
			require.Equal(t, []int{109, 110, 111, 112, 113, 116, 117, 119}, unlike, "the analyses that count periods of nobody, or years and months in which only they begin")
			require.Equal(t, 125_753, all)
			require.Equal(t, 121_961, same)
		})
	}
}

// knownAnswers are what was counted in the files of GiBleed.
func (s *site) knownAnswers(t testing.TB, folder string) {
	t.Helper()
	require.Equal(t, map[omop.Table]int64{
		omop.PersonTable: 2694, omop.PeriodTable: 2694, omop.VisitTable: 1037, omop.ConditionTable: 65332, omop.DrugTable: 67707,
		omop.ProcedureTable: 37409, omop.MeasurementTable: 44053, omop.ObservationTable: 1477, omop.DeathTable: 0,
	}, s.counts(t))
	below := map[string][]int64{}
	f, err := os.Open(filepath.Join(folder, "concept_ancestor.csv.gz"))
	require.NoError(t, err)
	defer f.Close()
	plain, err := gzip.NewReader(f)
	require.NoError(t, err)
	rows, err := csv.NewReader(plain).ReadAll()
	require.NoError(t, err)
	for _, row := range rows[1:] {
		id, err := strconv.ParseInt(row[1], 10, 64)
		require.NoError(t, err)
		below[row[0]] = append(below[row[0]], id)
	}
	const celecoxib, diclofenac, hemorrhage, male, female = "1118084", "1124300", 192671, 8507, 8532
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		count := func(query string, concepts []int64) (n int64) {
			among, arg := tx.Dialect().Among("concept", concepts)
			require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(DISTINCT person_id) FROM ("+query+") x WHERE "+among, arg).Scan(&n))
			return n
		}
		const exposed = "SELECT person_id, drug_concept_id AS concept FROM drug_exposure"
		require.EqualValues(t, 1844, count(exposed, below[celecoxib]))
		require.EqualValues(t, 850, count(exposed, below[diclofenac]))
		require.EqualValues(t, 2694, count(exposed, slices.Concat(below[celecoxib], below[diclofenac])))
		const bled = "SELECT person_id, condition_concept_id AS concept FROM condition_occurrence"
		require.EqualValues(t, 479, count(bled, []int64{hemorrhage}))
		sex := map[omop.PersonID]int64{}
		people, bleeding := map[int64]int{}, map[int64]int{}
		for p, err := range s.store.Persons(t.Context(), tx) {
			require.NoError(t, err)
			sex[p.ID] = p.GenderConceptID
			people[p.GenderConceptID]++
		}
		var last omop.PersonID
		for e, err := range s.store.Occurrences(t.Context(), tx, omop.Event{Table: omop.ConditionTable, Concepts: []int64{hemorrhage}}) {
			require.NoError(t, err)
			if e.Person != last {
				bleeding[sex[e.Person]]++
			}
			last = e.Person
		}
		require.Equal(t, map[int64]int{male: 1321, female: 1373}, people)
		require.Equal(t, map[int64]int{male: 237, female: 242}, bleeding, "also to a question")
		return nil
	}))
}
