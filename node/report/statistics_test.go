package report_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// TestAReportKnowsItsTables though autovacuum never came: plans for tables that are taken
// for a sixth of what they are sort on disk.
func TestAReportKnowsItsTables(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.Postgres(t))
	s.exec("ALTER TABLE measurement SET (autovacuum_enabled = false)")
	fill(s, 100, 100)
	counted := "SELECT CAST(reltuples AS BIGINT) FROM pg_class WHERE oid = 'measurement'::regclass"
	require.NotEqual(t, int64(10_000), s.scalar(counted))
	s.report()
	require.EqualValues(t, 10_000, s.scalar(counted))
}
