package sqldb_test

import (
	"context"
	"errors"
	"iter"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// schema is the same on both engines for these tests.
var schema = fstest.MapFS{
	"sqlite/0001_note.sql":   {Data: []byte(up + "CREATE TABLE note (id BIGINT PRIMARY KEY, body TEXT, at TIMESTAMP, day DATE, x DOUBLE PRECISION, raw BLOB);")},
	"postgres/0001_note.sql": {Data: []byte(up + "CREATE TABLE note (id BIGINT PRIMARY KEY, body TEXT, at TIMESTAMPTZ, day DATE, x DOUBLE PRECISION, raw BYTEA);")},
}

const up = "-- +goose Up\n"

func migrated(t *testing.T, db *sqldb.DB) *sqldb.DB {
	t.Helper()
	require.NoError(t, sqldb.Migrate(t.Context(), db, "note", schema))
	return db
}

func insertNote(ctx context.Context, tx *sqldb.Tx, id int64) error {
	_, err := tx.Exec(ctx, "INSERT INTO note (id, body) VALUES (?, ?)", id, "b")
	return err
}

func countNotes(t *testing.T, db *sqldb.DB) (n int64) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(t.Context(), "SELECT count(*) FROM note").Scan(&n)
	}))
	return n
}

func TestValuesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		migrated(t, db)
		ctx := t.Context()
		at := time.Date(2021, 3, 4, 5, 6, 7, 891_234_567, time.FixedZone("x", 2*3600))
		day := sqldb.Day(1931, time.December, 24)
		require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO note VALUES (?, ?, ?, ?, ?, ?)", 1, "a ? 'b'", at, day, 0.1, []byte{0, 255}); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "INSERT INTO note (id, at, day) VALUES (?, ?, ?)", 2, (*time.Time)(nil), (*sqldb.Date)(nil))
			return err
		}))
		require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
			var (
				body   string
				gotAt  time.Time
				maxAt  time.Time
				gotDay sqldb.Date
				x      float64
				raw    []byte
			)
			require.NoError(t, tx.QueryRow(ctx, "SELECT body, at, (SELECT max(at) FROM note), day, x, raw FROM note WHERE id = ?", 1).
				Scan(&body, &gotAt, &maxAt, &gotDay, &x, &raw))
			want := at.UTC().Truncate(time.Microsecond)
			require.Equal(t, "a ? 'b'", body)
			require.Equal(t, want, gotAt)
			require.Equal(t, want, maxAt, "a time that an expression returns")
			require.Equal(t, day, gotDay)
			require.Equal(t, 0.1, x) //nolint:testifylint // exact on purpose
			require.Equal(t, []byte{0, 255}, raw)

			var noAt *time.Time
			var noDay *sqldb.Date
			require.NoError(t, tx.QueryRow(ctx, "SELECT at, day FROM note WHERE id = 2").Scan(&noAt, &noDay))
			require.Nil(t, noAt)
			require.Nil(t, noDay)
			return nil
		}))
	})
}

func TestStoredTimesSortAsTimes(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		migrated(t, db)
		ctx := t.Context()
		base := time.Date(2020, 1, 1, 12, 0, 0, 0, time.UTC)
		times := []time.Time{base, base.Add(time.Microsecond), base.Add(time.Second), base.Add(time.Hour).In(time.FixedZone("w", -11*3600))}
		require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
			for i, at := range times {
				if _, err := tx.Exec(ctx, "INSERT INTO note (id, at) VALUES (?, ?)", i, at); err != nil {
					return err
				}
			}
			var n int
			require.NoError(t, tx.QueryRow(ctx, "SELECT count(*) FROM note WHERE at >= ? AND at < ?", times[1], times[3]).Scan(&n))
			require.Equal(t, 2, n)
			return nil
		}))
	})
}

func TestWriteIsAllOrNothing(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		migrated(t, db)
		ctx := t.Context()
		boom := errors.New("boom")
		require.ErrorIs(t, db.Write(ctx, func(tx *sqldb.Tx) error {
			require.NoError(t, insertNote(ctx, tx, 1))
			return boom
		}), boom)
		require.PanicsWithValue(t, "oops", func() {
			_ = db.Write(ctx, func(tx *sqldb.Tx) error {
				require.NoError(t, insertNote(ctx, tx, 1))
				panic("oops")
			})
		})
		canceled, cancel := context.WithCancel(ctx)
		require.ErrorIs(t, db.Write(canceled, func(tx *sqldb.Tx) error {
			require.NoError(t, insertNote(ctx, tx, 1))
			cancel()
			return nil
		}), context.Canceled)
		require.Zero(t, countNotes(t, db))
		require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error { return insertNote(ctx, tx, 1) }), "the writer is free again")
		require.EqualValues(t, 1, countNotes(t, db))
	})
}

func TestReadSeesOneSnapshot(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		migrated(t, db)
		ctx := t.Context()
		require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
			var before, after int
			require.NoError(t, tx.QueryRow(ctx, "SELECT count(*) FROM note").Scan(&before))
			require.NoError(t, db.Write(ctx, func(w *sqldb.Tx) error { return insertNote(ctx, w, 1) }))
			require.NoError(t, tx.QueryRow(ctx, "SELECT count(*) FROM note").Scan(&after))
			require.Equal(t, before, after)
			return nil
		}))
		require.EqualValues(t, 1, countNotes(t, db))
	})
}

func TestReadCannotWrite(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		migrated(t, db)
		require.Error(t, db.Read(t.Context(), func(tx *sqldb.Tx) error { return insertNote(t.Context(), tx, 1) }))
		require.Zero(t, countNotes(t, db))
	})
}

func TestErrorsHaveASentinelAndNoValue(t *testing.T) {
	t.Parallel()
	const secret = "Ada-Lovelace-1815"
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		migrated(t, db)
		ctx := t.Context()
		require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO note (id, body) VALUES (1, ?)", secret)
			return err
		}))
		var n int64
		for name, f := range map[string]func(*sqldb.Tx) error{
			"duplicate": func(tx *sqldb.Tx) error {
				err := insertNote(ctx, tx, 1)
				require.ErrorIs(t, err, sqldb.ErrConflict)
				return err
			},
			"no table": func(tx *sqldb.Tx) error {
				err := tx.QueryRow(ctx, "SELECT id FROM letter").Scan(&n)
				require.ErrorIs(t, err, sqldb.ErrSchema)
				return err
			},
			"no column": func(tx *sqldb.Tx) error {
				err := tx.QueryRow(ctx, "SELECT author FROM note").Scan(&n)
				require.ErrorIs(t, err, sqldb.ErrSchema)
				return err
			},
			"no row": func(tx *sqldb.Tx) error {
				err := tx.QueryRow(ctx, "SELECT id FROM note WHERE id = 99").Scan(&n)
				require.ErrorIs(t, err, sqldb.ErrNoRows)
				return err
			},
			"scan of text into number": func(tx *sqldb.Tx) error {
				return tx.QueryRow(ctx, "SELECT body FROM note").Scan(&n)
			},
			"unknown table": func(tx *sqldb.Tx) error {
				_, err := tx.Exec(ctx, "INSERT INTO nowhere VALUES (?)", secret)
				return err
			},
			"cast": func(tx *sqldb.Tx) error {
				if tx.Dialect() == sqldb.SQLite {
					return errors.New("SQLite casts anything")
				}
				_, err := tx.Exec(ctx, "UPDATE note SET x = CAST(body AS double precision)")
				return err
			},
			"wrong type of argument": func(tx *sqldb.Tx) error {
				_, err := tx.Exec(ctx, "INSERT INTO note (id, day) VALUES (2, ?)", struct{ S string }{secret})
				return err
			},
			"wrong width": func(tx *sqldb.Tx) error {
				_, err := tx.Insert(ctx, "note", []string{"id", "body"}, func(yield func([]any) bool) { yield([]any{3, "x", secret}) })
				return err
			},
		} {
			err := db.Write(ctx, f)
			require.Error(t, err, name)
			require.NotContains(t, err.Error(), secret, name)
		}
	})
}

func notes(from, n int64) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		row := make([]any, 3)
		for id := from; id < from+n; id++ {
			row[0], row[1], row[2] = id, "body", sqldb.Date(id)
			if !yield(row) {
				return
			}
		}
	}
}

func TestInsert(t *testing.T) {
	t.Parallel()
	columns := []string{"id", "body", "day"}
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		migrated(t, db)
		ctx := t.Context()
		for _, n := range []int64{1, 99, 100, 101, 1234} {
			from := 10_000 * n
			require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
				got, err := tx.Insert(ctx, "note", columns, notes(from, n))
				require.Equal(t, n, got)
				return err
			}))
			// Half of these are there already.
			require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
				got, err := tx.InsertNew(ctx, "note", columns, notes(from+n/2, n))
				require.Equal(t, n/2, got)
				return err
			}))
			require.ErrorIs(t, db.Write(ctx, func(tx *sqldb.Tx) error {
				_, err := tx.Insert(ctx, "note", columns, notes(from, n+1))
				return err
			}), sqldb.ErrConflict)
		}
		require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
			got, err := tx.Insert(ctx, "note", columns, notes(0, 0))
			require.Zero(t, got)
			return err
		}))
	})
}

func TestAmongTakesAnyLength(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		migrated(t, db)
		ctx := t.Context()
		ids := make([]int64, 70_000)
		for i := range ids {
			ids[i] = int64(2 * i)
		}
		require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.Insert(ctx, "note", []string{"id", "body", "day"}, notes(0, 100))
			return err
		}))
		require.NoError(t, db.Read(ctx, func(tx *sqldb.Tx) error {
			for _, c := range []struct {
				ids  []int64
				want int
			}{{nil, 0}, {[]int64{7}, 1}, {ids, 50}} {
				var n int
				cond, arg := tx.Dialect().Among("id", c.ids)
				require.NoError(t, tx.QueryRow(ctx, "SELECT count(*) FROM note WHERE "+cond, arg).Scan(&n))
				require.Equal(t, c.want, n)
			}
			return nil
		}))
	})
}

func TestLockedDatabase(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	t.Run("sqlite, another process holds the writer", func(t *testing.T) {
		t.Parallel()
		dsn := "sqlite:" + filepath.Join(t.TempDir(), "test.db")
		first := migrated(t, sqltest.Open(t, dsn))
		second, err := sqldb.Open(ctx, sqldb.Config{DSN: dsn, LockWait: 20 * time.Millisecond})
		require.NoError(t, err)
		defer second.Close()
		require.NoError(t, first.Write(ctx, func(tx *sqldb.Tx) error {
			require.NoError(t, insertNote(ctx, tx, 1))
			require.ErrorIs(t, second.Write(ctx, func(*sqldb.Tx) error { return nil }), sqldb.ErrLocked)
			require.Zero(t, countNotes(t, second), "reading goes on")
			return nil
		}))
		require.NoError(t, second.Write(ctx, func(tx *sqldb.Tx) error { return insertNote(ctx, tx, 2) }))
		require.EqualValues(t, 2, countNotes(t, first))
	})
	t.Run("postgres, another transaction holds the lock", func(t *testing.T) {
		t.Parallel()
		dsn := sqltest.PostgresDSN(t)
		first := sqltest.Open(t, dsn)
		second, err := sqldb.Open(ctx, sqldb.Config{DSN: dsn, LockWait: 20 * time.Millisecond})
		require.NoError(t, err)
		defer second.Close()
		require.NoError(t, first.Write(ctx, func(tx *sqldb.Tx) error {
			require.NoError(t, tx.Lock(ctx, "budget"))
			require.ErrorIs(t, second.Write(ctx, func(tx *sqldb.Tx) error { return tx.Lock(ctx, "budget") }), sqldb.ErrLocked)
			return second.Write(ctx, func(tx *sqldb.Tx) error { return tx.Lock(ctx, "another") })
		}))
		require.NoError(t, second.Write(ctx, func(tx *sqldb.Tx) error { return tx.Lock(ctx, "budget") }))
	})
}

func TestLockMakesReadThenWriteSafe(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		migrated(t, db)
		ctx := t.Context()
		const workers, each = 4, 10
		var wg sync.WaitGroup
		errs := make(chan error, workers)
		for range workers {
			wg.Go(func() {
				for range each {
					if err := db.Write(ctx, func(tx *sqldb.Tx) error {
						if err := tx.Lock(ctx, "next"); err != nil {
							return err
						}
						var next int64
						if err := tx.QueryRow(ctx, "SELECT coalesce(max(id), 0) + 1 FROM note").Scan(&next); err != nil {
							return err
						}
						return insertNote(ctx, tx, next)
					}); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		require.EqualValues(t, workers*each, countNotes(t, db))
	})
}

func TestCollectors(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		reg := prometheus.NewPedanticRegistry()
		reg.MustRegister(db.Collectors()...)
		require.NoError(t, db.Ping(t.Context()))
		require.Error(t, db.Write(t.Context(), func(*sqldb.Tx) error { return sqldb.ErrLocked }))
		families, err := reg.Gather()
		require.NoError(t, err)
		names := map[string]bool{}
		for _, f := range families {
			names[f.GetName()] = true
		}
		require.Len(t, names, 3)
		require.Contains(t, names, "trialmesh_sqldb_transaction_failures_total")
	})
}
