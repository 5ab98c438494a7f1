package ledger_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

func TestVerifySoundLog(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, 255, 256, 257, 512, 700} {
		files := exported(t, size)
		report, err := ledger.Verify(t.Context(), ledger.Dir(files), trusting(t, 2))
		require.NoError(t, err, "size %d", size)
		require.Equal(t, size, report.Checkpoint.Size)
		require.Equal(t, size, report.Entries)
		require.EqualValues(t, len(files)-1, report.Files, "all but the checkpoint")
		require.Equal(t, []string{"alpha.example.org", "beta.example.org"}, report.Checkpoint.Cosigners)
		require.Empty(t, report.Damage)
	}
}

// The central promise: one flipped bit anywhere is found, in the right file, at
// the right entry and byte.
func TestVerifyNamesFlippedBit(t *testing.T) {
	t.Parallel()
	files := exported(t, 700)
	paths := slices.Sorted(maps.Keys(files))
	trust := trusting(t, 2)
	rapid.Check(t, func(rt *rapid.T) {
		path := rapid.SampledFrom(paths).Draw(rt, "path")
		at := rapid.IntRange(0, len(files[path].Data)-1)
		if strings.HasPrefix(path, "tile/entries/") { // half of the flips in the framing
			at = rapid.OneOf(at, rapid.SampledFrom(framing(files[path].Data)))
		}
		requireFlipNamed(rt, files, trust, path, at.Draw(rt, "byte"), rapid.IntRange(0, 7).Draw(rt, "bit"))
	})
}

// The same in a log of three levels of tiles, one file of each kind.
func TestVerifyNamesFlippedBitOfLargeLog(t *testing.T) {
	t.Parallel()
	files, trust := large(t), trusting(t, 2)
	for path, at := range map[string]int{
		"checkpoint":             100,
		"tile/0/007":             8191,
		"tile/0/257.p/208":       0,
		"tile/1/000":             255*32 + 1,
		"tile/1/001.p/1":         31,
		"tile/2/000.p/1":         0,
		"tile/entries/100":       300,
		"tile/entries/257.p/208": 0, // the length of the first entry
	} {
		for bit := range 2 {
			requireFlipNamed(t, files, trust, path, at, 4*bit)
		}
	}
}

// requireFlipNamed flips one bit and checks that exactly it is named.
func requireFlipNamed(t require.TestingT, files fstest.MapFS, trust cosign.Trust, path string, at, bit int) {
	data := bytes.Clone(files[path].Data)
	data[at] ^= 1 << bit
	report, err := ledger.Verify(context.Background(), edited{ledger.Dir(files), path, data}, trust)
	require.ErrorIs(t, err, ledger.ErrDamaged, "%s byte %d bit %d", path, at, bit)
	requireNamed(t, report, files, path, at)
}

// framing returns where the lengths of the entries of a bundle are.
func framing(bundle []byte) (bytes []int) {
	for at := 0; at < len(bundle); at += 2 + int(binary.BigEndian.Uint16(bundle[at:])) {
		bytes = append(bytes, at, at+1)
	}
	return bytes
}

// requireNamed checks that the report names the byte at of one file, and nothing else.
func requireNamed(t require.TestingT, report ledger.Report, files fstest.MapFS, path string, at int) {
	require.Len(t, report.Damage, 1)
	d := report.Damage[0]
	require.Equal(t, path, d.Path)
	require.False(t, report.Truncated)
	switch {
	case path == "checkpoint":
		return
	case strings.HasPrefix(path, "tile/entries/"):
		index, framing := entryAt(files[path].Data, at)
		require.Equal(t, 256*tileNumber(t, path)+int64(index), d.Entry)
		if framing {
			return
		}
	}
	require.LessOrEqual(t, d.Offset, int64(at))
	require.Greater(t, d.Offset+d.Length, int64(at))
}

// entryAt returns the number of the entry in a bundle to which a byte belongs,
// and whether the byte is part of its length.
func entryAt(bundle []byte, at int) (index int, framing bool) {
	begin := 0
	for {
		end := begin + 2 + int(binary.BigEndian.Uint16(bundle[begin:]))
		if at < end {
			return index, at < begin+2
		}
		begin = end
		index++
	}
}

func tileNumber(t require.TestingT, path string) (n int64) {
	path = strings.TrimPrefix(path, "tile/entries/")
	path, _, _ = strings.Cut(path, ".p/")
	for part := range strings.SplitSeq(path, "/") {
		part = strings.TrimPrefix(part, "x")
		require.Len(t, part, 3)
		n = 1000*n + int64(part[0]-'0')*100 + int64(part[1]-'0')*10 + int64(part[2]-'0')
	}
	return n
}

// In a log small enough every bit of every file is flipped once.
func TestVerifyNamesEveryBitOfSmallLog(t *testing.T) {
	t.Parallel()
	files := exported(t, 3)
	trust := trusting(t, 2)
	for path, file := range files {
		for at := range file.Data {
			for bit := range 8 {
				requireFlipNamed(t, files, trust, path, at, bit)
			}
		}
	}
}

func TestVerifyNamesWholeFile(t *testing.T) {
	t.Parallel()
	files := exported(t, 700)
	for path, file := range files {
		for name, data := range map[string][]byte{
			"missing":   nil,
			"empty":     {},
			"cut short": file.Data[:len(file.Data)-1],
			"longer":    append(bytes.Clone(file.Data), 0),
			"zeroed":    make([]byte, len(file.Data)),
			"inverted":  inverted(file.Data),
		} {
			report, err := ledger.Verify(t.Context(), edited{ledger.Dir(files), path, data}, trusting(t, 2))
			require.ErrorIs(t, err, ledger.ErrDamaged, "%s %s", path, name)
			for _, d := range report.Damage {
				require.Equal(t, path, d.Path, "%s: %s", name, d)
			}
			require.LessOrEqual(t, len(report.Damage), 2, "%s %s", path, name)
		}
	}
}

func inverted(data []byte) []byte {
	out := make([]byte, len(data))
	for i, b := range data {
		out[i] = ^b
	}
	return out
}

// Several damages at once, also where one file hides behind another.
func TestVerifyNamesSeveralDamages(t *testing.T) {
	t.Parallel()
	files := large(t)
	src := ledger.Source(ledger.Dir(files))
	flip := func(path string, at int) {
		data := bytes.Clone(files[path].Data)
		data[at] ^= 1
		src = edited{src, path, data}
	}
	flip("tile/0/007", 10*32)                // a hash of entry 7*256+10
	flip("tile/entries/007", 2)              // entry 7*256, below the damaged tile
	flip("tile/1/000", 7*32)                 // the hash over both of them
	flip("tile/0/257.p/208", 5*32)           // on the right edge
	flip("tile/2/000.p/1", 3)                // the top
	src = edited{src, "tile/0/100", nil}     // lost
	src = edited{src, "tile/entries/9", nil} // not a file of the log

	report, err := ledger.Verify(t.Context(), src, trusting(t, 2))
	require.ErrorIs(t, err, ledger.ErrDamaged)
	var got []string
	for _, d := range report.Damage {
		got = append(got, d.String())
	}
	require.ElementsMatch(t, []string{
		"tile/0/007, entry 1802, bytes 320 to 351: the hash does not follow from the signed root",
		"tile/entries/007, entry 1792, bytes 2 to 23: the entry is not the one that the signed root covers",
		"tile/1/000, bytes 224 to 255: the hash does not follow from the signed root",
		"tile/0/257.p/208, entry 65797, bytes 160 to 191: the hash does not follow from the signed root",
		"tile/2/000.p/1, bytes 0 to 31: the hash does not follow from the signed root",
		"tile/0/100: missing",
	}, got)
}

// When an entry and its hash are both changed, so that they agree, the signed root
// still contradicts them.
func TestVerifyFindsRewrittenEntry(t *testing.T) {
	t.Parallel()
	files, forged := exported(t, 700), exportedWith(t, 700, 300)
	src := ledger.Source(ledger.Dir(files))
	for _, path := range []string{"tile/entries/001", "tile/0/001"} {
		src = edited{src, path, forged[path].Data}
	}
	report, err := ledger.Verify(t.Context(), src, trusting(t, 2))
	require.ErrorIs(t, err, ledger.ErrDamaged)
	require.Len(t, report.Damage, 1)
	require.Equal(t, "tile/0/001", report.Damage[0].Path, "not the tile above, which is right")
	require.Contains(t, report.Damage[0].Reason, "both were altered")
}

// exportedWith is like exported, with another entry at one index.
func exportedWith(t *testing.T, size, other int64) fstest.MapFS {
	t.Helper()
	db := openDB(t)
	grow(t, db, other)
	write(t, db, func(tx *sqldb.Tx) {
		_, err := ledger.Append(t.Context(), tx, [][]byte{[]byte("another entry")})
		require.NoError(t, err)
	})
	grow(t, db, size)
	publish(t, db)
	dir := t.TempDir()
	_, err := ledger.Export(t.Context(), ledger.NewPublished(db), dir)
	require.NoError(t, err)
	return load(t, dir)
}

func TestVerifyAgainstEarlierCheckpoint(t *testing.T) {
	t.Parallel()
	earlier := exported(t, 300)["checkpoint"].Data
	trust := trusting(t, 2)
	trust.Earlier = earlier

	t.Run("longer log", func(t *testing.T) {
		t.Parallel()
		report, err := ledger.Verify(t.Context(), ledger.Dir(exported(t, 700)), trust)
		require.NoError(t, err)
		require.EqualValues(t, 300, report.Earlier.Size)
	})
	t.Run("same log", func(t *testing.T) {
		t.Parallel()
		_, err := ledger.Verify(t.Context(), ledger.Dir(exported(t, 300)), trust)
		require.NoError(t, err)
	})
	for name, files := range map[string]fstest.MapFS{
		"fork":                  exportedWith(t, 700, 299),
		"fork of the same size": exportedWith(t, 300, 0),
		"shorter log":           exported(t, 299),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := ledger.Verify(t.Context(), ledger.Dir(files), trust)
			var fork *ledger.ForkError
			require.ErrorAs(t, err, &fork)
			require.NotErrorIs(t, err, ledger.ErrDamaged)
			require.Empty(t, report.Damage, "each file is sound")
			require.Equal(t, earlier, fork.EarlierNote)
			require.Equal(t, files["checkpoint"].Data, fork.PresentNote)
			require.Contains(t, err.Error(), fork.Earlier.Root.String())
			require.Contains(t, err.Error(), fork.Present.Root.String())
		})
	}
	t.Run("earlier checkpoint of another log", func(t *testing.T) {
		t.Parallel()
		trust := trust
		trust.Earlier = bytes.Replace(earlier, []byte("300"), []byte("301"), 1)
		_, err := ledger.Verify(t.Context(), ledger.Dir(exported(t, 300)), trust)
		require.ErrorIs(t, err, cosign.ErrUntrusted)
	})
}

// A signed but false size must not keep the reader busy.
func TestVerifyEndsOnFalseSize(t *testing.T) {
	t.Parallel()
	files := exported(t, 3)
	view, err := ledger.Open(t.Context(), ledger.Dir(files), trusting(t, 0))
	require.NoError(t, err)
	c := view.Checkpoint().Checkpoint
	c.Size = 1<<62 + 12_345
	reads := &counter{Source: edited{ledger.Dir(files), "checkpoint", sign(t, c)}}
	report, err := ledger.Verify(t.Context(), reads, trusting(t, 2))
	require.ErrorIs(t, err, ledger.ErrDamaged)
	require.True(t, report.Truncated)
	require.Len(t, report.Damage, 1000)
	require.Less(t, reads.n, 3000)
}

type counter struct {
	ledger.Source
	n int
}

func (c *counter) Read(ctx context.Context, path string) ([]byte, error) {
	c.n++
	return c.Source.Read(ctx, path)
}

// A source that fails is not a damaged log.
func TestVerifyReportsUnreadableSource(t *testing.T) {
	t.Parallel()
	files := exported(t, 300)
	for path := range files {
		_, err := ledger.Verify(t.Context(), broken{ledger.Dir(files), path}, trusting(t, 2))
		require.ErrorIs(t, err, errBroken, path)
		require.NotErrorIs(t, err, ledger.ErrDamaged, path)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := ledger.Verify(ctx, ledger.Dir(files), trusting(t, 2))
	require.ErrorIs(t, err, context.Canceled)
}

var errBroken = errors.New("connection reset")

type broken struct {
	ledger.Source
	path string
}

func (b broken) Read(ctx context.Context, path string) ([]byte, error) {
	if path == b.path {
		return nil, errBroken
	}
	return b.Source.Read(ctx, path)
}
