package parquet

import (
	"bytes"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// input returns a file of testdata.
func input(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata/apache", name))
	require.NoError(t, err)
	return b
}

// textOf returns the CSV of a Parquet file, as far as it can be read.
func textOf(t testing.TB, b []byte) (string, error) {
	t.Helper()
	table, err := Open(t.Context(), bytes.NewReader(b), fhir.Options{})
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(table)
	require.NoError(t, table.Close())
	return string(text), err
}

// rowsOf returns the rows of a Parquet file that can be read, its header first.
func rowsOf(t testing.TB, b []byte) [][]string {
	t.Helper()
	text, err := textOf(t, b)
	require.NoError(t, err)
	rows, err := csv.NewReader(bytes.NewReader([]byte(text))).ReadAll()
	require.NoError(t, err)
	return rows
}

// testColumn is a column to be written. values are of its physical type, those that are not
// null; levels, if it is optional, are 1 for each of them and 0 for null.
type testColumn struct {
	node   schema.Node
	values any
	levels []int16
}

func node(t testing.TB, name string, optional bool, logical schema.LogicalType, physical parquet.Type, size int) schema.Node {
	t.Helper()
	repetition := parquet.Repetitions.Required
	if optional {
		repetition = parquet.Repetitions.Optional
	}
	n, err := schema.NewPrimitiveNodeLogical(name, repetition, logical, physical, size, -1)
	require.NoError(t, err)
	return n
}

// written returns a Parquet file of row groups of the same columns.
func written(t testing.TB, groups [][]testColumn, opts ...parquet.WriterProperty) []byte {
	t.Helper()
	var fields schema.FieldList
	for _, c := range groups[0] {
		fields = append(fields, c.node)
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
	require.NoError(t, err)
	var out bytes.Buffer
	w := file.NewParquetWriter(&out, root, file.WithWriterProps(parquet.NewWriterProperties(opts...)))
	for _, columns := range groups {
		group, err := w.AppendRowGroupChecked()
		require.NoError(t, err)
		for _, c := range columns {
			into, err := group.NextColumn()
			require.NoError(t, err)
			put(t, into, c)
			require.NoError(t, into.Close())
		}
		require.NoError(t, group.Close())
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func put(t testing.TB, w file.ColumnChunkWriter, c testColumn) {
	t.Helper()
	var err error
	switch values := c.values.(type) {
	case []bool:
		_, err = w.(*file.BooleanColumnChunkWriter).WriteBatch(values, c.levels, nil)
	case []int32:
		_, err = w.(*file.Int32ColumnChunkWriter).WriteBatch(values, c.levels, nil)
	case []int64:
		_, err = w.(*file.Int64ColumnChunkWriter).WriteBatch(values, c.levels, nil)
	case []float32:
		_, err = w.(*file.Float32ColumnChunkWriter).WriteBatch(values, c.levels, nil)
	case []float64:
		_, err = w.(*file.Float64ColumnChunkWriter).WriteBatch(values, c.levels, nil)
	case []parquet.ByteArray:
		_, err = w.(*file.ByteArrayColumnChunkWriter).WriteBatch(values, c.levels, nil)
	case []parquet.FixedLenByteArray:
		_, err = w.(*file.FixedLenByteArrayColumnChunkWriter).WriteBatch(values, c.levels, nil)
	default:
		require.Fail(t, "no such values")
	}
	require.NoError(t, err)
}

// textTable returns a Parquet file of text, in row groups of size rows; empty cells are null.
func textTable(t testing.TB, rows [][]string, size int, opts ...parquet.WriterProperty) []byte {
	t.Helper()
	var groups [][]testColumn
	for from := 1; from == 1 || from < len(rows); from += size {
		var group []testColumn
		for i, name := range rows[0] {
			c := testColumn{node: node(t, name, true, schema.StringLogicalType{}, parquet.Types.ByteArray, -1)}
			values := []parquet.ByteArray{}
			for _, row := range rows[from:min(len(rows), from+size)] {
				if row[i] == "" {
					c.levels = append(c.levels, 0)
					continue
				}
				c.levels, values = append(c.levels, 1), append(values, []byte(row[i]))
			}
			c.values = values
			group = append(group, c)
		}
		groups = append(groups, group)
	}
	return written(t, groups, opts...)
}
