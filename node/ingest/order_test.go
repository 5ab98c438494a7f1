package ingest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// TestWhatCameLaterStands whichever file is loaded last: a preliminary and a corrected
// result, thirty times over, in files of their own and with several workers.
func TestWhatCameLaterStands(t *testing.T) {
	t.Parallel()
	const patients = 30
	result := func(patient int, status string, value float64) []byte {
		return fmt.Appendf(nil, `{"resourceType":"Patient","id":"p%[1]d","gender":"female","birthDate":"1950-01-01"}
{"resourceType":"Observation","id":"k%[1]d","status":%[2]q,"code":{"coding":[{"system":"http://loinc.org","code":"2823-3"}]},`+
			`"subject":{"reference":"Patient/p%[1]d"},"effectiveDateTime":"2026-01-01T08:00:00Z","valueQuantity":{"value":%[3]g,"code":"mmol/L","system":"http://unitsofmeasure.org"}}
%[4]s`, patient, status, value, map[string]string{"preliminary": `{"resourceType":"Observation","id":"broken"`}[status])
	}
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, func(_ *ingest.Config, q *jobs.Config) { q.Workers = 8 })
		values := func() (wrong int) {
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
				var all int
				require.NoError(t, tx.QueryRow(t.Context(), `SELECT count(*), coalesce(sum(CASE WHEN value_as_number <> 4.1 THEN 1 ELSE 0 END), 0) FROM measurement`).Scan(&all, &wrong))
				require.Equal(t, patients, all)
				return nil
			}))
			return wrong
		}
		var ids []ingest.JobID
		for i := range patients {
			ids = append(ids, s.accept(t, "first", result(i, "preliminary", 5.9)), s.accept(t, "second", result(i, "corrected", 4.1)))
		}
		s.run(t)
		for _, id := range ids {
			require.Contains(t, []ingest.State{ingest.Completed, ingest.WithProblems}, s.ended(t, id).State)
		}
		require.Zero(t, values())

		// A file that had a problem is loaded again when it is sent again, at its old place.
		again := s.load(t, "first again", result(7, "preliminary", 5.9))
		require.NotContains(t, ids, again.ID)
		require.EqualValues(t, 1, again.Counts.Findings["superseded"])
		require.Zero(t, values())
	})
}
