package ingest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

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
		n := s.counts(t)
		require.EqualValues(t, 1, n[omop.PersonTable])
		require.EqualValues(t, job.Counts.ByType["Encounter"], n[omop.VisitTable])
		t.Log(job.Counts, n)
	})
}
