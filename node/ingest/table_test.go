package ingest_test

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/table"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

const synthea = "../../connectors/source/table/testdata/synthea/"

// TestTablesBecomeRows loads the export of 27 patients by mappings. The numbers are those
// of rows in the files, as the data set's README counts them.
func TestTablesBecomeRows(t *testing.T) {
	t.Parallel()
	set, err := table.LoadSet(os.DirFS(synthea))
	require.NoError(t, err)
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, func(c *ingest.Config, _ *jobs.Config) { c.Tables = set })
		s.run(t)
		load := func(name string) ingest.Job {
			data, err := os.ReadFile(synthea + name + ".csv.gz")
			require.NoError(t, err)
			return s.load(t, name+".csv.gz", data)
		}
		for _, file := range []struct {
			name, kind string
			records    int64
		}{
			{"patients", "Patient", 27},
			{"encounters", "Encounter", 604},
			{"conditions", "Condition", 438},
			{"observations", "Observation", 990},
			{"medications", "MedicationRequest", 663},
			{"immunizations", "Immunization", 29},
			{"procedures", "Procedure", 249},
			{"allergies", "AllergyIntolerance", 40},
		} {
			job := load(file.name)
			require.Equal(t, ingest.Completed, job.State, "%s %s", file.name, job.Error)
			require.Equal(t, map[string]int64{file.kind: file.records}, job.Counts.ByType)
			require.Contains(t, job.Mapper, " tables "+set.Version())
		}
		counts := s.counts(t)
		require.EqualValues(t, 27, counts[omop.PersonTable])
		require.EqualValues(t, 604, counts[omop.VisitTable])
		require.EqualValues(t, 663+29, counts[omop.DrugTable])
		require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
			var visitless int
			require.NoError(t, tx.QueryRow(t.Context(), `SELECT count(*) FROM condition_occurrence WHERE visit_occurrence_id IS NULL`).Scan(&visitless))
			require.Zero(t, visitless, "every condition is of a visit")
			return nil
		}))
		data, err := os.ReadFile(synthea + "conditions.csv.gz")
		require.NoError(t, err)
		again := s.load(t, "again.csv", gunzip(t, data))
		require.Equal(t, ingest.Completed, again.State, again.Error)
		require.Zero(t, again.Counts.Stored+again.Counts.Replaced)
		require.Equal(t, counts, s.counts(t))
	})
}

// TestATableWithoutAMappingIsAProblem that says what to do, and nothing of the table.
func TestATableWithoutAMappingIsAProblem(t *testing.T) {
	t.Parallel()
	empty, err := table.LoadSet(fstest.MapFS{})
	require.NoError(t, err)
	for _, set := range []*table.Set{nil, empty} {
		s := newSite(t, sqltest.SQLite(t), func(c *ingest.Config, _ *jobs.Config) { c.Tables = set })
		s.run(t)
		job := s.load(t, "lab.csv", []byte("mrn,test,zaphod\n1,K,4.1\n"))
		require.Equal(t, ingest.WithProblems, job.State)
		problems, err := s.Problems(t.Context(), job.ID, 0, 10)
		require.NoError(t, err)
		require.Equal(t, []ingest.Problem{{
			Line: 1, Rule: "wrong-header", Detail: "no mapping of this node fits this header: trialmesh node map suggest makes one, and the node reads mappings when it starts",
		}}, problems)
		require.NotContains(t, job.Mapper, "tables")
	}
}
