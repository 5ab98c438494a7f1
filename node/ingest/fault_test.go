package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/ingest"
)

func TestFullDiskRefusesAndRecovers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=12m"); err != nil {
		t.Skipf("no small file system to be had: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + filepath.Join(dir, "site.db")})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() }) // before the folder is gone
	s, err := openSite(t.Context(), db, dir)
	require.NoError(t, err)
	s.run(t)

	ballast := filepath.Join(dir, "ballast")
	var refused []int
	files := bundles(t, 20)
	known := map[ingest.JobID]bool{}
	for i, f := range files {
		if i == 2 { // what is in the way until an operator makes room
			require.ErrorIs(t, fill(ballast), syscall.ENOSPC)
		}
		_, id, err := s.Accept(t.Context(), f.Name, bytes.NewReader(f.Data))
		if err != nil {
			require.ErrorIs(t, err, sqldb.ErrFull)
			refused = append(refused, i)
			if len(refused) == 3 {
				break
			}
			continue
		}
		known[id] = true
	}
	require.Len(t, refused, 3, "the disk is full")
	require.NoError(t, os.Remove(ballast))
	for _, i := range refused {
		job := s.load(t, files[i].Name, files[i].Data)
		require.Equal(t, ingest.Completed, job.State, job.Error)
	}
	for id := range known {
		job := s.ended(t, id)
		if job.State == ingest.Dead { // its attempts ran out while there was no room
			require.NoError(t, s.Retry(t.Context(), id))
			job = s.ended(t, id)
		}
		require.Equal(t, ingest.Completed, job.State, job.Error)
	}
	require.EqualValues(t, len(known)+len(refused), s.counts(t)[omop.PersonTable])
}

// TestFullDiskHoldsJobs: jobs that were accepted wait for room, the service says
// so, and they go on by themselves.
func TestFullDiskHoldsJobs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("no small file system to be had: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + filepath.Join(dir, "site.db")})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() }) // before the folder is gone
	begun, full := make(chan struct{}, 100), make(chan struct{})
	var armed atomic.Bool
	s, err := openSite(t.Context(), db, dir, func(c *ingest.Config, _ *jobs.Config) {
		c.Now = func() time.Time {
			if armed.Load() { // a job begins, or the cleaning of uploads does, which asks once
				begun <- struct{}{}
				<-full
			}
			return time.Now()
		}
	})
	require.NoError(t, err)
	var ids []ingest.JobID
	for _, f := range bundles(t, 6) {
		ids = append(ids, s.accept(t, f.Name, f.Data))
	}
	armed.Store(true)
	s.run(t)
	<-begun
	<-begun
	ballast := filepath.Join(dir, "ballast")
	require.ErrorIs(t, fill(ballast), syscall.ENOSPC)
	armed.Store(false)
	close(full)
	require.Eventually(t, func() bool { return errors.Is(s.Held(), sqldb.ErrFull) }, time.Minute, 5*time.Millisecond)
	require.NoError(t, os.Remove(ballast))
	for _, id := range ids {
		job := s.ended(t, id)
		require.Equal(t, ingest.Completed, job.State, job.Error)
		require.Equal(t, 1, job.Attempt, "no room is no failure of the job")
	}
	require.Eventually(t, func() bool { return s.Held() == nil }, time.Minute, 5*time.Millisecond)
}

// fill writes until there is no room.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return err
		}
	}
}

func TestLockedDatabaseRefusesAndRecovers(t *testing.T) {
	t.Parallel()
	path := "sqlite:" + filepath.Join(t.TempDir(), "site.db")
	open := func(wait time.Duration) *sqldb.DB {
		db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: path, LockWait: wait})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db
	}
	s := newSite(t, open(20*time.Millisecond), func(_ *ingest.Config, q *jobs.Config) { q.Attempts = 100 })
	files := bundles(t, 3)
	s.run(t)
	require.Equal(t, ingest.Completed, s.load(t, files[2].Name, files[2].Data).State) // the queue is at work
	waiting := s.accept(t, files[0].Name, files[0].Data)

	locked, release, gone := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	other := open(30 * time.Second)
	go func() {
		gone <- other.Write(context.WithoutCancel(t.Context()), func(*sqldb.Tx) error {
			close(locked)
			<-release
			return nil
		})
	}()
	<-locked
	_, _, err := s.Accept(t.Context(), files[1].Name, bytes.NewReader(files[1].Data))
	require.ErrorIs(t, err, sqldb.ErrLocked)
	close(release)
	require.NoError(t, <-gone)

	require.Equal(t, ingest.Completed, s.ended(t, waiting).State)
	require.Equal(t, ingest.Completed, s.load(t, files[1].Name, files[1].Data).State)
	require.EqualValues(t, 3, s.counts(t)[omop.PersonTable])
}

func TestDamagedRawCopyIsDeadAndRevived(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		dir := t.TempDir()
		log, err := audit.Open(t.Context(), db, discard)
		require.NoError(t, err)
		s, err := openSite(t.Context(), db, dir, func(c *ingest.Config, _ *jobs.Config) { c.Trail = log })
		require.NoError(t, err)
		file, id, err := s.Accept(t.Context(), "a", bytes.NewReader([]byte(patient)))
		require.NoError(t, err)
		path := filepath.Join(dir, "raw", file.String()[:2], file.String()[2:])
		copied, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.Chmod(path, 0o600))
		require.NoError(t, os.WriteFile(path, append([]byte{1}, copied[1:]...), 0o600))
		s.run(t)
		job := s.ended(t, id)
		require.Equal(t, ingest.Dead, job.State)
		require.Equal(t, 1, job.Attempt, "no further attempt would help")
		require.Contains(t, job.Error, raw.ErrDamaged.Error())

		require.NoError(t, os.WriteFile(path, copied, 0o600))
		again, revived, err := s.Accept(t.Context(), "a", bytes.NewReader([]byte(patient)))
		require.NoError(t, err)
		require.Equal(t, file, again)
		require.Equal(t, id, revived)
		job = s.ended(t, id)
		require.Equal(t, ingest.Completed, job.State, job.Error)
		require.Empty(t, job.Error)
		require.Error(t, s.Retry(t.Context(), id), "nothing to try again")

		require.Eventually(t, func() bool {
			records, err := log.Latest(t.Context(), 10)
			require.NoError(t, err)
			return len(records) == 2 && records[1].Rule == string(ingest.Dead) && records[0].Rule == string(ingest.Completed) &&
				records[0].Subject == file.String() && records[0].Event == audit.JobFinished
		}, time.Minute, 5*time.Millisecond)
	})
}

// failingTrail cannot be written so often; then it is the real one.
type failingTrail struct {
	*audit.Trail
	failures atomic.Int64
}

func (f *failingTrail) Add(ctx context.Context, tx *sqldb.Tx, r audit.Record) error {
	if f.failures.Add(-1) >= 0 {
		return errors.New("no trail")
	}
	return f.Trail.Add(ctx, tx, r)
}

// TestLoadEndsWithItsRecord: a load whose end cannot go on record has not ended.
func TestLoadEndsWithItsRecord(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		log, err := audit.Open(t.Context(), db, discard)
		require.NoError(t, err)
		trail := &failingTrail{Trail: log}
		trail.failures.Store(2)
		s := newSite(t, db, func(c *ingest.Config, _ *jobs.Config) { c.Trail = trail })
		s.run(t)
		job := s.load(t, "a", []byte(patient))
		require.Equal(t, ingest.Completed, job.State, job.Error)
		require.Equal(t, 3, job.Attempt)
		records, err := log.Latest(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, records, 1)
		require.Equal(t, string(ingest.Completed), records[0].Rule)
		require.EqualValues(t, 1, s.counts(t)[omop.PersonTable])
	})
}

func TestAcceptKeepsNothingOfABrokenSender(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqltest.SQLite(t), func(c *ingest.Config, _ *jobs.Config) { c.MaxFile = 100 })
	_, _, err := s.Accept(t.Context(), "large", bytes.NewReader(make([]byte, 101)))
	require.ErrorIs(t, err, raw.ErrTooLarge)
	broken := errors.New("connection lost")
	_, _, err = s.Accept(t.Context(), "cut", &failingReader{[]byte(patient)[:50], broken})
	require.ErrorIs(t, err, broken)
	list, err := s.Jobs(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Empty(t, list)
}

// failingReader gives data and then err.
type failingReader struct {
	data []byte
	err  error
}

func (r *failingReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, r.err
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}
