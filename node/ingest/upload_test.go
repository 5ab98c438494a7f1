package ingest_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// send brings content bit by bit, sometimes breaking off, until its job is there. Now
// and then the process dies and is there again.
func send(t testing.TB, s *site, again func() *site, content []byte) ingest.Upload {
	t.Helper()
	random := rand.New(rand.NewPCG(1, uint64(len(content))))
	u, err := s.CreateUpload(t.Context(), "", "f.ndjson", "", int64(len(content)))
	require.NoError(t, err)
	for id := u.ID; u.Job == 0; {
		if random.IntN(3) == 0 {
			s = again()
		}
		u, err = s.Upload(t.Context(), id)
		require.NoError(t, err)
		n := random.Int64N(u.Size - u.Offset + 1)
		part := io.Reader(bytes.NewReader(content[u.Offset : u.Offset+n]))
		if random.IntN(3) == 0 {
			_, err = s.AppendUpload(t.Context(), id, u.Offset, io.MultiReader(part, iotest.ErrReader(io.ErrUnexpectedEOF)))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			continue // also after the last byte: who asks then gets the job
		}
		after, err := s.AppendUpload(t.Context(), id, u.Offset, part)
		require.NoError(t, err)
		require.Equal(t, u.Offset+n, after.Offset)
		u = after
	}
	return u
}

func TestAnUploadInPartsIsLoadedOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		dir := t.TempDir()
		again := func() *site {
			s, err := openSite(t.Context(), db, dir)
			require.NoError(t, err)
			return s
		}
		s := again()
		content := []byte(patient + "\n" + weight("w1") + "\n" + weight("w2") + "\n")
		u := send(t, s, again, content)
		require.Equal(t, raw.Digest(sha256.Sum256(content)), u.File)
		require.Equal(t, u.Job, s.accept(t, "whole", content), "the same content at once is the same job")
		job, err := s.Job(t.Context(), u.Job)
		require.NoError(t, err)
		require.Equal(t, "f.ndjson", job.Name)
		require.EqualValues(t, len(content), job.BytesTotal)
		left, err := filepath.Glob(filepath.Join(dir, "raw", "partial", "*"))
		require.NoError(t, err)
		require.Empty(t, left, "parts that were put together are gone")
		list, err := s.Jobs(t.Context(), 0, 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
	})
}

// TestAnUploadCountsAsWholeOnlyWithItsJob: the process dies after the last byte is
// durable and before the job is. Whoever asks then must not be told that all is done.
func TestAnUploadCountsAsWholeOnlyWithItsJob(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		dir := t.TempDir()
		s, err := openSite(t.Context(), db, dir)
		require.NoError(t, err)
		u, err := s.CreateUpload(t.Context(), "", "f", "", int64(len(patient)))
		require.NoError(t, err)
		files, err := raw.Open(raw.Config{Dir: filepath.Join(dir, "raw"), KeyFile: filepath.Join(dir, "raw.key")})
		require.NoError(t, err)
		_, err = files.Partial(u.ID).Append(t.Context(), 0, strings.NewReader(patient), u.Size) // and there it died
		require.NoError(t, err)
		got, err := s.Upload(t.Context(), u.ID)
		require.NoError(t, err)
		require.NotZero(t, got.Job)
		require.Equal(t, u.Size, got.Offset)
		_, err = s.Job(t.Context(), got.Job)
		require.NoError(t, err)
		same, err := s.Upload(t.Context(), u.ID)
		require.NoError(t, err)
		require.Equal(t, got, same)
	})
}

func TestWhatAnUploadRefuses(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSite(t, sqltest.SQLite(t), func(c *ingest.Config, _ *jobs.Config) {
		c.MaxFile, c.MaxUploads, c.Now = 1000, 2, func() time.Time { return now }
	})
	ctx := t.Context()
	for name, c := range map[string]struct {
		name, metadata string
		size           int64
		want           string
	}{
		"no byte":              {"f", "", 0, "empty"},
		"a byte too many":      {"f", "", 1001, "larger than the limit"},
		"a name of 256 bytes":  {strings.Repeat("n", 256), "", 1, "over 255 bytes"},
		"metadata of over 4KB": {"f", strings.Repeat("m", 4097), 1, "4,096"},
	} {
		_, err := s.CreateUpload(ctx, "", c.name, c.metadata, c.size)
		require.ErrorContains(t, err, c.want, name)
	}
	u, err := s.CreateUpload(ctx, "", "f", "", 4)
	require.NoError(t, err)
	_, err = s.AppendUpload(ctx, u.ID, 1, strings.NewReader("x"))
	require.ErrorIs(t, err, ingest.ErrUploadOffset)
	_, err = s.AppendUpload(ctx, u.ID, 0, strings.NewReader("12345"))
	require.ErrorIs(t, err, ingest.ErrUploadSize)

	// A request holds the upload while its body comes.
	body, feed := io.Pipe()
	first := make(chan error, 1)
	go func() {
		_, err := s.AppendUpload(ctx, u.ID, 0, body)
		first <- err
	}()
	_, err = feed.Write([]byte("1")) // it reads, so it has begun
	require.NoError(t, err)
	_, err = s.AppendUpload(ctx, u.ID, 0, strings.NewReader("1"))
	require.ErrorIs(t, err, ingest.ErrUploadBusy)
	require.ErrorIs(t, s.DropUpload(ctx, u.ID), ingest.ErrUploadBusy)
	require.NoError(t, feed.Close())
	require.NoError(t, <-first)

	_, err = s.CreateUpload(ctx, "", "f", "", 4)
	require.NoError(t, err)
	_, err = s.CreateUpload(ctx, "", "f", "", 4)
	require.ErrorIs(t, err, ingest.ErrUploads)
	open, err := s.Uploads(ctx)
	require.NoError(t, err)
	require.Len(t, open, 2)
	require.EqualValues(t, 1, open[0].Offset+open[1].Offset)
	require.NoError(t, s.DropUpload(ctx, u.ID))
	_, err = s.Upload(ctx, u.ID)
	require.ErrorIs(t, err, ingest.ErrUpload)
	_, err = s.CreateUpload(ctx, "", "f", "", 4)
	require.NoError(t, err, "there is room again")
}

func TestUploadsAndKeysExpire(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		now, dir := time.Now(), t.TempDir()
		s, err := openSite(t.Context(), db, dir, func(c *ingest.Config, _ *jobs.Config) {
			c.KeepUploads, c.Now = 24*time.Hour, func() time.Time { return now }
		})
		require.NoError(t, err)
		ctx := t.Context()
		u, err := s.CreateUpload(ctx, "key", "f", "", 10)
		require.NoError(t, err)
		_, err = s.AppendUpload(ctx, u.ID, 0, strings.NewReader("12345"))
		require.NoError(t, err)
		stray := filepath.Join(dir, "raw", "partial", raw.PartialID{7}.String()) // of an upload that was dropped by a process that died
		require.NoError(t, os.Mkdir(stray, 0o700))

		now = now.Add(24*time.Hour - time.Second)
		require.NoError(t, s.CleanUploads(ctx))
		require.NoDirExists(t, stray)
		u, err = s.Upload(ctx, u.ID)
		require.NoError(t, err)
		require.EqualValues(t, 5, u.Offset)
		_, err = s.CreateUpload(ctx, "key", "f", "", 11)
		require.ErrorIs(t, err, ingest.ErrKeyUsed)

		now = now.Add(time.Second)
		_, err = s.Upload(ctx, u.ID)
		require.ErrorIs(t, err, ingest.ErrUploadExpired)
		require.NoError(t, s.CleanUploads(ctx))
		_, err = s.Upload(ctx, u.ID)
		require.ErrorIs(t, err, ingest.ErrUpload)
		require.NoDirExists(t, filepath.Join(dir, "raw", "partial", u.ID.String()))
		_, err = s.CreateUpload(ctx, "key", "f", "", 11)
		require.NoError(t, err)
	})
}

// brokenReader fails after what it has.
func brokenReader(text string) io.Reader {
	return io.MultiReader(strings.NewReader(text), iotest.ErrReader(errors.New("gone")))
}

func TestAKeyGivesTheSameAnswer(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.run(t)
		ctx := t.Context()
		accept := func(key ingest.Key, content string) (ingest.JobID, error) {
			_, id, err := s.AcceptOnce(ctx, key, "f", strings.NewReader(content))
			return id, err
		}
		orphan := weight("w1")
		first, err := accept("a", orphan)
		require.NoError(t, err)
		require.Equal(t, ingest.WithProblems, s.ended(t, first).State)
		same, err := accept("a", orphan)
		require.NoError(t, err)
		require.Equal(t, first, same, "also of a load that had problems")
		other, err := accept("b", orphan)
		require.NoError(t, err)
		require.NotEqual(t, first, other, "a new key is a new request")
		_, err = accept("a", patient)
		require.ErrorIs(t, err, ingest.ErrKeyUsed)
		_, err = s.CreateUpload(ctx, "a", "f", "", 10)
		require.ErrorIs(t, err, ingest.ErrKeyUsed)
		_, _, err = s.AcceptOnce(ctx, "c", "f", brokenReader(patient))
		require.ErrorContains(t, err, "gone")
		_, err = accept("c", patient)
		require.NoError(t, err, "a request that broke off takes no key")

		up, err := s.CreateUpload(ctx, "u", "f", "filename Zg==", 10)
		require.NoError(t, err)
		sameUp, err := s.CreateUpload(ctx, "u", "f", "filename Zg==", 10)
		require.NoError(t, err)
		require.Equal(t, up, sameUp)
		_, err = s.CreateUpload(ctx, "u", "f", "filename Zw==", 10)
		require.ErrorIs(t, err, ingest.ErrKeyUsed)
		require.NoError(t, s.DropUpload(ctx, up.ID))
		newUp, err := s.CreateUpload(ctx, "u", "f", "filename Zg==", 10)
		require.NoError(t, err)
		require.NotEqual(t, up.ID, newUp.ID, "dropping an upload frees its key")

		body, feed := io.Pipe()
		under := make(chan error, 1)
		go func() {
			_, _, err := s.AcceptOnce(ctx, "d", "f", body)
			under <- err
		}()
		_, err = feed.Write([]byte("x"))
		require.NoError(t, err)
		_, err = accept("d", "x")
		require.ErrorIs(t, err, ingest.ErrKeyBusy)
		require.NoError(t, feed.Close())
		require.NoError(t, <-under)
		_, err = accept("d", "x")
		require.NoError(t, err)
	})
}
