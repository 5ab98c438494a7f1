package ingest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

func TestJobsAreFoundByState(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		dir := t.TempDir()
		s, err := openSite(t.Context(), db, dir)
		require.NoError(t, err)
		lost := s.accept(t, "lost", []byte(strings.Repeat(" ", 3)+patient))
		files, err := filepath.Glob(filepath.Join(dir, "raw", "??", "*"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		require.NoError(t, os.Remove(files[0]))
		cancelled := s.accept(t, "cancelled", []byte(strings.Repeat(" ", 2)+patient))
		require.NoError(t, s.Cancel(t.Context(), cancelled))
		want := func(id ingest.JobID, states ...ingest.State) {
			t.Helper()
			list, err := s.Jobs(t.Context(), 0, 10, states...)
			require.NoError(t, err)
			require.Len(t, list, 1)
			require.Equal(t, id, list[0].ID)
			require.Contains(t, states, list[0].State)
		}
		want(lost, ingest.Queued, ingest.Failed)
		want(cancelled, ingest.Cancelled)
		s.run(t)
		require.Equal(t, ingest.Dead, s.ended(t, lost).State)
		good := s.accept(t, "good", []byte(patient))
		require.Equal(t, ingest.Completed, s.ended(t, good).State)
		want(lost, ingest.Dead)
		want(good, ingest.Completed)
		list, err := s.Jobs(t.Context(), 0, 10, ingest.Queued, ingest.Failed, ingest.Running)
		require.NoError(t, err)
		require.Empty(t, list, "a dead job is not open")
		list, err = s.Jobs(t.Context(), good, 10, ingest.Dead, ingest.Completed)
		require.NoError(t, err)
		require.Len(t, list, 1, "paged as all are")
	})
}
