package ingest_test

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
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

// BenchmarkSeries brings documents of 10 persons with 1,000 points each, two senders
// at a time, until all are stored and merged. accept-ms is the 95th percentile of the
// time until a document is durable.
func BenchmarkSeries(b *testing.B) {
	const documents, persons, each = 100, 10, 1000
	for name, open := range map[string]func(testing.TB) *sqldb.DB{"sqlite": sqltest.SQLite, "postgres": sqltest.Postgres} {
		b.Run(name, func(b *testing.B) {
			var stored, merged time.Duration
			var accepts []time.Duration
			for range b.N {
				s := newSite(b, open(b))
				s.run(b)
				s.load(b, "patients.ndjson", patients(persons))
				sent := make(chan []byte, documents)
				for d := range documents {
					sent <- minute(d, persons, each)
				}
				close(sent)
				start := time.Now()
				var mu sync.Mutex
				var ids []ingest.JobID
				var group errgroup.Group
				for range 2 {
					group.Go(func() error {
						for doc := range sent {
							begun := time.Now()
							_, id, err := s.Accept(b.Context(), "observations", bytes.NewReader(doc))
							if err != nil {
								return err
							}
							mu.Lock()
							ids, accepts = append(ids, id), append(accepts, time.Since(begun))
							mu.Unlock()
						}
						return nil
					})
				}
				require.NoError(b, group.Wait())
				for _, id := range ids {
					require.Equal(b, ingest.Completed, s.ended(b, id).State)
				}
				stored += time.Since(start)
				for n := int64(1); n > 0; {
					var err error
					n, err = s.series.Compact(b.Context())
					require.NoError(b, err)
				}
				merged += time.Since(start)
			}
			points := float64(b.N * documents * persons * each)
			slices.Sort(accepts)
			b.ReportMetric(points/stored.Seconds(), "observations/s")
			b.ReportMetric(points/merged.Seconds(), "merged/s")
			b.ReportMetric(accepts[len(accepts)*95/100].Seconds()*1000, "accept-ms")
		})
	}
}

// minute is a document with each points of each person, all at other times than those
// of the documents with other numbers.
func minute(number, persons, each int) []byte {
	begin := 1772352000000 + 1000*int64(number*each)
	var doc bytes.Buffer
	doc.WriteString(`{"source":"bench","observations":[`)
	for p := range persons {
		if p > 0 {
			doc.WriteByte(',')
		}
		fmt.Fprintf(&doc, `{"person":"p%d","system":"http://loinc.org","code":"8867-4","unit":"/min","times":[%d`, p, begin)
		for i := range each - 1 {
			fmt.Fprintf(&doc, ",%d", begin+1000*int64(i+1))
		}
		fmt.Fprintf(&doc, `],"values":[%d`, 60+number%40)
		for i := range each - 1 {
			fmt.Fprintf(&doc, ",%d", 60+(number+i*7)%40)
		}
		doc.WriteString("]}")
	}
	doc.WriteString("]}")
	return doc.Bytes()
}
