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
	"slices"
	"strconv"
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
	s, err := Open(Config{Dir: filepath.Join(dir, "raw"), KeyFile: newKey(t)})
	require.NoError(t, err)
	return s
}

func put(t testing.TB, s *Store, content []byte) Digest {
	t.Helper()
	d, size, _, err := s.Put(t.Context(), bytes.NewReader(content), noLimit, Origin{})
	require.NoError(t, err)
	require.EqualValues(t, len(content), size)
	require.Equal(t, Digest(sha256.Sum256(content)), d)
	return d
}

func read(s *Store, d Digest) ([]byte, error) {
	f, err := s.Open(context.Background(), d)
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

// path is that of a name in the folder of a store on a disk.
func (s *Store) path(d Digest) string { return filepath.Join(s.dir, Path(d)) }

func TestWhatIsPutComesBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		const mib = 1 << 20
		for _, n := range []int{0, 1, 4095, mib - 100, mib - 1, mib, mib + 1, 3*mib + 17} {
			content := random(n)
			got, err := read(s.Store, put(t, s.Store, content))
			require.NoError(t, err)
			require.True(t, bytes.Equal(content, got), "%d bytes", n)
		}
		rapid.Check(t, func(r *rapid.T) {
			content := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(r, "content")
			got, err := read(s.Store, put(t, s.Store, content))
			require.NoError(r, err)
			require.True(r, bytes.Equal(content, got))
		})
	})
}

func TestSameBytesAreKeptOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		content := random(10_000)
		d := put(t, s.Store, content)
		before := s.names(t)
		require.Len(t, before, 1)
		s.later(t, 100*time.Hour)
		again, size, existed, err := s.Put(t.Context(), iotest.OneByteReader(bytes.NewReader(content)), noLimit, Origin{Sender: "another"})
		require.NoError(t, err)
		require.True(t, existed)
		require.Equal(t, d, again)
		require.EqualValues(t, len(content), size)
		require.Equal(t, before, s.names(t))
		n, err := s.Sweep(t.Context())
		require.NoError(t, err)
		require.Zero(t, n, "it counts, however old it is")
		require.NoError(t, s.Verify(t.Context(), d))
	})
}

func TestSameBytesPutAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		content := random(100_000)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			another := Origin{Sender: strconv.Itoa(i % 2)}
			wg.Go(func() { _, _, _, errs[i] = s.Put(t.Context(), bytes.NewReader(content), noLimit, another) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		d := Digest(sha256.Sum256(content))
		require.NoError(t, s.Verify(t.Context(), d))
		s.later(t, 100*time.Hour)
		_, err := s.Sweep(t.Context())
		require.NoError(t, err)
		require.Len(t, s.names(t), 1)
		got, err := read(s.Store, d)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got))
	})
}

func TestFilesAreEncryptedAndPrivate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *site) {
		put(t, s.Store, []byte(strings.Repeat("Jane Doe, born 1931; ", 100)))
		require.NotContains(t, string(s.stored(t, s.names(t)[0])), "Jane")
		s.cfg.KeyFile = newKey(t)
		_, err := Open(s.cfg)
		require.ErrorIs(t, err, ErrDamaged, "under another key")
	})
	s := newStore(t)
	info, err := os.Stat(s.path(put(t, s, []byte("x"))))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func newKey(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other.key")
	require.NoError(t, CreateKey(path))
	return path
}

func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	each(t, damageIsFound)
}

func damageIsFound(t *testing.T, s *site) {
	content := random(2<<20 + 5)
	d := put(t, s.Store, content)
	file := s.names(t)[0]
	good := s.stored(t, file)
	put(t, s.Store, random(77))
	swapped := s.stored(t, slices.DeleteFunc(s.names(t), func(name string) bool { return name == file })[0])
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
		s.overwrite(t, file, bad)
		_, err := read(s.Store, d)
		require.ErrorIs(t, err, ErrDamaged, name)
		require.ErrorIs(t, s.Verify(t.Context(), d), ErrDamaged, name)
	}
	_, _, existed, err := s.Put(t.Context(), bytes.NewReader(content), noLimit, Origin{})
	require.NoError(t, err)
	require.False(t, existed, "a damaged copy is replaced")
	require.NoError(t, s.Verify(t.Context(), d))

	s.overwrite(t, file, swapped)
	s.later(t, 100*time.Hour)
	_, _, existed, err = s.Put(t.Context(), bytes.NewReader(content), noLimit, Origin{})
	require.NoError(t, err)
	require.False(t, existed, "also on another day")
	require.NoError(t, s.Verify(t.Context(), d))
	_, err = s.Sweep(t.Context())
	require.NoError(t, err)
	require.Len(t, s.names(t), 2, "the damaged one is gone")
	require.NotContains(t, s.names(t), file)
	require.NoError(t, s.Verify(t.Context(), d))

	_, err = s.Open(t.Context(), Digest{1})
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
			s := onDisk(t)
			_, _, _, err := s.Put(c.ctx, c.r, c.limit, Origin{})
			require.Error(t, err)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			}
			require.Empty(t, s.names(t))
			left, err := os.ReadDir(s.unfinished())
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
	s := newStore(t)
	_, _, _, err := s.Put(t.Context(), bytes.NewReader(random(1000)), 1000, Origin{})
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
		_, _, _, err := s.Put(t.Context(), bytes.NewReader(content), noLimit, Origin{})
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
		link:    func(a, by, b string) error { return f.step(func() error { return realDisk.link(a, by, b) }) },
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
	_, _, _, err := s.Put(t.Context(), bytes.NewReader(random(8<<20)), noLimit, Origin{})
	require.ErrorIs(t, err, sqldb.ErrFull)
	left, err := os.ReadDir(s.unfinished())
	require.NoError(t, err)
	require.Empty(t, left, "no partial file")
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
		_, _, _, err := s.Put(b.Context(), bytes.NewReader(content), noLimit, Origin{})
		require.NoError(b, err)
	}
}
