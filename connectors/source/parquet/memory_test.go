package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// copies returns a file of n columns of the same values.
func copies(t testing.TB, n int, values []parquet.ByteArray, encoding parquet.Encoding) []byte {
	t.Helper()
	var columns []testColumn
	for i := range n {
		columns = append(columns, testColumn{node: node(t, fmt.Sprintf("c%d", i), false, schema.StringLogicalType{}, parquet.Types.ByteArray, -1), values: values})
	}
	return written(t, [][]testColumn{columns}, parquet.WithDictionaryDefault(false), parquet.WithEncoding(encoding), parquet.WithCompression(compress.Codecs.Snappy), parquet.WithStats(false))
}

// taken returns how many bytes of memory it takes to read b to its end, those given back
// among them, and how it ends.
func taken(t testing.TB, b []byte) (uint64, error) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	table, err := Open(t.Context(), bytes.NewReader(b), fhir.Options{})
	if err == nil {
		_, err = io.Copy(io.Discard, table)
		err = errors.Join(err, table.Close())
	}
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, err
}

// TestASmallFileTakesLittleMemory counts what the process takes, so nothing runs beside it.
func TestASmallFileTakesLittleMemory(t *testing.T) {
	quotes := []parquet.ByteArray{bytes.Repeat([]byte{'"'}, 9<<20)}
	wide := parquet.ByteArray(bytes.Repeat([]byte("a"), 200<<10))
	var similar []parquet.ByteArray // each has the one before but for a byte
	for i := range 3 {
		similar = append(similar, append(bytes.Clone(wide), byte('a'+i)))
	}
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"a cell over the limit of a row": {copies(t, 1, quotes, parquet.Encodings.Plain), errRow},
		"cells that are when quoted":     {copies(t, 2, []parquet.ByteArray{quotes[0][:3<<20]}, parquet.Encodings.Plain), errRow},
		"text that repeats":              {copies(t, 40, similar, parquet.Encodings.DeltaByteArray), errMemory},
		"many columns":                   {copies(t, 500, []parquet.ByteArray{[]byte("a")}, parquet.Encodings.Plain), nil},
		"parts of a footer":              {footer(append([]byte{0x49, 0xfc, 0x80, 0x80, 0x20}, make([]byte, maxFooter/2)...)...), errFooter}, // row groups of nothing
	} {
		require.Less(t, len(c.file), maxFooter)
		n, err := taken(t, c.file)
		require.ErrorIs(t, err, c.want, name)
		require.Less(t, n, uint64(maxMemory*3/2), name)
	}
}

func TestARowHasTheCallersLimit(t *testing.T) {
	t.Parallel()
	b := textTable(t, [][]string{{"a", "b"}, {`1"`, "567"}, {"1234567", "9"}, {"12345678", "0"}}, 10) // of 10, 10 and 11 bytes
	for most, want := range map[int]int{0: 3, 11: 3, 10: 2, 9: 0} {
		table, err := Open(t.Context(), bytes.NewReader(b), fhir.Options{MaxRecord: most})
		require.NoError(t, err)
		text, err := io.ReadAll(table)
		require.Equal(t, want, bytes.Count(text, []byte{'\n'})-1, most)
		if want < 3 {
			require.ErrorIs(t, err, errRow)
		} else {
			require.NoError(t, err)
		}
		require.NoError(t, table.Close())
	}
}

func TestLengthsOfTextsAreCounted(t *testing.T) {
	t.Parallel()
	const n = 1 << 20
	lengths := []byte{}
	for _, v := range []uint64{maxBlock, 1, n, 0} {
		lengths = binary.AppendUvarint(lengths, v)
	}
	lengths = append(lengths, make([]byte, 2*n/maxBlock)...) // blocks without differences
	b := newBudget()
	p := &pages{PageReader: noPages{}, budget: b, required: true}
	require.NoError(t, p.check(file.NewDataPageV1(memory.NewBufferBytes(lengths), n, parquet.Encodings.DeltaLengthByteArray, parquet.Encodings.RLE, parquet.Encodings.RLE, int32(len(lengths)))))
	require.EqualValues(t, 2*length*n, b.used.Load())
	require.False(t, p.Next())
	require.Zero(t, b.used.Load())
}

// noPages is a column that has ended.
type noPages struct{ file.PageReader }

func (noPages) Next() bool { return false }

func TestALongDecimalIsRefused(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]error{maxDecimal: nil, maxDecimal + 1: errRow} {
		c := testColumn{node: node(t, "a", false, schema.NewDecimalLogicalType(30, 2), parquet.Types.ByteArray, -1), values: []parquet.ByteArray{make([]byte, size)}}
		_, err := textOf(t, written(t, [][]testColumn{{c}}))
		require.ErrorIs(t, err, want)
	}
}
