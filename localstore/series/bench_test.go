package series_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

var engines = map[string]func(testing.TB) *sqldb.DB{"sqlite": sqltest.SQLite, "postgres": sqltest.Postgres}

const batchPoints = 10_000

// feed makes batches as a site's interfaces would: every person wears a device
// with five variables that each give a value a minute, about a second early or late.
type feed struct {
	site    *site
	persons int
	burst   int // points that a device has for each variable when it sends
	next    int // batches made
	random  *rand.Rand
}

func newFeed(s *site, persons, burst int) *feed {
	return &feed{site: s, persons: persons, burst: burst, random: rand.New(rand.NewPCG(1, 2))}
}

// batch is the next 10,000 points: bursts of the persons in turn, then the next
// stretch of time.
func (f *feed) batch() series.Batch {
	const variables = 5
	s := f.site
	b := series.Batch{Origin: series.Origin{Mapper: "bench"}, Source: s.source, At: now}
	for v := range series.VariableID(variables) {
		b.Variables = append(b.Variables, s.variable+v)
	}
	devices := batchPoints / (variables * f.burst)
	for d := range devices {
		turn := f.next*devices + d
		b.Persons = append(b.Persons, person(int64(1+turn%f.persons)))
		round := turn / f.persons
		for v := range int32(variables) {
			level := 60 + 10*float64(v)
			for i := range f.burst {
				b.Person, b.Variable = append(b.Person, int32(d)), append(b.Variable, v)
				b.Times = append(b.Times, 1_700_000_000_000+int64(round*f.burst+i)*60_000+int64(f.random.IntN(2000)))
				level += float64(f.random.IntN(7) - 3)
				b.Values = append(b.Values, level)
			}
		}
	}
	f.next++
	return b
}

func benchSite(b *testing.B, db *sqldb.DB) *site {
	b.Helper()
	return newSite(b, db, series.Config{})
}

// BenchmarkAppend lands batches, each in a durable transaction, beside the
// engine's own bulk insert of the same points as rows without an index. The
// PostgreSQL of tests runs without fsync.
func BenchmarkAppend(b *testing.B) {
	for name, open := range engines {
		for _, burst := range []int{1, 20} {
			b.Run(fmt.Sprintf("%s/burst%d", name, burst), func(b *testing.B) {
				s := benchSite(b, open(b))
				f := newFeed(s, 10_000, burst)
				batches := make([]series.Batch, 20)
				for i := range batches {
					batches[i] = f.batch()
				}
				n, begun := 0, processor(b)
				for b.Loop() {
					s.append(b, batches[n%len(batches)])
					n++
				}
				b.ReportMetric(float64(n*batchPoints)/b.Elapsed().Seconds(), "obs/s")
				b.ReportMetric(float64((processor(b)-begun).Nanoseconds())/float64(n*batchPoints), "cpu-ns/obs")
			})
		}
		b.Run(name+"/rows", func(b *testing.B) {
			ctx, db := b.Context(), open(b)
			s := benchSite(b, db)
			require.NoError(b, db.Write(ctx, func(tx *sqldb.Tx) error {
				_, err := tx.Exec(ctx, "CREATE TABLE plain (person BIGINT, variable BIGINT, source BIGINT, t BIGINT, v DOUBLE PRECISION)")
				return err
			}))
			batch := newFeed(s, 10_000, 1).batch()
			n, begun := 0, processor(b)
			for b.Loop() {
				require.NoError(b, db.Write(ctx, func(tx *sqldb.Tx) error {
					_, err := tx.Insert(ctx, "plain", []string{"person", "variable", "source", "t", "v"}, plainRows(batch))
					return err
				}))
				n++
			}
			b.ReportMetric(float64(n*batchPoints)/b.Elapsed().Seconds(), "obs/s")
			b.ReportMetric(float64((processor(b)-begun).Nanoseconds())/float64(n*batchPoints), "cpu-ns/obs")
		})
	}
}

func plainRows(x series.Batch) func(yield func([]any) bool) {
	return func(yield func([]any) bool) {
		row := make([]any, 5)
		for i := range x.Times {
			row[0], row[1], row[2], row[3], row[4] = x.Persons[x.Person[i]], int64(x.Variables[x.Variable[i]]), int64(x.Source), x.Times[i], x.Values[i]
			if !yield(row) {
				return
			}
		}
	}
}

// BenchmarkCompact merges a million landed points into a store that already has
// the series.
func BenchmarkCompact(b *testing.B) {
	for name, open := range engines {
		for _, burst := range []int{1, 20} {
			b.Run(fmt.Sprintf("%s/burst%d", name, burst), func(b *testing.B) {
				s := benchSite(b, open(b))
				f := newFeed(s, 10_000, burst)
				fill(b, s, f, 1_000_000)
				n := 0
				for b.Loop() {
					b.StopTimer()
					for range 100 {
						s.append(b, f.batch())
					}
					b.StartTimer()
					s.compact(b)
					n += 100 * batchPoints
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "obs/s")
			})
		}
	}
}

// BenchmarkSustained appends while another goroutine compacts, as a node does, and
// ends when nothing waits. It reports the 95th percentile of an append.
func BenchmarkSustained(b *testing.B) {
	for name, open := range engines {
		for _, burst := range []int{1, 20} {
			b.Run(fmt.Sprintf("%s/burst%d", name, burst), func(b *testing.B) {
				s := benchSite(b, open(b))
				f := newFeed(s, 10_000, burst)
				fill(b, s, f, 1_000_000)
				stop, done := make(chan struct{}), make(chan error)
				go func() {
					for {
						n, err := s.store.Compact(b.Context())
						if err != nil {
							done <- err
							return
						}
						select {
						case <-stop:
							if n == 0 {
								done <- nil
								return
							}
						default:
						}
					}
				}()
				var took []time.Duration
				start := time.Now()
				for b.Loop() {
					batch, begun := f.batch(), time.Now()
					s.append(b, batch)
					took = append(took, time.Since(begun))
				}
				close(stop)
				require.NoError(b, <-done)
				slices.Sort(took)
				b.ReportMetric(float64(len(took)*batchPoints)/time.Since(start).Seconds(), "obs/s")
				b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
				b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
			})
		}
	}
}

// processor is the processor time of this process so far; on a busy machine it
// says more than the clock, but it leaves out the server of PostgreSQL.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill appends n points, compacting every million.
func fill(b testing.TB, s *site, f *feed, n int) {
	b.Helper()
	for i := range n / batchPoints {
		s.append(b, f.batch())
		if i%100 == 99 {
			s.compact(b)
		}
	}
	s.compact(b)
}

// BenchmarkCurve appends and compacts a million points into stores of growing
// size: 1 and 10 million points, and 50 million where TRIALMESH_BENCH_LONG is set.
// It also reads a person's month of one variable from each and counts all.
func BenchmarkCurve(b *testing.B) {
	for name, open := range engines {
		s := benchSite(b, open(b))
		f := newFeed(s, 10_000, 20)
		stored := 0
		for _, millions := range []int{1, 10, 50} {
			if millions == 50 && os.Getenv("TRIALMESH_BENCH_LONG") == "" {
				continue
			}
			fill(b, s, f, millions*1_000_000-stored)
			stored = millions * 1_000_000
			b.Run(fmt.Sprintf("%s/%dM/add", name, millions), func(b *testing.B) {
				n, begun := 0, processor(b)
				for b.Loop() {
					for range 100 {
						s.append(b, f.batch())
					}
					s.compact(b)
					n += 100 * batchPoints
				}
				stored += n
				b.ReportMetric(float64((processor(b)-begun).Nanoseconds())/float64(n), "cpu-ns/obs")
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "obs/s")
				b.ReportMetric(bytesPerPoint(b, s), "chunkbytes/obs")
			})
			b.Run(fmt.Sprintf("%s/%dM/month", name, millions), func(b *testing.B) {
				n := 0
				for b.Loop() {
					n += len(s.points(b, 4711, 1_700_000_000_000, 1_700_000_000_000+30*24*3_600_000))
				}
				b.ReportMetric(float64(n)/float64(b.N), "points")
			})
		}
	}
}

// BenchmarkMonth reads a month of a value a minute, 43,200 points.
func BenchmarkMonth(b *testing.B) {
	const minutes = 30 * 24 * 60
	for name, open := range engines {
		b.Run(name, func(b *testing.B) {
			s := benchSite(b, open(b))
			f := newFeed(s, 2, 1000)
			fill(b, s, f, 5*2*minutes)
			n := 0
			for b.Loop() {
				n += len(s.points(b, 1, 1_700_000_000_000, 1_700_000_000_000+minutes*60_000))
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "obs/s")
			b.ReportMetric(float64(n)/float64(b.N), "points")
			b.ReportMetric(bytesPerPoint(b, s), "chunkbytes/obs")
		})
	}
}

// BenchmarkBacklog reads a few points of a person while a million points wait.
func BenchmarkBacklog(b *testing.B) {
	for name, open := range engines {
		for _, burst := range []int{1, 20} {
			b.Run(fmt.Sprintf("%s/burst%d", name, burst), func(b *testing.B) {
				s := benchSite(b, open(b))
				f := newFeed(s, 10_000, burst)
				for range 100 {
					s.append(b, f.batch())
				}
				for b.Loop() {
					require.Len(b, s.points(b, 4711, 0, forever), 20)
				}
			})
		}
	}
}

// BenchmarkChunk encodes and decodes a chunk of each kind of values.
func BenchmarkChunk(b *testing.B) {
	for name, value := range columns() {
		points := chunkOf(series.ChunkPoints, value)
		body := series.EncodeChunk(points)
		b.Run("encode/"+name, func(b *testing.B) {
			for b.Loop() {
				series.EncodeChunk(points)
			}
			b.ReportMetric(float64(b.N)*series.ChunkPoints/b.Elapsed().Seconds(), "obs/s")
			b.ReportMetric(float64(len(body))/series.ChunkPoints, "bytes/obs")
		})
		b.Run("decode/"+name, func(b *testing.B) {
			var dst []series.Point
			for b.Loop() {
				var err error
				dst, err = series.DecodeChunk(dst[:0], body, 1)
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.N)*series.ChunkPoints/b.Elapsed().Seconds(), "obs/s")
		})
	}
}

// bytesPerPoint is the size of what is in chunks.
func bytesPerPoint(b *testing.B, s *site) float64 {
	b.Helper()
	var points, bytes int64
	require.NoError(b, s.db.Read(b.Context(), func(tx *sqldb.Tx) error {
		list, err := s.store.Summaries(b.Context(), tx)
		for _, v := range list {
			points += v.Points
			bytes += v.Bytes
		}
		return err
	}))
	return float64(bytes) / float64(points)
}
