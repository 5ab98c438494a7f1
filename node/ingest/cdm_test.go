package ingest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/audit"
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
		for e, err := range s.store.Entries(t.Context(), tx, omop.Event{Table: omop.ConditionTable, Concepts: []int64{hemorrhage}}) {
			require.NoError(t, err)
			bleeding[sex[e.Person]]++
		}
		require.Equal(t, map[int64]int{male: 1321, female: 1373}, people)
		require.Equal(t, map[int64]int{male: 237, female: 242}, bleeding, "also to a question")
		return nil
	}))
}

// table is a file of a CDM.
func table(lines ...string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }

const (
	personHead    = "person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,race_concept_id,ethnicity_concept_id"
	conditionHead = "condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_end_date,condition_type_concept_id,visit_occurrence_id,provider_id"
)

func TestDefectsOfACDMAreNamed(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		early := s.load(t, "condition_occurrence.csv", table(conditionHead, "1,-9007199254740993,28060,2020-01-01,,32817,,"))
		require.EqualValues(t, 1, early.Counts.Rejected, "the person comes later")

		person := s.load(t, "person.csv", table(personHead, "-9007199254740993,8532,1950,1,1,8527,0", "7,8532,1960,,,,", "7,8507,1961,,,8527,0", "8,8507,,,,8527,0"))
		require.EqualValues(t, 2, person.Counts.Stored)
		require.EqualValues(t, 2, person.Counts.Rejected)
		require.Equal(t, map[string]int64{"required-empty race_concept_id": 1, "required-empty ethnicity_concept_id": 1}, only(person.Counts.Findings, "required-empty"))
		require.Equal(t, []string{"3 race_concept_id required-empty", "3 ethnicity_concept_id required-empty", "4 person_id duplicate-primary-key", "5 year_of_birth missing-field"}, lines(t, s, person.ID))

		death := s.load(t, "death.csv", table("person_id,death_date", "-9007199254740993,2021-01-01"))
		require.EqualValues(t, 1, death.Counts.Stored)
		job := s.load(t, "condition_occurrence.csv", table(conditionHead,
			"-9223372036854775808,-9007199254740993,28060,2020-01-01,,32817,,", // a sore throat
			"2,-9007199254740993,28060,1949-12-31,,32817,,",                    // before birth
			"3,-9007199254740993,28060,2021-06-01,,32817,,",                    // after death
			"4,-9007199254740993,28060,2020-01-02,2019-01-01,32817,99,",        // ends before it starts, no such visit
			"5,-9007199254740993,2000000001,2020-01-01,,32817,,",               // the site's own concept
			"6,-9007199254740993,0,2020-01-01,,32817,,12",                      // without one; a provider
			"7,-9007199254740993,3004249,2020-01-01,,32817,,",                  // systolic blood pressure
			"8,9,28060,2020-01-01,,32817,,",                                    // nobody
		))
		require.EqualValues(t, 7, job.Counts.Stored)
		require.EqualValues(t, 1, job.Counts.Rejected)
		require.Equal(t, map[string]int64{"condition_occurrence code": 1}, job.Counts.Unmapped)
		delete(job.Counts.Findings, "unknown-concept condition_type_concept_id") // which the small vocabulary does not have
		require.Equal(t, map[string]int64{
			"before-birth": 1, "after-death": 1, "end-before-start": 1, "unknown-visit visit_occurrence_id": 1,
			"unknown-concept condition_concept_id": 1, "wrong-domain condition_concept_id": 1, "not-kept provider_id": 1,
		}, job.Counts.Findings)
		listed := lines(t, s, job.ID)
		for _, want := range []string{"6 condition_concept_id unknown-concept", "8 condition_concept_id wrong-domain", "5 visit_occurrence_id unknown-visit", "7 provider_id not-kept"} {
			require.Contains(t, listed, want)
		}
		origin(t, s, "-9223372036854775808", "line 2")

		period := s.load(t, "observation_period.csv", table("observation_period_id,person_id,observation_period_start_date,observation_period_end_date,period_type_concept_id",
			"1,-9007199254740993,1949-01-01,2020-12-31,32817", "2,-9007199254740993,2020-12-31,2020-01-01,32817"))
		require.EqualValues(t, 2, period.Counts.Stored)
		require.EqualValues(t, 1, period.Counts.Findings["before-birth observation_period_start_date"])
		require.EqualValues(t, 1, period.Counts.Findings["end-before-start observation_period_end_date"])

		for name, file := range map[string][]byte{
			"vocabulary-table": table("concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason", "1\tx\tDrug\tRxNorm\tx\tS\t1\t19700101\t20991231\t"),
			"derived-table":    table("condition_era_id,person_id,condition_concept_id,condition_era_start_date,condition_era_end_date,condition_occurrence_count", "1,1,1,2020-01-01,2020-01-01,1"),
			"table-not-stored": table("note_id,person_id,note_date,note_type_concept_id,note_class_concept_id,note_text,encoding_concept_id,language_concept_id", "1,1,2020-01-01,1,1,x,0,0"),
		} {
			job := s.load(t, name, file)
			require.EqualValues(t, 1, job.Counts.Rejected, name)
			require.Len(t, lines(t, s, job.ID), 1)
			require.True(t, strings.HasSuffix(lines(t, s, job.ID)[0], name), name)
		}
	})
}

// only are the findings of a rule.
func only(findings map[string]int64, rule string) map[string]int64 {
	out := maps.Clone(findings)
	maps.DeleteFunc(out, func(k string, _ int64) bool { return !strings.HasPrefix(k, rule) })
	return out
}

// lines are the problems of a job, but for those of concepts that the vocabulary of
// the tests does not have in columns that they do not look at.
func lines(t testing.TB, s *site, id ingest.JobID) (out []string) {
	t.Helper()
	list, err := s.Problems(t.Context(), id, 0, 1000)
	require.NoError(t, err)
	for _, p := range list {
		if p.Rule != "unknown-concept" || p.Path == "condition_concept_id" {
			out = append(out, fmt.Sprintf("%d %s %s", p.Line, p.Path, p.Rule))
		}
	}
	return out
}

func origin(t testing.TB, s *site, condition, pointer string) {
	t.Helper()
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		o, err := s.store.Origin(t.Context(), tx, omop.ConditionTable, omop.NewKey("omop|person/-9007199254740993"), omop.NewKey("omop|condition_occurrence/"+condition))
		require.NoError(t, err)
		require.Equal(t, pointer, o.Pointer)
		return nil
	}))
}

// TestANewReleaseOfACDMReplaces: the rows of the site's numbers change, and those of
// FHIR with the same numbers do not.
func TestANewReleaseOfACDMReplaces(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		s.load(t, "p.ndjson", []byte(`{"resourceType":"Patient","id":"7","gender":"female","birthDate":"1970-01-01"}`))
		s.load(t, "person.csv", table(personHead, "7,8532,1960,,,8527,0"))
		first := s.load(t, "condition_occurrence.csv", table(conditionHead, "1,7,320128,2020-01-01,,32817,,", "2,7,320128,2020-01-01,,32817,,"))
		require.EqualValues(t, 2, first.Counts.Stored)
		before := s.counts(t)
		require.EqualValues(t, 2, before[omop.PersonTable], "the Patient 7 and the person 7 are two")
		second := s.load(t, "condition_occurrence.csv", table(conditionHead, "1,7,201826,2020-01-01,,32817,,", "2,7,320128,2020-01-01,,32817,,"))
		require.EqualValues(t, 1, second.Counts.Replaced)
		require.EqualValues(t, 1, second.Counts.Duplicates)
		require.Equal(t, before, s.counts(t))
	})
}

// TestFindingsAreCountedOnce: what an attempt found that did not end is not counted
// again by the next.
func TestFindingsAreCountedOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		log, err := audit.Open(t.Context(), db, discard)
		require.NoError(t, err)
		trail := &failingTrail{Trail: log}
		s := newSite(t, db, func(c *ingest.Config, _ *jobs.Config) { c.Trail, c.BatchRows = trail, 10 })
		s.run(t)
		s.load(t, "person.csv", table(personHead, "7,8532,1960,1,1,8527,0"))
		rows := []string{conditionHead}
		for i := range 95 {
			rows = append(rows, fmt.Sprintf("%d,7,28060,%s,,32817,99,", i, time.Date(2020, 1, 1+i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)))
		}
		trail.failures.Store(2)
		job := s.load(t, "condition_occurrence.csv", table(append(rows, rows[1])...))
		require.Equal(t, 3, job.Attempt)
		require.EqualValues(t, 95, job.Counts.Stored)
		require.EqualValues(t, 95, job.Counts.Findings["unknown-visit visit_occurrence_id"])
		require.Equal(t, []string{"2 visit_occurrence_id unknown-visit", "97 condition_occurrence_id duplicate-primary-key"}, lines(t, s, job.ID))
	})
}

// BenchmarkCDM loads the tables of testdata, enlarged by renumbering persons and rows.
func BenchmarkCDM(b *testing.B) {
	const copies = 40
	files := map[string][]byte{}
	rows := 0
	for _, name := range stored {
		zipped, err := os.ReadFile(filepath.Join(gibleed, name+".csv.gz"))
		require.NoError(b, err)
		files[name] = enlarge(b, zipped, copies)
		rows += bytes.Count(files[name], []byte("\n")) - 1
	}
	for name, open := range map[string]func(testing.TB) *sqldb.DB{"sqlite": sqltest.SQLite, "postgres": sqltest.Postgres} {
		b.Run(name, func(b *testing.B) {
			var took time.Duration
			for range b.N {
				s := newSite(b, open(b))
				s.run(b)
				begun := time.Now()
				for _, name := range stored {
					s.load(b, name, files[name])
				}
				took += time.Since(begun)
			}
			b.ReportMetric(float64(rows*b.N)/took.Seconds(), "rows/s")
		})
	}
}

// enlarge repeats the rows of a table with the numbers of other persons and rows.
func enlarge(t testing.TB, zipped []byte, copies int) []byte {
	t.Helper()
	plain, err := gzip.NewReader(bytes.NewReader(zipped))
	require.NoError(t, err)
	text, err := io.ReadAll(plain)
	require.NoError(t, err)
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	require.NoError(t, err)
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	require.NoError(t, w.Write(rows[0]))
	for i := range copies {
		for _, row := range rows[1:] {
			shifted := slices.Clone(row)
			for c, name := range rows[0] {
				switch strings.ToLower(name) {
				case "person_id", "visit_occurrence_id", strings.ToLower(rows[0][0]):
					shifted[c] += fmt.Sprintf("%02d", i)
				}
			}
			require.NoError(t, w.Write(shifted))
		}
	}
	w.Flush()
	return out.Bytes()
}
