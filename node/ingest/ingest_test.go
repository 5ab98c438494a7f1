package ingest_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/node/mapping"
)

var discard = slog.New(slog.DiscardHandler)

func TestRealBundleBecomesRowsOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		bundle := bundles(t, 1)[0]
		job := s.load(t, bundle.Name, bundle.Data)
		require.Equal(t, ingest.Completed, job.State, job.Error)
		require.EqualValues(t, len(bundle.Data), job.BytesTotal)
		require.Equal(t, job.BytesTotal, job.Counts.BytesRead)
		require.Zero(t, job.Counts.Rejected)
		require.True(t, strings.HasPrefix(job.Mapper, mapping.Version+" vocabulary v5.0 09-APR-22"))
		n := s.counts(t)
		require.EqualValues(t, 1, n[omop.PersonTable])
		require.EqualValues(t, 1, n[omop.PeriodTable])
		require.Equal(t, job.Counts.ByType["Encounter"], n[omop.VisitTable])
		require.Equal(t, job.Counts.ByType["MedicationRequest"]+job.Counts.ByType["Immunization"], n[omop.DrugTable])
		require.Equal(t, job.Counts.Stored, sum(n)-1, "all but the period")
		require.Equal(t, job.Counts.ByType["Immunization"], job.Counts.Unmapped["CVX code"])

		t.Run("the same content keeps its job", func(t *testing.T) {
			require.Equal(t, job.ID, s.accept(t, "other name", bundle.Data))
			list, err := s.Jobs(t.Context(), 0, 10)
			require.NoError(t, err)
			require.Equal(t, []ingest.Job{job}, list)
		})
		var again ingest.Job
		t.Run("the same records in other bytes are duplicates", func(t *testing.T) {
			again = s.load(t, "copy", append(bundle.Data, '\n'))
			require.Equal(t, ingest.Completed, again.State)
			require.NotEqual(t, job.File, again.File)
			require.Zero(t, again.Counts.Stored+again.Counts.Replaced)
			require.Equal(t, job.Counts.Stored, again.Counts.Duplicates)
			require.Equal(t, n, s.counts(t))
		})
		t.Run("the row leads back to the last raw copy that has it", func(t *testing.T) {
			list := bytes.SplitN(bundle.Data, []byte(`"resourceType": "Patient"`), 2)
			require.Len(t, list, 2)
			id := string(bytes.SplitN(bytes.SplitN(list[1], []byte(`"id": "`), 2)[1], []byte(`"`), 2)[0])
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
				_, err := s.store.PersonByKey(t.Context(), tx, mapping.PersonKey(id))
				require.NoError(t, err)
				o, err := s.store.Origin(t.Context(), tx, omop.PersonTable, mapping.PersonKey(id), mapping.PersonKey(id))
				require.NoError(t, err)
				require.Equal(t, omop.Origin{Raw: again.File, Mapper: again.Mapper, Pointer: "entry[0]"}, o)
				return nil
			}))
		})
	})
}

func sum(n map[omop.Table]int64) (total int64) {
	for _, v := range n {
		total += v
	}
	return total
}

func TestOneContentAcceptedAtOnceIsOneJob(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		ids := make([]ingest.JobID, 8)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				var err error
				if _, ids[i], err = s.Accept(t.Context(), "f", strings.NewReader(patient)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, id := range ids {
			require.Equal(t, ids[0], id)
		}
		list, err := s.Jobs(t.Context(), 0, 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, ingest.Queued, list[0].State)
	})
}

func TestFilesOfABulkExport(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		observations := []byte(weight("w1") + "\n" + weight("w2") + "\n")
		early := s.load(t, "Observation.ndjson", observations)
		require.Equal(t, ingest.WithProblems, early.State, "whose they are is not known yet")
		require.EqualValues(t, 2, early.Counts.Rejected)
		require.Equal(t, ingest.Completed, s.load(t, "Patient.ndjson", []byte(patient+"\n")).State)
		late := s.load(t, "Observation.ndjson", observations)
		require.NotEqual(t, early.ID, late.ID)
		require.Equal(t, early.File, late.File)
		require.Equal(t, ingest.Completed, late.State)
		require.EqualValues(t, 2, s.counts(t)[omop.MeasurementTable])
	})
}

func TestReferencesToOtherFilesFailNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	s.run(t)
	encounter := `{"resourceType":"Encounter","id":"e1","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p1"},` +
		`"period":{"start":"2020-01-01T10:00:00Z","end":"2020-01-01T11:00:00Z"},` +
		`"serviceProvider":{"reference":"urn:uuid:3c4f2b1e-0000-4000-8000-000000000001"},` +
		`"participant":[{"individual":{"reference":"Practitioner?identifier=1"}}]}`
	job := s.load(t, "b", []byte(bundle(patient, encounter)))
	require.Equal(t, ingest.Completed, job.State)
	require.Equal(t, map[string]int64{"unresolved-reference": 1}, job.Counts.Findings)
	require.EqualValues(t, 1, s.counts(t)[omop.VisitTable])
}

func TestAnotherVocabularyLoadsAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	s.run(t)
	data := []byte(bundle(patient, weight("w1")))
	first := s.load(t, "b", data)
	require.Equal(t, ingest.Completed, first.State)

	from := t.TempDir() // the same vocabulary without body weight
	concepts := "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason\n" +
		"9529\tkilogram\tUnit\tUCUM\tUnit\tS\tkg\t19700101\t20991231\t\n"
	require.NoError(t, os.WriteFile(from+"/CONCEPT.csv", []byte(concepts), 0o600))
	require.NoError(t, os.WriteFile(from+"/CONCEPT_RELATIONSHIP.csv", []byte("concept_id_1\tconcept_id_2\trelationship_id\tvalid_start_date\tvalid_end_date\tinvalid_reason\n"), 0o600))
	_, err := s.words.Load(t.Context(), os.DirFS(from))
	require.NoError(t, err)

	second := s.load(t, "b", data)
	require.NotEqual(t, first.ID, second.ID)
	require.NotEqual(t, first.Mapper, second.Mapper)
	require.EqualValues(t, 1, second.Counts.Replaced, "the weight has no concept now")
	require.EqualValues(t, 1, second.Counts.Duplicates, "the person is as before")
	require.EqualValues(t, 1, s.counts(t)[omop.MeasurementTable])
}

func TestProblemsAreCountedBeyondTheList(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, func(c *ingest.Config, _ *jobs.Config) { c.MaxProblems = 25 })
		s.run(t)
		job := s.load(t, "f", []byte(patient+"\n"+strings.Repeat("{\"resourceType\":\n", 2500)))
		require.Equal(t, ingest.WithProblems, job.State)
		require.EqualValues(t, 2500, job.Counts.Rejected)
		first, err := s.Problems(t.Context(), job.ID, 0, 20)
		require.NoError(t, err)
		require.Len(t, first, 20)
		rest, err := s.Problems(t.Context(), job.ID, 20, 20)
		require.NoError(t, err)
		require.Len(t, rest, 5)
		for i, p := range append(first, rest...) {
			require.Equal(t, i+2, p.Line)
		}
		require.EqualValues(t, 1, s.counts(t)[omop.PersonTable])
	})
}

func TestJobsArePagedNewestFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t))
	var ids []ingest.JobID
	for i := range 5 {
		ids = append(ids, s.accept(t, fmt.Sprintf("file %d\x00\x1b", i), []byte(strings.Repeat(" ", i)+patient)))
	}
	page, err := s.Jobs(t.Context(), 0, 2)
	require.NoError(t, err)
	require.Equal(t, []ingest.JobID{ids[4], ids[3]}, []ingest.JobID{page[0].ID, page[1].ID})
	require.Equal(t, "file 4", page[0].Name, "what does not print is left out")
	page, err = s.Jobs(t.Context(), page[1].ID, 10)
	require.NoError(t, err)
	require.Len(t, page, 3)
	_, err = s.Job(t.Context(), 999)
	require.ErrorIs(t, err, ingest.ErrJob)
	for _, limit := range []int{0, 1001} {
		_, err = s.Jobs(t.Context(), 0, limit)
		require.Error(t, err)
		_, err = s.Problems(t.Context(), ids[0], 0, limit)
		require.Error(t, err)
	}
}

// TestALargeLoadLeavesStatistics: questions that come right after it are planned by what
// the tables hold now.
func TestALargeLoadLeavesStatistics(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.Postgres(t))
	s.run(t)
	var text strings.Builder
	text.WriteString(patient + "\n")
	for i := range 6000 {
		at := time.Date(2020, 1, 1, 0, i, 0, 0, time.UTC).Format(time.RFC3339)
		text.WriteString(strings.NewReplacer(`"w1"`, fmt.Sprintf(`"w%d"`, i), "2020-01-01", at).Replace(weight("w1")) + "\n")
	}
	require.Equal(t, ingest.Completed, s.load(t, "weights.ndjson", []byte(text.String())).State)
	require.Eventually(t, func() bool { // it is taken when the job is over
		var rows int
		require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(t.Context(), "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass('lineage')").Scan(&rows)
		}))
		return rows == 6001
	}, time.Minute, 10*time.Millisecond)
}
