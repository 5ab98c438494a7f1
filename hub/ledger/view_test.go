package ledger_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	formatsproof "github.com/transparency-dev/formats/proof"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/ledger"
)

func TestViewYieldsEntriesInOrder(t *testing.T) {
	t.Parallel()
	view, err := ledger.Open(t.Context(), ledger.Dir(exported(t, 700)), trusting(t, 2))
	require.NoError(t, err)
	for _, span := range [][2]int64{{0, 700}, {0, 0}, {255, 257}, {256, 512}, {699, 700}, {300, 301}, {5, 3}} {
		at := span[0]
		for got, err := range view.Entries(t.Context(), span[0], span[1]) {
			require.NoError(t, err)
			require.Equal(t, entry(at), got)
			at++
		}
		require.Equal(t, max(span[0], span[1]), at)
	}
	for _, i := range []int64{-1, 700} {
		_, err := view.Entry(t.Context(), i)
		require.ErrorIs(t, err, ledger.ErrNotFound)
		_, err = view.Receipt(t.Context(), i)
		require.ErrorIs(t, err, ledger.ErrNotFound)
	}
}

// Whatever bit is flipped, a View never gives a wrong entry; it may still give a
// right one, because it reads only what it needs.
func TestViewNeverYieldsWrongEntry(t *testing.T) {
	t.Parallel()
	files := exported(t, 700)
	needed := []string{"tile/entries/001", "tile/0/001", "tile/1/000.p/2"}
	rapid.Check(t, func(rt *rapid.T) {
		path := rapid.SampledFrom(needed).Draw(rt, "path")
		data := bytes.Clone(files[path].Data)
		data[rapid.IntRange(0, len(data)-1).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		view, err := ledger.Open(t.Context(), edited{ledger.Dir(files), path, data}, trusting(t, 2))
		require.NoError(rt, err)
		_, err = view.Entry(t.Context(), rapid.Int64Range(256, 511).Draw(rt, "entry"))
		require.ErrorIs(rt, err, ledger.ErrDamaged)
	})
}

func TestViewTellsDamageFromFailure(t *testing.T) {
	t.Parallel()
	files := exported(t, 700)
	for _, path := range []string{"tile/entries/001", "tile/0/001", "tile/1/000.p/2"} {
		view, err := ledger.Open(t.Context(), edited{ledger.Dir(files), path, nil}, trusting(t, 2))
		require.NoError(t, err)
		_, err = view.Entry(t.Context(), 300)
		require.ErrorIs(t, err, ledger.ErrDamaged, "the checkpoint says that %s is there", path)

		view, err = ledger.Open(t.Context(), broken{ledger.Dir(files), path}, trusting(t, 2))
		require.NoError(t, err)
		_, err = view.Entry(t.Context(), 300)
		require.ErrorIs(t, err, errBroken)
		require.NotErrorIs(t, err, ledger.ErrDamaged)
	}
}

func TestViewExtends(t *testing.T) {
	t.Parallel()
	files := exported(t, 700)
	view, err := ledger.Open(t.Context(), ledger.Dir(files), trusting(t, 2))
	require.NoError(t, err)
	for _, size := range []int64{0, 1, 256, 300, 700} {
		earlier, err := trusting(t, 2).Open(exported(t, size)["checkpoint"].Data)
		require.NoError(t, err)
		require.NoError(t, view.Extends(t.Context(), earlier.Checkpoint))

		forked := earlier.Checkpoint
		forked.Root[5] ^= 1
		var fork *ledger.ForkError
		require.ErrorAs(t, view.Extends(t.Context(), forked), &fork)

		other := earlier.Checkpoint
		other.Origin = "other.example.org"
		err = view.Extends(t.Context(), other)
		require.Error(t, err)
		require.NotErrorAs(t, err, &fork, "another log is no fork")
	}
}

func TestReceipt(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1, 2, 300, 700} {
		view, err := ledger.Open(t.Context(), ledger.Dir(exported(t, size)), trusting(t, 2))
		require.NoError(t, err)
		for _, i := range []int64{0, size / 2, size - 1} {
			receipt, err := view.Receipt(t.Context(), i)
			require.NoError(t, err)
			text := receipt.Marshal()

			// The library others use reads the same from it.
			var theirs formatsproof.TLogProof
			require.NoError(t, theirs.Unmarshal(text))
			require.EqualValues(t, i, theirs.Index)
			require.Len(t, theirs.Hashes, len(receipt.Path))
			require.Equal(t, receipt.Checkpoint, theirs.Checkpoint)

			// And we read theirs, with extra data.
			theirs.ExtraData = []byte("context")
			ours, err := ledger.ParseReceipt(theirs.Marshal())
			require.NoError(t, err)
			receipt.Extra = []byte("context")
			require.Equal(t, receipt, ours)
			require.Equal(t, string(theirs.Marshal()), string(ours.Marshal()))

			signed, err := ours.Verify(entry(i), trusting(t, 2))
			require.NoError(t, err)
			require.Equal(t, size, signed.Size)
		}
	}
}

func TestReceiptRefuses(t *testing.T) {
	t.Parallel()
	view, err := ledger.Open(t.Context(), ledger.Dir(exported(t, 700)), trusting(t, 2))
	require.NoError(t, err)
	good, err := view.Receipt(t.Context(), 300)
	require.NoError(t, err)

	for name, change := range map[string]func(r *ledger.Receipt){
		"another index":        func(r *ledger.Receipt) { r.Index = 301 },
		"index after the end":  func(r *ledger.Receipt) { r.Index = 700 },
		"negative index":       func(r *ledger.Receipt) { r.Index = -1 },
		"altered path":         func(r *ledger.Receipt) { r.Path = bytesFlipped(r.Path) },
		"shorter path":         func(r *ledger.Receipt) { r.Path = r.Path[1:] },
		"longer path":          func(r *ledger.Receipt) { r.Path = append(r.Path[:len(r.Path):len(r.Path)], r.Path[0]) },
		"checkpoint of others": func(r *ledger.Receipt) { r.Checkpoint = bytes.Replace(r.Checkpoint, []byte("700"), []byte("701"), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := good
			change(&r)
			_, err := r.Verify(entry(300), trusting(t, 2))
			require.Error(t, err)
			require.True(t, errors.Is(err, ledger.ErrDamaged) != errors.Is(err, cosign.ErrUntrusted))
		})
	}
	_, err = good.Verify(entry(301), trusting(t, 2))
	require.ErrorIs(t, err, ledger.ErrDamaged)
}

func bytesFlipped(path []ledger.Hash) []ledger.Hash {
	out := append([]ledger.Hash(nil), path...)
	out[2][7] ^= 1
	return out
}

func TestParseReceiptRefuses(t *testing.T) {
	t.Parallel()
	const header = "c2sp.org/tlog-proof@v1\n"
	const hash = "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n"
	for name, text := range map[string]string{
		"empty":              "",
		"no checkpoint":      header + "index 3\n" + hash,
		"other version":      "c2sp.org/tlog-proof@v2\nindex 3\n\nx",
		"no index":           header + hash + "\nx",
		"negative index":     header + "index -3\n\nx",
		"leading zero":       header + "index 03\n\nx",
		"short hash":         header + "index 3\nAAAA\n\nx",
		"bits after hash":    header + "index 3\n" + hash[:42] + "R=\n\nx",
		"extra after index":  header + "index 3\nextra AAAA\n\nx",
		"extra not base64":   header + "extra !\nindex 3\n\nx",
		"too many hashes":    header + "index 3\n" + string(bytes.Repeat([]byte(hash), 64)) + "\nx",
		"larger than we say": header + "index 3\n\n" + string(make([]byte, 1<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ledger.ParseReceipt([]byte(text))
			require.Error(t, err)
		})
	}
}
