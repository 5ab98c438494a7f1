package parquet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// requireSafe reads a file that may be anything: it ends, and what fails is a problem.
func requireSafe(t testing.TB, b []byte) {
	t.Helper()
	_, err := textOf(t, b)
	if err == nil {
		return
	}
	p, ok := fhir.AsProblem(err)
	require.True(t, ok, "%v", err)
	require.NotEmpty(t, p.Detail)
}

func FuzzOpen(f *testing.F) {
	seeds, err := filepath.Glob("testdata/apache/*.parquet*")
	require.NoError(f, err)
	bad, err := filepath.Glob("testdata/apache/bad/*")
	require.NoError(f, err)
	for _, name := range append(seeds, bad...) {
		b, err := os.ReadFile(name)
		require.NoError(f, err)
		if len(b) < 6000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) { requireSafe(t, b) })
}

func TestADamagedFileIsAProblem(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"alltypes_dictionary.parquet", "lz4_raw_compressed.parquet", "delta_encoding_optional_column.parquet"} {
		b := input(t, name)
		for at := 0; at < len(b); at += 1 + len(b)/15 {
			_, err := textOf(t, b[:at])
			require.Error(t, err, "cut at %d of %s", at, name)
			requireSafe(t, b[:at])
			for _, flip := range []byte{0xff, 0x01} {
				changed := bytes.Clone(b)
				changed[at] ^= flip
				requireSafe(t, changed)
			}
		}
	}
}

// footer returns a file that is a footer only.
func footer(thrift ...byte) []byte {
	b := append([]byte(magic), thrift...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(thrift)))
	return append(b, magic...)
}

func TestClaimsOfAFooterTakeNoMemory(t *testing.T) {
	t.Parallel()
	huge := binary.AppendUvarint(nil, 1<<31-1)
	for name, b := range map[string][]byte{
		"a list of structures":  footer(append([]byte{0x15, 0x02, 0x19, 0xfc}, huge...)...), // version, then 2^31-1 columns
		"a list of binaries":    footer(append([]byte{0x19, 0xf8}, huge...)...),
		"a long text":           footer(append([]byte{0x18}, huge...)...),
		"deep nesting":          footer(bytes.Repeat([]byte{0x1c}, 100_000)...),
		"deep lists":            footer(append([]byte{0x19}, bytes.Repeat([]byte{0x19}, 100_000)...)...),
		"nothing":               footer(),
		"a size beyond":         append([]byte("PAR1\x15\x02\x00"), "\xff\xff\xff\x7fPAR1"...),
		"only the first letter": []byte("PAR1PAR1PAR1"),
	} {
		_, err := textOf(t, b)
		p, ok := fhir.AsProblem(err)
		require.True(t, ok, "%s: %v", name, err)
		require.Equal(t, RuleCorrupt, p.Rule, name)
	}
	large := make([]byte, maxFooter+100)
	copy(large, magic)
	copy(large[len(large)-8:], binary.LittleEndian.AppendUint32(nil, maxFooter+1))
	copy(large[len(large)-4:], magic)
	_, err := textOf(t, large)
	require.ErrorIs(t, err, errFooter)
}

func TestBombsAreRefused(t *testing.T) {
	t.Parallel()
	t.Run("rows of nothing", func(t *testing.T) {
		t.Parallel()
		c := testColumn{node: node(t, "a", true, nil, parquet.Types.Int32, -1), values: []int32{}, levels: make([]int16, 1_500_000)}
		b := written(t, [][]testColumn{{c}})
		require.Less(t, len(b), 1000)
		_, err := textOf(t, b)
		require.ErrorIs(t, err, errExpansion)
	})
	t.Run("a page over the limit", func(t *testing.T) {
		t.Parallel()
		c := testColumn{node: node(t, "a", false, schema.StringLogicalType{}, parquet.Types.ByteArray, -1), values: []parquet.ByteArray{make([]byte, maxPage+1)}}
		b := written(t, [][]testColumn{{c}}, parquet.WithDictionaryDefault(false), parquet.WithCompression(compress.Codecs.Snappy), parquet.WithStats(false))
		require.Less(t, len(b), 1<<20)
		_, err := textOf(t, b)
		require.ErrorIs(t, err, errMemory)
	})
	t.Run("pages of all columns over the limit", func(t *testing.T) {
		t.Parallel()
		b := newBudget()
		taken := b.Allocate(maxMemory / 2)
		require.PanicsWithValue(t, errMemory, func() { b.Reallocate(maxMemory+1, taken) })
	})
	t.Run("compressed bytes that become more than the page", func(t *testing.T) {
		t.Parallel()
		encoder, err := zstd.NewWriter(nil)
		require.NoError(t, err)
		for name, src := range map[compress.Compression][]byte{
			compress.Codecs.Snappy: binary.AppendUvarint(nil, 1<<31),
			compress.Codecs.Zstd:   encoder.EncodeAll(make([]byte, maxPage+1), nil),
			compress.Codecs.Gzip:   {0x1f, 0x8b, 8},
			compress.Codecs.Brotli: []byte("none"),
		} {
			codec, err := compress.GetCodec(name)
			require.NoError(t, err)
			require.NotPanics(t, func() {
				defer func() { _ = recover() }() // as the door does
				_, err = compress.Decode(codec, make([]byte, 10), src)
				require.Error(t, err, name)
			})
		}
		gzip, err := compress.GetCodec(compress.Codecs.Gzip)
		require.NoError(t, err)
		_, err = compress.Decode(gzip, []byte{}, gzip.Encode(nil, make([]byte, 1<<20)))
		require.ErrorIs(t, err, errCorrupt)
	})
	t.Run("decimals without end", func(t *testing.T) {
		t.Parallel()
		c := testColumn{node: node(t, "a", false, schema.NewDecimalLogicalType(1000, maxScale+1), parquet.Types.ByteArray, -1), values: []parquet.ByteArray{{1}}}
		_, err := textOf(t, written(t, [][]testColumn{{c}}))
		p, ok := fhir.AsProblem(err)
		require.True(t, ok, "%v", err)
		require.Equal(t, RuleUnsupported, p.Rule)
	})
	t.Run("differences of a huge block", func(t *testing.T) {
		t.Parallel()
		claim := func(values ...uint64) []byte {
			var b []byte
			for _, v := range values {
				b = binary.AppendUvarint(b, v)
			}
			return b
		}
		for name, b := range map[string][]byte{
			"block": claim(1<<32-128, 1, 10, 0), "no block": claim(0, 1, 10, 0), "parts": claim(128, 1<<30, 10, 0), "values": claim(128, 4, 1<<32, 0),
			"cut": claim(128, 4), "no widths": claim(128, 4, 200, 0, 0), "wide": append(claim(128, 4, 200, 0, 0), 65, 0, 0, 0),
		} {
			_, ok := afterDeltas(b)
			require.False(t, ok, name)
		}
		rest, ok := afterDeltas(append(claim(128, 4, 1, 0), "rest"...))
		require.True(t, ok)
		require.Equal(t, "rest", string(rest))
	})
}

// failingFile is a file on a disk that fails before its end.
type failingFile struct{ *os.File }

var errDisk = errors.New("disk")

func (f failingFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(magic)) && off < 100 {
		return 0, errDisk
	}
	return f.File.ReadAt(p, off)
}

func TestAFailingSourceIsNoProblemOfTheFile(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), iotest.ErrReader(errDisk), fhir.Options{})
	require.ErrorIs(t, err, errDisk)
	_, err = Open(t.Context(), io.MultiReader(bytes.NewReader(input(t, "int32_decimal.parquet")), iotest.ErrReader(errDisk)), fhir.Options{})
	require.ErrorIs(t, err, errDisk)

	f, err := os.Open("testdata/apache/lz4_raw_compressed.parquet")
	require.NoError(t, err)
	defer f.Close()
	p, err := Open(t.Context(), failingFile{f}, fhir.Options{})
	require.NoError(t, err)
	_, err = io.ReadAll(p)
	require.ErrorIs(t, err, errDisk)
	require.NoError(t, p.Close())
	_, err = f.Stat()
	require.NoError(t, err, "the file stays the caller's")

	ctx, cancel := context.WithCancel(t.Context())
	p, err = Open(ctx, f, fhir.Options{})
	require.NoError(t, err)
	cancel()
	_, err = io.ReadAll(p)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, p.Close())
}

func TestATableNeitherPrintsNorMarshals(t *testing.T) {
	t.Parallel()
	p, err := Open(t.Context(), bytes.NewReader(input(t, "int32_decimal.parquet")), fhir.Options{})
	require.NoError(t, err)
	defer p.Close()
	require.Equal(t, "parquet:redacted parquet:redacted", fmt.Sprintf("%v %+v", p, p))
	_, err = p.MarshalJSON()
	require.Error(t, err)
}
