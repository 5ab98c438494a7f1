package raw

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

const noLimit = 1 << 40

func newStore(t testing.TB) *Store {
	t.Helper()
	return storeIn(t, t.TempDir())
}

func storeIn(t testing.TB, dir string) *Store {
	t.Helper()
	key := filepath.Join(t.TempDir(), "raw.key")
	require.NoError(t, CreateKey(key))
	s, err := Open(Config{Dir: filepath.Join(dir, "raw"), KeyFile: key})
	require.NoError(t, err)
	return s
}

func put(t testing.TB, s *Store, content []byte) Digest {
	t.Helper()
	d, size, _, err := s.Put(t.Context(), bytes.NewReader(content), noLimit)
	require.NoError(t, err)
	require.EqualValues(t, len(content), size)
	require.Equal(t, Digest(sha256.Sum256(content)), d)
	return d
}

func read(s *Store, d Digest) ([]byte, error) {
	f, err := s.Open(d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// random is n bytes that compress badly and are the same every time.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// files are the paths of all files below the store's folder.
func files(t testing.TB, s *Store) (out []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(s.dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			out = append(out, path)
		}
		return err
	}))
	return out
}

func TestWhatIsPutComesBack(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	const mib = 1 << 20
	for _, n := range []int{0, 1, 4095, mib - 100, mib - 1, mib, mib + 1, 3*mib + 17} {
		content := random(n)
		got, err := read(s, put(t, s, content))
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got), "%d bytes", n)
	}
	rapid.Check(t, func(r *rapid.T) {
		content := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(r, "content")
		got, err := read(s, put(t, s, content))
		require.NoError(r, err)
		require.True(r, bytes.Equal(content, got))
	})
}

func TestSameBytesAreKeptOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	content := random(10_000)
	d := put(t, s, content)
	again, size, existed, err := s.Put(t.Context(), iotest.OneByteReader(bytes.NewReader(content)), noLimit)
	require.NoError(t, err)
	require.True(t, existed)
	require.Equal(t, d, again)
	require.EqualValues(t, len(content), size)
	require.Equal(t, []string{s.path(d)}, files(t, s))
}

func TestSameBytesPutAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	content := random(100_000)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { _, _, _, errs[i] = s.Put(t.Context(), bytes.NewReader(content), noLimit) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Len(t, files(t, s), 1)
	got, err := read(s, Digest(sha256.Sum256(content)))
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
}

func TestFilesAreEncryptedAndPrivate(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	d := put(t, s, []byte(strings.Repeat("Jane Doe, born 1931; ", 100)))
	stored, err := os.ReadFile(s.path(d))
	require.NoError(t, err)
	require.NotContains(t, string(stored), "Jane")
	info, err := os.Stat(s.path(d))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	other, err := Open(Config{Dir: s.dir, KeyFile: newKey(t)})
	require.NoError(t, err)
	_, err = read(other, d)
	require.ErrorIs(t, err, ErrDamaged, "under another key")
}

func newKey(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other.key")
	require.NoError(t, CreateKey(path))
	return path
}

func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	content := random(2<<20 + 5)
	d := put(t, s, content)
	good, err := os.ReadFile(s.path(d))
	require.NoError(t, err)
	other := put(t, s, random(77))
	swapped, err := os.ReadFile(s.path(other))
	require.NoError(t, err)
	for name, bad := range map[string][]byte{
		"first bit":       flip(good, 0),
		"salt":            flip(good, 10),
		"middle":          flip(good, len(good)/2),
		"last bit":        flip(good, len(good)-1),
		"cut by a byte":   good[:len(good)-1],
		"cut at segment":  good[:1<<20],
		"empty":           {},
		"a byte more":     append(bytes.Clone(good), 0),
		"another's bytes": swapped,
	} {
		require.NoError(t, os.WriteFile(s.path(d), bad, 0o600))
		_, err := read(s, d)
		require.ErrorIs(t, err, ErrDamaged, name)
		require.ErrorIs(t, s.Verify(t.Context(), d), ErrDamaged, name)
	}
	_, _, existed, err := s.Put(t.Context(), bytes.NewReader(content), noLimit)
	require.NoError(t, err)
	require.False(t, existed, "a damaged copy is replaced")
	require.NoError(t, s.Verify(t.Context(), d))

	_, err = s.Open(Digest{1})
	require.ErrorIs(t, err, ErrNotFound)
}

func flip(b []byte, i int) []byte {
	out := bytes.Clone(b)
	out[i] ^= 1
	return out
}

func TestNothingIsKeptOfWhatFails(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		r     io.Reader
		limit int64
		want  error
	}{
		"too large by a byte": {t.Context(), bytes.NewReader(random(1001)), 1000, ErrTooLarge},
		"endless":             {t.Context(), endless{}, 3 << 20, ErrTooLarge},
		"reader fails":        {t.Context(), io.MultiReader(bytes.NewReader(random(2<<20)), iotest.ErrReader(boom)), noLimit, boom},
		"canceled":            {canceled, bytes.NewReader(random(10)), noLimit, context.Canceled},
		"negative limit":      {t.Context(), bytes.NewReader(nil), -1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			_, _, _, err := s.Put(c.ctx, c.r, c.limit)
			require.Error(t, err)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			}
			require.Empty(t, files(t, s))
		})
	}
	s := newStore(t)
	_, _, _, err := s.Put(t.Context(), bytes.NewReader(random(1000)), 1000)
	require.NoError(t, err, "just fits")
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// Every step on the disk fails once, before and after it took hold.
func TestEveryStepMayFail(t *testing.T) {
	t.Parallel()
	content := random(2 << 20)
	for step := 0; ; step++ {
		s := newStore(t)
		f := &failing{at: step}
		s.disk = f.disk()
		_, _, _, err := s.Put(t.Context(), bytes.NewReader(content), noLimit)
		s.disk = realDisk
		if !f.failed {
			require.NoError(t, err)
			require.Greater(t, step, 10, "all steps were tried")
			return
		}
		require.ErrorIs(t, err, sqldb.ErrFull, "step %d", step)
		unfinished, err := os.ReadDir(s.unfinished())
		require.NoError(t, err)
		require.Empty(t, unfinished, "step %d", step)
		if err := s.Verify(t.Context(), Digest(sha256.Sum256(content))); err != nil {
			require.ErrorIs(t, err, ErrNotFound, "step %d: whole or not at all", step)
		}
		require.NoError(t, s.Verify(t.Context(), put(t, s, content)), "step %d: and again", step)
	}
}

// failing makes step number at fail as on a full disk: even steps before they
// take hold, odd ones after.
type failing struct {
	at, n  int
	failed bool
}

func (f *failing) step(do func() error) error {
	if f.hit() {
		return syscall.ENOSPC
	}
	if err := do(); err != nil {
		return err
	}
	if f.hit() {
		return syscall.ENOSPC
	}
	return nil
}

func (f *failing) hit() bool {
	f.n++
	if f.n-1 == f.at {
		f.failed = true
		return true
	}
	return false
}

func (f *failing) disk() disk {
	return disk{
		create: func(dir string) (out file, err error) {
			if f.hit() {
				return nil, syscall.ENOSPC
			}
			out, err = realDisk.create(dir)
			return failingFile{out, f}, err
		},
		mkdir:   func(p string) error { return f.step(func() error { return realDisk.mkdir(p) }) },
		rename:  func(a, b string) error { return f.step(func() error { return realDisk.rename(a, b) }) },
		syncDir: func(p string) error { return f.step(func() error { return realDisk.syncDir(p) }) },
	}
}

type failingFile struct {
	file
	f *failing
}

func (w failingFile) Write(p []byte) (n int, err error) {
	err = w.f.step(func() error { n, err = w.file.Write(p); return err })
	return n, err
}
func (w failingFile) Sync() error { return w.f.step(w.file.Sync) }

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	s := storeIn(t, dir)
	small := put(t, s, random(1<<20))
	_, _, _, err := s.Put(t.Context(), bytes.NewReader(random(8<<20)), noLimit)
	require.ErrorIs(t, err, sqldb.ErrFull)
	require.Equal(t, []string{s.path(small)}, files(t, s), "no partial file")
	require.NoError(t, s.Verify(t.Context(), small))
	put(t, s, random(2<<20)) // there is room again
}

func TestLeftoversOfADeadProcessAreRemoved(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	now := time.Now()
	old, young := filepath.Join(s.unfinished(), "raw-1"), filepath.Join(s.unfinished(), "raw-2")
	for path, at := range map[string]time.Time{old: now.Add(-25 * time.Hour), young: now.Add(-time.Hour)} {
		require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
		require.NoError(t, os.Chtimes(path, at, at))
	}
	require.NoError(t, s.clean(now))
	require.NoFileExists(t, old)
	require.FileExists(t, young, "another process may be writing it")
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := newKey(t)
	info, err := os.Stat(key)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.ErrorIs(t, CreateKey(key), os.ErrExist, "a key is never overwritten")

	_, err = Open(Config{Dir: dir, KeyFile: filepath.Join(dir, "none")})
	require.ErrorIs(t, err, os.ErrNotExist)
	garbled := filepath.Join(dir, "garbled")
	require.NoError(t, os.WriteFile(garbled, []byte(`{"key":"s3cret`), 0o600))
	_, err = Open(Config{Dir: dir, KeyFile: garbled})
	require.ErrorContains(t, err, "not a Tink keyset")
	require.NotContains(t, err.Error(), "s3cret")
	require.NoError(t, os.Chmod(key, 0o640))
	_, err = Open(Config{Dir: dir, KeyFile: key})
	require.ErrorContains(t, err, "0600")
	_, err = Open(Config{KeyFile: newKey(t)})
	require.Error(t, err, "no folder")
}

func TestParseDigest(t *testing.T) {
	t.Parallel()
	d := Digest(sha256.Sum256(nil))
	got, err := ParseDigest(d.String())
	require.NoError(t, err)
	require.Equal(t, d, got)
	for _, bad := range []string{"", "00", d.String()[1:], d.String() + "00", "../../etc/passwd", strings.Repeat("g", 64)} {
		_, err := ParseDigest(bad)
		require.Error(t, err, bad)
	}
}

func BenchmarkPut(b *testing.B) {
	s := newStore(b)
	content := random(16 << 20)
	b.SetBytes(int64(len(content)))
	for i := range b.N {
		content[0], content[1], content[2] = byte(i), byte(i>>8), byte(i>>16) // never the same twice
		_, _, _, err := s.Put(b.Context(), bytes.NewReader(content), noLimit)
		require.NoError(b, err)
	}
}
