package series_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// childDSN is the variable that turns this test binary into a process that
// appends and compacts until it is killed.
const childDSN = "SERIES_TEST_DSN"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childDSN); dsn != "" {
		fmt.Fprintln(os.Stderr, work(dsn))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// work appends batches 0, 1 and so on, prints the number of each after its commit,
// and compacts after every third.
func work(dsn string) error {
	ctx := context.Background()
	db, err := sqldb.Open(ctx, sqldb.Config{DSN: dsn})
	if err != nil {
		return err
	}
	store, err := series.Open(ctx, db, series.Config{})
	if err != nil {
		return err
	}
	store.Shrink()
	s := &site{db: db, store: store, variable: 1, source: 1}
	for {
		var n int64
		if err := db.Write(ctx, func(tx *sqldb.Tx) error {
			if err := tx.QueryRow(ctx, "SELECT count(*) FROM series_load").Scan(&n); err != nil {
				return err
			}
			_, err := store.Append(ctx, tx, s.chain(n))
			return err
		}); err != nil {
			return err
		}
		fmt.Println(n)
		if n%3 == 2 {
			if _, err := store.Compact(ctx); err != nil {
				return err
			}
		}
	}
}

// chain is the n-th batch: ten points of each of four persons, of which the first
// repeats the last one of the batch before.
func (s *site) chain(n int64) series.Batch {
	b := s.batch(1, nil)
	b.Persons = []omop.PersonID{person(1), person(2), person(3), person(4)}
	for p := range int32(4) {
		for i := range int64(10) {
			k := n*9 + i
			b.Person, b.Variable = append(b.Person, p), append(b.Variable, 0)
			b.Times, b.Values = append(b.Times, k*1000), append(b.Values, float64(k%7))
		}
	}
	return b
}

// requireChain checks that the batches before n are there, each once.
func requireChain(t *testing.T, s *site, n int64) {
	t.Helper()
	for p := int64(1); p <= 4; p++ {
		points := s.points(t, p, 0, forever)
		require.Len(t, points, int(9*n+1))
		for k, point := range points {
			require.True(t, point.Time == int64(k)*1000 && point.Value == float64(k%7))
		}
	}
}

// requireSettled checks the outcomes of the batches before n.
func requireSettled(t *testing.T, s *site, n int64) {
	t.Helper()
	var loads, stored, duplicates, settled int64
	require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT count(*), CAST(sum(stored) AS BIGINT), CAST(sum(duplicates) AS BIGINT),
			count(CASE WHEN settled THEN 1 END) FROM series_load`).Scan(&loads, &stored, &duplicates, &settled)
	}))
	require.Equal(t, [2]int64{4 * (9*n + 1), loads}, [2]int64{stored, settled})
	if s.db.Dialect() == sqldb.Postgres {
		require.GreaterOrEqual(t, loads, n, "a commit that was cut off may have held, and was done again")
		return
	}
	require.Equal(t, [2]int64{n, 4 * (n - 1)}, [2]int64{loads, duplicates})
}

func TestKilledProcessLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") },
		"postgres": func(t *testing.T) string { return sqltest.PostgresDSN(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := dsn(t)
			s := newSite(t, sqltest.Open(t, dsn), series.Config{})
			for round := range 5 {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), childDSN+"="+dsn)
				out, err := cmd.StdoutPipe()
				require.NoError(t, err)
				require.NoError(t, cmd.Start())
				lines, acknowledged := bufio.NewScanner(out), int64(-1)
				for range 5 + 4*round {
					require.True(t, lines.Scan(), "the process appends")
				}
				require.NoError(t, cmd.Process.Kill())
				for ok := true; ok; ok = lines.Scan() { // also what was in the pipe
					_, err := fmt.Sscan(lines.Text(), &acknowledged)
					require.NoError(t, err)
				}
				_ = cmd.Wait()
				var n int64
				require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
					return tx.QueryRow(t.Context(), "SELECT count(*) FROM series_load").Scan(&n)
				}))
				require.Greater(t, n, acknowledged, "what was acknowledged is there")
				requireChain(t, s, n)
				if round%2 == 1 {
					s.compact(t)
					requireChain(t, s, n)
					requireSettled(t, s, n)
				}
			}
		})
	}
}

// failing is a context that ends when it was looked at for the n-th time, which
// every statement does.
type failing struct {
	context.Context

	cancel context.CancelFunc
	left   atomic.Int64
}

func failAfter(t *testing.T, n int) *failing {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	f := &failing{Context: ctx, cancel: cancel}
	f.left.Store(int64(n))
	return f
}

func (f *failing) Done() <-chan struct{} {
	if f.left.Add(-1) < 0 {
		f.cancel()
	}
	return f.Context.Done()
}

// requireCut checks that err is about the context or, when it ended in the midst of
// a write to the server, about the connection; or that the server has not yet noticed
// that whoever was cut off before is gone.
func requireCut(t *testing.T, err error) {
	t.Helper()
	require.True(t, errors.Is(err, context.Canceled) || errors.Is(err, sqldb.ErrUnavailable) || errors.Is(err, series.ErrBusy), "%v", err)
}

func TestFailureAtAnyStatementLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db, series.Config{Partition: time.Hour})
		failures := 0
		reopen := func() {
			var err error
			s.store, err = series.Open(t.Context(), db, series.Config{Partition: time.Hour})
			require.NoError(t, err)
			s.store.Shrink()
		}
		until := func(fn func(context.Context) error, after func(done bool)) {
			for n := 0; ; n++ {
				reopen()
				err := fn(failAfter(t, n))
				after(err == nil)
				if err == nil {
					return
				}
				requireCut(t, err)
				failures++
			}
		}
		for n := range int64(4) {
			until(func(ctx context.Context) error {
				return db.Write(ctx, func(tx *sqldb.Tx) error {
					_, err := s.store.Append(ctx, tx, s.chain(n))
					return err
				})
			}, func(done bool) {
				if done || len(s.points(t, 1, 0, forever)) > int(9*n+1) {
					require.True(t, done || db.Dialect() == sqldb.Postgres, "only a server may hold a commit that was cut off")
					requireChain(t, s, n+1)
				} else if n > 0 {
					requireChain(t, s, n)
				}
			})
			if n%2 == 0 {
				continue
			}
			until(func(ctx context.Context) error {
				_, err := s.store.Compact(ctx)
				return err
			}, func(bool) { requireChain(t, s, n+1) })
			requireSettled(t, s, n+1)
		}
		require.Greater(t, failures, 40, "every statement has failed")
	})
}

func TestInterruptedRetainIsTakenUp(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		cfg := series.Config{Partition: time.Hour, Retention: series.Retention{Raw: time.Hour, Minute: 2 * time.Hour}}
		s := newSite(t, db, cfg)
		const n = 8
		for i := range int64(n) {
			s.append(t, s.chain(i))
		}
		total := func() (count int64) {
			require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
				for a, err := range s.store.Aggregates(t.Context(), tx, person(3), s.variable, 0, forever) {
					require.NoError(t, err)
					count += a.N
				}
				return nil
			}))
			return count + int64(len(s.points(t, 3, 0, forever)))
		}
		for _, at := range []time.Duration{2 * time.Hour, 3 * time.Hour} {
			for k := 0; ; k++ {
				var err error
				s.store, err = series.Open(t.Context(), db, cfg)
				require.NoError(t, err)
				s.store.Shrink()
				err = s.store.Retain(failAfter(t, k), time.UnixMilli(0).Add(at))
				require.EqualValues(t, 9*n+1, total(), "every point is a point or in one aggregate")
				if err == nil {
					break
				}
				requireCut(t, err)
			}
			require.Empty(t, s.points(t, 3, 0, forever))
		}
		r := s.append(t, s.chain(0))
		require.Zero(t, r.Landed)
		require.Equal(t, series.Refusal{Index: 0, Rule: series.Expired}, r.Refused[0])
		require.EqualValues(t, 9*n+1, total(), "a repetition of a closed time changes nothing")
	})
}

// On SQLite the two follow one another.
func TestPointsThatLandWhileTheirTimeIsClosedExpire(t *testing.T) {
	t.Parallel()
	db := sqltest.Postgres(t)
	s := newSite(t, db, series.Config{Partition: time.Hour, Retention: series.Retention{Raw: time.Hour}})
	var r series.Result
	require.NoError(t, db.Write(t.Context(), func(tx *sqldb.Tx) (err error) {
		if r, err = s.store.Append(t.Context(), tx, s.batch(1, []int64{1000, 7_200_000}, 1, 2)); err != nil {
			return err
		}
		return s.store.Retain(t.Context(), time.UnixMilli(0).Add(3*time.Hour))
	}))
	require.Equal(t, 2, r.Landed)
	for range 2 {
		points := s.points(t, 1, 0, forever)
		require.Len(t, points, 1)
		require.Equal(t, 2.0, points[0].Value)
		s.compact(t)
	}
	o := s.outcome(t, r.Load)
	require.Equal(t, [2]int64{1, 1}, [2]int64{o.Stored, o.Expired})
}

func TestProcessesOnOneDatabase(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") },
		"postgres": func(t *testing.T) string { return sqltest.PostgresDSN(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 40
			dsn := dsn(t)
			var next atomic.Int64
			var group errgroup.Group
			var appending sync.WaitGroup
			var last *site
			for range 2 {
				s := newSite(t, sqltest.Open(t, dsn), series.Config{})
				s.store.Shrink()
				last = s
				appending.Add(2)
				for range 2 {
					group.Go(func() error {
						defer appending.Done()
						for i := next.Add(1) - 1; i < n; i = next.Add(1) - 1 {
							if err := s.db.Write(t.Context(), func(tx *sqldb.Tx) error {
								_, err := s.store.Append(t.Context(), tx, s.chain(i))
								return err
							}); err != nil {
								return err
							}
						}
						return nil
					})
				}
			}
			done := make(chan struct{})
			go func() { appending.Wait(); close(done) }()
			for range 2 {
				s := newSite(t, sqltest.Open(t, dsn), series.Config{})
				s.store.Shrink()
				group.Go(func() error {
					for {
						if _, err := s.store.Compact(t.Context()); err != nil && !errors.Is(err, series.ErrBusy) {
							return err
						}
						select {
						case <-done:
							return nil
						default:
						}
					}
				})
			}
			require.NoError(t, group.Wait())
			last.compact(t)
			requireChain(t, last, n)
			requireSettled(t, last, n)
		})
	}
}
