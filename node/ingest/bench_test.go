package ingest_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// BenchmarkIngest loads 30 patient bundles of a hospital from acceptance to the end
// of the last job. An observation is a row of measurement or observation.
func BenchmarkIngest(b *testing.B) {
	files := bundles(b, 30)
	for name, open := range map[string]func(testing.TB) *sqldb.DB{"sqlite": sqltest.SQLite, "postgres": sqltest.Postgres} {
		b.Run(name, func(b *testing.B) {
			var observations, resources, size int64
			var took time.Duration
			for range b.N {
				s := newSite(b, open(b))
				s.run(b)
				start := time.Now()
				ids := make(map[int64]bool)
				for _, f := range files {
					_, id, err := s.Accept(b.Context(), f.Name, bytes.NewReader(f.Data))
					require.NoError(b, err)
					ids[int64(id)] = true
				}
				require.Eventually(b, func() bool {
					list, err := s.Jobs(b.Context(), 0, 1000)
					require.NoError(b, err)
					for _, j := range list {
						if !j.State.Ended() {
							return false
						}
					}
					return len(list) == len(ids)
				}, 5*time.Minute, 5*time.Millisecond)
				took += time.Since(start)
				list, err := s.Jobs(b.Context(), 0, 1000)
				require.NoError(b, err)
				findings := map[string]int64{}
				for _, j := range list {
					resources += j.Counts.Records
					size += j.BytesTotal
					for k, n := range j.Counts.Findings {
						findings[k] += n
					}
				}
				n := s.counts(b)
				observations += n[omop.MeasurementTable] + n[omop.ObservationTable]
				b.Log(findings)
			}
			b.ReportMetric(float64(observations)/took.Seconds(), "observations/s")
			b.ReportMetric(float64(resources)/took.Seconds(), "resources/s")
			b.ReportMetric(float64(size)/took.Seconds()/1e6, "MB/s")
		})
	}
}
