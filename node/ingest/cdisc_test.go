package ingest_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// TestDataSetsOfATrialBecomeRows loads subjects, their history, vital signs and results of
// CDISC's example, each in another format. The counts are the member records of the data
// sets, and were counted in their JSON: 378 systolic and diastolic pressures each, 119
// weights and 17 heights have LOINC codes that the vocabulary has.
func TestDataSetsOfATrialBecomeRows(t *testing.T) {
	t.Parallel()
	read := func(name string) []byte {
		data, err := os.ReadFile("../../connectors/source/cdisc/testdata/msg/" + name)
		require.NoError(t, err)
		return data
	}
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		early := s.load(t, "mh.xpt.gz", read("mh.xpt.gz"))
		require.Equal(t, ingest.WithProblems, early.State)
		problems, err := s.Problems(t.Context(), early.ID, 0, 1)
		require.NoError(t, err)
		require.Equal(t, "unknown-person", problems[0].Rule, "a subject who is not in DM")
		require.Equal(t, "MH row 1", problems[0].Path)

		for _, file := range []struct {
			name, kind string
			records    int64
		}{{"dm.xpt.gz", "Patient", 18}, {"mh.dsjc", "Condition", 17}, {"vs.ndjson.gz", "Observation", 1414}, {"lb.json.gz", "Observation", 3488}} {
			job := s.load(t, file.name, read(file.name))
			require.Equal(t, ingest.Completed, job.State, "%s %s", file.name, job.Error)
			require.Equal(t, map[string]int64{file.kind: file.records}, job.Counts.ByType)
		}
		counts := s.counts(t)
		require.EqualValues(t, 18, counts[omop.PersonTable])
		require.EqualValues(t, 3, counts[omop.DeathTable])
		require.EqualValues(t, 17, counts[omop.ConditionTable])
		require.EqualValues(t, 1414+3488, counts[omop.MeasurementTable])
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			for query, want := range map[string]int{
				`SELECT count(*) FROM measurement WHERE measurement_concept_id <> 0`: 2*378 + 119 + 17,
				// All with a unit but U/L and mU/L, which OHDSI writes [U]/L.
				`SELECT count(*) FROM measurement WHERE unit_concept_id <> 0`: 1414 + 3488 - 376 - 534 - 18,
				// Standardized, beside what was collected.
				`SELECT count(*) FROM measurement WHERE value_source_value = '98.6 F' AND value_as_number = 37`:    1,
				`SELECT count(*) FROM measurement WHERE measurement_source_value = 'ALB' AND value_as_number = 39`: 12,
				`SELECT count(*) FROM person WHERE year_of_birth = 1928`:                                           2,
			} {
				var n int
				require.NoError(t, tx.QueryRow(t.Context(), query).Scan(&n))
				require.Equal(t, want, n, query)
			}
			return nil
		}))
		again := s.load(t, "mh.json", gunzip(t, read("mh.json.gz")))
		require.Equal(t, ingest.Completed, again.State, again.Error)
		require.Zero(t, again.Counts.Stored+again.Counts.Replaced, "another format of the same data set changes nothing")
		require.Equal(t, counts, s.counts(t))
	})
}
