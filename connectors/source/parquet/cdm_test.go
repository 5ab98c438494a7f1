package parquet

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

const gibleed = "../cdm/testdata/gibleed/"

// typedTable returns the table of a CDM as databases export it: numbers, dates and times are
// typed as such.
func typedTable(t testing.TB, rows [][]string) []byte {
	t.Helper()
	var group []testColumn
	for i, name := range rows[0] {
		logical, physical := schema.LogicalType(schema.StringLogicalType{}), parquet.Types.ByteArray
		var c testColumn
		cells := make([]string, 0, len(rows))
		for _, row := range rows[1:] {
			if row[i] == "" {
				c.levels = append(c.levels, 0)
				continue
			}
			c.levels, cells = append(c.levels, 1), append(cells, row[i])
		}
		parsed := func(layout string) (all []time.Time) {
			for _, cell := range cells {
				at, err := time.Parse(layout, cell[:len(layout)])
				require.NoError(t, err)
				all = append(all, at)
			}
			return all
		}
		switch lower := strings.ToLower(name); {
		case strings.HasSuffix(lower, "_id"), strings.HasPrefix(lower, "year_"):
			logical, physical = schema.NewIntLogicalType(64, true), parquet.Types.Int64
			values := make([]int64, 0, len(cells))
			for _, cell := range cells {
				n, err := strconv.ParseInt(cell, 10, 64)
				require.NoError(t, err)
				values = append(values, n)
			}
			c.values = values
		case strings.HasSuffix(lower, "_date"):
			logical, physical = schema.DateLogicalType{}, parquet.Types.Int32
			values := make([]int32, 0, len(cells))
			for _, at := range parsed(time.DateOnly) {
				values = append(values, int32(at.Unix()/86400))
			}
			c.values = values
		case strings.HasSuffix(lower, "_datetime") && len(cells) > 0 && len(cells[0]) >= len(time.DateTime):
			logical, physical = schema.NewTimestampLogicalType(false, schema.TimeUnitMicros), parquet.Types.Int64
			values := make([]int64, 0, len(cells))
			for _, at := range parsed(time.DateTime) {
				values = append(values, at.UnixMicro())
			}
			c.values = values
		default:
			values := make([]parquet.ByteArray, 0, len(cells))
			for _, cell := range cells {
				values = append(values, []byte(cell))
			}
			c.values = values
		}
		c.node = node(t, name, true, logical, physical, -1)
		group = append(group, c)
	}
	return written(t, [][]testColumn{group})
}

// TestTablesOfACDMReadAsTheirCSV reads Eunomia's tables as CSV and as typed Parquet.
func TestTablesOfACDMReadAsTheirCSV(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob(gibleed + "*.csv.gz")
	require.NoError(t, err)
	tables := 0
	for _, name := range names {
		if strings.HasPrefix(filepath.Base(name), "expected") {
			continue
		}
		f, err := os.Open(name)
		require.NoError(t, err)
		defer f.Close()
		in, err := fhir.OpenInput(t.Context(), f, fhir.Options{})
		require.NoError(t, err)
		rows, err := csv.NewReader(in).ReadAll()
		require.NoError(t, err)
		var text bytes.Buffer
		require.NoError(t, csv.NewWriter(&text).WriteAll(rows))
		p, err := Open(t.Context(), bytes.NewReader(typedTable(t, rows)), fhir.Options{})
		require.NoError(t, err)
		require.True(t, cdm.Detect(p.Header()), name)
		tables++
		var want, got []fhir.Record
		for rec, err := range cdm.Read(t.Context(), &text, fhir.Options{}) {
			require.NoError(t, err)
			want = append(want, rec)
		}
		for rec, err := range cdm.Read(t.Context(), p, fhir.Options{}) {
			require.NoError(t, err)
			got = append(got, rec)
		}
		require.NoError(t, p.Close())
		require.Equal(t, want, got, name)
		if filepath.Base(name) == "person.csv.gz" {
			kept, err := os.ReadFile("testdata/person.parquet")
			require.NoError(t, err)
			require.Equal(t, rowsOf(t, typedTable(t, rows)), rowsOf(t, kept), "the file that other packages test with")
		}
	}
	require.Equal(t, 9, tables)
}
