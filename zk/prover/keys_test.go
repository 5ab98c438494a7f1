package prover

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/verifier"
)

// minuteKeys are made once for the tests that only handle keys.
func minuteKeys(t testing.TB) *Keys {
	t.Helper()
	k, err := DevelopmentKeys(context.Background(), keyDir, minute)
	require.NoError(t, err)
	return k
}

func encode(t testing.TB, k *Keys) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := k.WriteTo(&b)
	require.NoError(t, err)
	require.Equal(t, k.Size(), n)
	return b.Bytes()
}

func TestDevelopmentKeysAreMadeOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := DevelopmentKeys(t.Context(), dir, minute)
	require.NoError(t, err)
	require.True(t, first.Development())
	require.Equal(t, minute, first.Circuit())

	again, err := DevelopmentKeys(t.Context(), dir, minute)
	require.NoError(t, err)
	require.Equal(t, first.Published(), again.Published())
	require.Equal(t, encode(t, first), encode(t, again))

	kept := entries(t, dir)
	require.Len(t, kept, 1, "nothing half-made is left: %v", kept)
	manifest, err := os.ReadFile(filepath.Join(dir, kept[0], manifestFile))
	require.NoError(t, err)
	require.Contains(t, string(manifest), `"origin": "development"`)
	require.Contains(t, string(manifest), `"circuit": "access-4x1x1"`)
	require.Contains(t, string(manifest), first.Published().ProvingDigest.String())
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range list {
		if entry.Name() != lockFile && entry.Name() != compiledFolder {
			names = append(names, entry.Name())
		}
	}
	return names
}

// Processes that start together on an empty folder: one makes the keys, the others
// wait. Locks belong to open files, so goroutines stand for processes here.
func TestOneSetupAtATimeInAFolder(t *testing.T) {
	t.Parallel()
	k := minuteKeys(t)
	shelf := shelf{dir: t.TempDir(), name: "keys"}
	unlock, err := shelf.lock()
	require.NoError(t, err)
	noSetup, cancel := context.WithCancel(t.Context())
	cancel()
	const others = 8
	var wait sync.WaitGroup
	errs := make([]error, others)
	for i := range others {
		wait.Go(func() { _, errs[i] = shelf.make(noSetup, minute, k.system) })
	}
	require.NoError(t, shelf.save(k))
	unlock()
	wait.Wait()
	require.NoError(t, errors.Join(errs...), "those who wait find the keys and need no setup")
}

func TestDamagedKeysAreNoticed(t *testing.T) {
	t.Parallel()
	k := minuteKeys(t)
	write := func(name string, data []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
		}
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, name))) }
	}
	for name, damage := range map[string]func(t *testing.T, dir string){
		"a bit of the proving key":   func(t *testing.T, dir string) { flipByte(t, filepath.Join(dir, provingFile), 5000) },
		"a bit of the verifying key": func(t *testing.T, dir string) { flipByte(t, filepath.Join(dir, verifyingFile), 70) },
		"proving key cut short":      write(provingFile, encode(t, k)[:1000]),
		"proving key empty":          write(provingFile, nil),
		"proving key missing":        remove(provingFile),
		"verifying key missing":      remove(verifyingFile),
		"verifying key too long":     write(verifyingFile, make([]byte, maxVerifying+1)),
		"manifest missing":           remove(manifestFile),
		"manifest is no JSON":        write(manifestFile, []byte("{")),
		"manifest too long":          write(manifestFile, make([]byte, maxManifest+1)),
		"manifest of another time":   write(manifestFile, []byte(`{"version":2}`)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shelf := shelf{dir: t.TempDir(), name: "keys"}
			_, err := shelf.load(minute, k.system)
			require.ErrorIs(t, err, errNoKeys)
			require.NoError(t, shelf.save(k))
			_, err = shelf.load(minute, k.system)
			require.NoError(t, err)
			damage(t, shelf.path())
			_, err = shelf.load(minute, k.system)
			require.ErrorIs(t, err, ErrKeys)
		})
	}
}

func TestDevelopmentKeysReplaceDamagedOnes(t *testing.T) {
	t.Parallel()
	k := minuteKeys(t)
	shelf := shelf{dir: t.TempDir(), name: entriesWith(t, keyDir, minute.String())}
	require.NoError(t, shelf.save(k))
	flipByte(t, filepath.Join(shelf.path(), provingFile), 5000)

	after, err := DevelopmentKeys(t.Context(), shelf.dir, minute)
	require.NoError(t, err)
	require.NotEqual(t, k.Published().ProvingDigest, after.Published().ProvingDigest, "a setup is random")
	require.Equal(t, []string{shelf.name}, entries(t, shelf.dir))
	again, err := DevelopmentKeys(t.Context(), shelf.dir, minute)
	require.NoError(t, err)
	require.Equal(t, after.Published(), again.Published())
}

func flipByte(t *testing.T, path string, at int) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[at] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o600))
}

// CachedKeys takes no lock, so two processes can meet in save.
func TestTheFirstKeysSavedStay(t *testing.T) {
	t.Parallel()
	k := minuteKeys(t)
	shelf := shelf{dir: t.TempDir(), name: "keys"}
	const racers = 4
	var wait sync.WaitGroup
	errs := make([]error, racers)
	for i := range racers {
		wait.Go(func() { errs[i] = shelf.save(k) })
	}
	wait.Wait()
	require.NoError(t, errors.Join(errs...))

	late := *k
	late.published.Development = false
	require.NoError(t, shelf.save(&late))
	kept, err := shelf.load(minute, k.system)
	require.NoError(t, err)
	require.True(t, kept.Development(), "those of the first")
	require.Equal(t, []string{"keys"}, entries(t, shelf.dir))
}

func TestDevelopmentKeysHeedTheContextAndTheDisk(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	_, err := DevelopmentKeys(ctx, dir, minute)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, entries(t, dir))

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = DevelopmentKeys(t.Context(), file, minute)
	require.ErrorContains(t, err, "not a directory")

	_, err = DevelopmentKeys(t.Context(), dir, circuits.Circuit{})
	require.Error(t, err)
}

func TestReadKeys(t *testing.T) {
	t.Parallel()
	k := minuteKeys(t)
	raw := encode(t, k)
	back, err := ReadKeys(k.Published(), bytes.NewReader(raw))
	require.NoError(t, err)
	require.Equal(t, k.Published(), back.Published())
	require.Equal(t, raw, encode(t, back))

	other := k.Published()
	other.Circuit = circuits.Shape{ShardSize: 4, Shards: 2, Slots: 1}.Access()
	sameInputs := other
	sameInputs.Circuit = small.Access()
	wrongKey := k.Published()
	wrongKey.VerifyingKey = wrongKey.VerifyingKey[1:]
	for name, c := range map[string]struct {
		published Published
		stream    io.Reader
		want      error
	}{
		"nothing":                {k.Published(), strings.NewReader(""), ErrKeys},
		"cut short":              {k.Published(), bytes.NewReader(raw[:len(raw)-1]), ErrKeys},
		"one byte too many":      {k.Published(), io.MultiReader(bytes.NewReader(raw), strings.NewReader("x")), ErrKeys},
		"another circuit":        {other, bytes.NewReader(raw), ErrKeys},
		"a larger circuit":       {sameInputs, bytes.NewReader(raw), ErrKeys},
		"verifying key is short": {wrongKey, bytes.NewReader(raw), verifier.ErrKey},
		"a stream that fails":    {k.Published(), io.MultiReader(bytes.NewReader(raw[:100]), failing{}), errFailing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ReadKeys(c.published, c.stream)
			require.ErrorIs(t, err, c.want)
		})
	}
}

var errFailing = errors.New("connection reset")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errFailing }

// endless would fill the memory of a reader without limits.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.read += int64(len(p))
	return len(p), nil
}

func TestReadKeysReadsNoMoreThanAKeyCanHave(t *testing.T) {
	t.Parallel()
	k := minuteKeys(t)
	source := &endless{}
	_, err := ReadKeys(k.Published(), source)
	require.ErrorIs(t, err, ErrKeys)
	require.LessOrEqual(t, source.read, 2*newLayout(k.system.R1CS).maxSize())
}

// A publisher may lie in a key and publish the digest of the lie.
func TestReadKeysRefusesALyingPublisher(t *testing.T) {
	t.Parallel()
	k := minuteKeys(t)
	raw := encode(t, k)
	l := newLayout(k.system.R1CS)
	firstVector := len(l.domain) + 3*g1Size
	for name, change := range map[string]func(b []byte){
		"a vector of 2^32-1 points": func(b []byte) { binary.BigEndian.PutUint32(b[firstVector:], 1<<32-1) },
		"a vector one short":        func(b []byte) { b[firstVector+3]-- },
		"an FFT of 2^63 points":     func(b []byte) { b[0] = 0x80 },
		"another root of unity":     func(b []byte) { b[60] ^= 1 },
		"a compressed point":        func(b []byte) { b[firstVector+4] |= 0x80 },
		"a point off the curve":     func(b []byte) { b[firstVector+4+g1Size-1] ^= 1 },
		"commitment keys":           func(b []byte) { b[len(b)-1] = 1 },
		"an absent wire too many":   func(b []byte) { b[len(b)-5] ^= 1 },
		"more wires":                func(b []byte) { b[len(b)-4-2*l.wires-24+7]++ },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lie := bytes.Clone(raw)
			change(lie)
			p := k.Published()
			p.ProvingDigest = message.Sum(lie)
			_, err := readKeys(p, k.system, bytes.NewReader(lie), (*groth16.ProvingKey).ReadFrom)
			require.ErrorIs(t, err, ErrKeys)
		})
	}
}

func FuzzProvingKeyLayout(f *testing.F) {
	k, err := DevelopmentKeys(context.Background(), keyDir, minute)
	require.NoError(f, err)
	l, raw := newLayout(k.system.R1CS), encode(f, k)
	f.Add(0, []byte{})
	f.Add(len(l.domain)+3*g1Size, []byte{0xff, 0xff, 0xff, 0xff})
	f.Add(len(raw)-4, []byte{0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, at int, patch []byte) {
		b := bytes.Clone(raw)
		if at >= 0 && at < len(b) {
			copy(b[at:], patch)
		}
		if l.check(b) == nil {
			require.Len(t, b, len(raw))
		}
		_ = l.check(patch)
	})
}

func TestCachedKeysFetchOnce(t *testing.T) {
	t.Parallel()
	k := minuteKeys(t)
	raw := encode(t, k)
	dir := t.TempDir()
	fetches, closes := 0, 0
	fetch := func(context.Context) (io.ReadCloser, error) {
		fetches++
		return closer{bytes.NewReader(raw), &closes}, nil
	}
	for range 2 {
		got, err := CachedKeys(t.Context(), dir, k.Published(), fetch)
		require.NoError(t, err)
		require.Equal(t, k.Published(), got.Published())
	}
	require.Equal(t, 1, fetches)

	flipByte(t, filepath.Join(dir, entries(t, dir)[0], provingFile), 5000)
	_, err := CachedKeys(t.Context(), dir, k.Published(), fetch)
	require.NoError(t, err)
	require.Equal(t, 2, fetches, "what was damaged is fetched again")

	real := k.Published()
	real.Development = false
	got, err := CachedKeys(t.Context(), dir, real, fetch)
	require.NoError(t, err)
	require.False(t, got.Development())
	require.Equal(t, 3, fetches, "another account of the same key is not believed from disk")
	require.Equal(t, fetches, closes)
	require.Len(t, entries(t, dir), 1)
}

type closer struct {
	io.Reader
	closes *int
}

func (c closer) Close() error { *c.closes++; return nil }

func TestCachedKeysKeepNothingThatDoesNotFit(t *testing.T) {
	t.Parallel()
	k := minuteKeys(t)
	dir, closes := t.TempDir(), 0
	_, err := CachedKeys(t.Context(), dir, k.Published(), func(context.Context) (io.ReadCloser, error) {
		return closer{strings.NewReader("no key"), &closes}, nil
	})
	require.ErrorIs(t, err, ErrKeys)
	require.Equal(t, 1, closes)
	_, err = CachedKeys(t.Context(), dir, k.Published(), func(context.Context) (io.ReadCloser, error) { return nil, errFailing })
	require.ErrorIs(t, err, errFailing)
	require.Empty(t, entries(t, dir))
}

// Keys made by DevelopmentKeys stay what they are after a journey.
func TestDevelopmentTravelsWithTheKeys(t *testing.T) {
	t.Parallel()
	k := minuteKeys(t)
	dir, closes := t.TempDir(), 0
	got, err := CachedKeys(t.Context(), dir, k.Published(), func(context.Context) (io.ReadCloser, error) {
		return closer{bytes.NewReader(encode(t, k)), &closes}, nil
	})
	require.NoError(t, err)
	require.True(t, got.Development())
	manifest, err := os.ReadFile(filepath.Join(dir, entries(t, dir)[0], manifestFile))
	require.NoError(t, err)
	require.Contains(t, string(manifest), developmentNote)
}

func TestSetupRefusesAnotherOrigin(t *testing.T) {
	t.Parallel()
	k := minuteKeys(t)
	dir := t.TempDir()
	ceremony := *k
	ceremony.published.Development = false
	name := entriesWith(t, keyDir, minute.String())
	require.NoError(t, shelf{dir: dir, name: name}.save(&ceremony))
	_, err := DevelopmentKeys(t.Context(), dir, minute)
	require.ErrorContains(t, err, "another origin")
}

func entriesWith(t *testing.T, dir, prefix string) string {
	t.Helper()
	for _, name := range entries(t, dir) {
		if strings.HasPrefix(name, prefix+"-") {
			return name
		}
	}
	require.Fail(t, "no keys", prefix)
	return ""
}
