package parquet

import (
	"bytes"
	"encoding/csv"
	"io"
	"math"
	"math/big"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/table"
)

// TestTextComesBackFromEveryEncoding holds a table of text to itself, however it is cut into
// row groups and pages, encoded and compressed.
func TestTextComesBackFromEveryEncoding(t *testing.T) {
	t.Parallel()
	cell := rapid.OneOf(rapid.StringOfN(rapid.RuneFrom([]rune("a,\"\n ;é'")), 0, 6, -1), rapid.Just(""), rapid.Just("the same"))
	rapid.Check(t, func(rt *rapid.T) {
		width := rapid.IntRange(2, 4).Draw(rt, "columns")
		encoding := rapid.SampledFrom([]parquet.Encoding{parquet.Encodings.Plain, parquet.Encodings.DeltaByteArray, parquet.Encodings.DeltaLengthByteArray}).Draw(rt, "encoding")
		rows := [][]string{[]string{"a", "b", "c", "d"}[:width]}
		for range rapid.IntRange(0, 20).Draw(rt, "rows") {
			row := make([]string, width)
			for i := range row {
				row[i] = cell.Draw(rt, "cell")
				if encoding == parquet.Encodings.DeltaByteArray {
					row[i] += "." // of null only the library writes a page that it does not read
				}
			}
			rows = append(rows, row)
		}
		opts := []parquet.WriterProperty{
			parquet.WithDictionaryDefault(rapid.Bool().Draw(rt, "dictionary")),
			parquet.WithEncoding(encoding),
			parquet.WithCompression(rapid.SampledFrom([]compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Gzip, compress.Codecs.Zstd, compress.Codecs.Brotli}).Draw(rt, "codec")),
			parquet.WithDataPageVersion(rapid.SampledFrom([]parquet.DataPageVersion{parquet.DataPageV1, parquet.DataPageV2}).Draw(rt, "pages")),
			parquet.WithDataPageSize(rapid.Int64Range(10, 200).Draw(rt, "page")), parquet.WithBatchSize(rapid.Int64Range(1, 20).Draw(rt, "batch")),
			parquet.WithPageIndexEnabled(rapid.Bool().Draw(rt, "index")),
		}
		got := rowsOf(t, textTable(t, rows, rapid.IntRange(8, 50).Draw(rt, "group"), opts...))
		require.Equal(rt, rows, got)
	})
}

// TestNumbersAndTimesComeBack reads values of each type and compares what their text says.
func TestNumbersAndTimesComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		whole, real := rapid.Int64().Draw(rt, "whole"), rapid.Float64().Draw(rt, "real")
		scale := rapid.Int32Range(0, 18).Draw(rt, "scale")
		at := time.UnixMicro(rapid.Int64Range(-62135596800_000000, 253402300799_999999).Draw(rt, "time")).UTC() // years 1 to 9999
		days := int32(math.Floor(float64(at.Unix()) / 86400))
		// The clock is that of the moment; what is below its unit is lost on the way in.
		clock := at.Sub(at.Truncate(24 * time.Hour))
		bytesOf := make([]byte, 16)
		for i := range bytesOf {
			bytesOf[i] = rapid.Byte().Draw(rt, "byte")
		}
		col := func(name string, logical schema.LogicalType, physical parquet.Type, size int, values any) testColumn {
			return testColumn{node: node(t, name, false, logical, physical, size), values: values}
		}
		rows := rowsOf(t, written(t, [][]testColumn{{
			col("int32", nil, parquet.Types.Int32, -1, []int32{int32(whole)}),
			col("uint32", schema.NewIntLogicalType(32, false), parquet.Types.Int32, -1, []int32{int32(whole)}),
			col("int64", nil, parquet.Types.Int64, -1, []int64{whole}),
			col("uint64", schema.NewIntLogicalType(64, false), parquet.Types.Int64, -1, []int64{whole}),
			col("decimal", schema.NewDecimalLogicalType(18, scale), parquet.Types.Int64, -1, []int64{whole % 1e18}),
			col("wide", schema.NewDecimalLogicalType(38, scale), parquet.Types.FixedLenByteArray, 16, []parquet.FixedLenByteArray{bytesOf}),
			col("double", nil, parquet.Types.Double, -1, []float64{real}),
			col("float", nil, parquet.Types.Float, -1, []float32{float32(real)}),
			col("bool", nil, parquet.Types.Boolean, -1, []bool{whole > 0}),
			col("date", schema.DateLogicalType{}, parquet.Types.Int32, -1, []int32{days}),
			col("local", schema.NewTimestampLogicalType(false, schema.TimeUnitMicros), parquet.Types.Int64, -1, []int64{at.UnixMicro()}),
			col("utc", schema.NewTimestampLogicalType(true, schema.TimeUnitMillis), parquet.Types.Int64, -1, []int64{at.UnixMilli()}),
			col("clock", schema.NewTimeLogicalType(true, schema.TimeUnitMicros), parquet.Types.Int64, -1, []int64{clock.Microseconds()}),
			col("uuid", schema.UUIDLogicalType{}, parquet.Types.FixedLenByteArray, 16, []parquet.FixedLenByteArray{bytesOf}),
		}}))
		got := map[string]string{}
		for i, name := range rows[0] {
			got[name] = rows[1][i]
		}
		require.Equal(rt, strconv.FormatInt(int64(int32(whole)), 10), got["int32"])
		require.Equal(rt, strconv.FormatUint(uint64(uint32(whole)), 10), got["uint32"])
		require.Equal(rt, strconv.FormatInt(whole, 10), got["int64"])
		require.Equal(rt, strconv.FormatUint(uint64(whole), 10), got["uint64"])
		unscaled := func(name string) string {
			_, decimals, _ := strings.Cut(got[name], ".")
			require.Len(rt, decimals, int(scale), "the digits that are significant stay")
			n, ok := new(big.Int).SetString(strings.Replace(got[name], ".", "", 1), 10)
			require.True(rt, ok, "%q", got[name])
			return n.String()
		}
		require.Equal(rt, strconv.FormatInt(whole%1e18, 10), unscaled("decimal"))
		n, ok := new(big.Int).SetString(unscaled("wide"), 10)
		require.True(rt, ok)
		modulus := new(big.Int).Lsh(big.NewInt(1), 128)
		require.Equal(rt, bytesOf, n.Mod(n, modulus).FillBytes(make([]byte, 16)))
		double, err := strconv.ParseFloat(got["double"], 64)
		require.NoError(rt, err)
		require.Equal(rt, real, double)
		single, err := strconv.ParseFloat(got["float"], 32)
		require.NoError(rt, err)
		require.Equal(rt, float32(real), float32(single))
		require.Equal(rt, strconv.FormatBool(whole > 0), got["bool"])
		require.Equal(rt, at.Format(time.DateOnly), got["date"])
		local, err := time.Parse("2006-01-02T15:04:05", got["local"])
		require.NoError(rt, err)
		require.Equal(rt, at, local)
		utc, err := time.Parse(time.RFC3339, got["utc"])
		require.NoError(rt, err)
		require.Equal(rt, at.UnixMilli(), utc.UnixMilli())
		require.Equal(rt, at.Format("15:04:05.999999"), got["clock"])
		require.Equal(rt, bytesOf, fromUUID(t, got["uuid"]))
	})
}

func fromUUID(t testing.TB, s string) []byte {
	t.Helper()
	n, ok := new(big.Int).SetString(strings.ReplaceAll(s, "-", ""), 16)
	require.True(t, ok)
	require.Len(t, s, 36)
	return n.FillBytes(make([]byte, 16))
}

const tables = "../table/testdata/"

func mappingOf(t testing.TB, name string) *table.Mapping {
	t.Helper()
	text, err := os.ReadFile(tables + name)
	require.NoError(t, err)
	m, err := table.Parse(text)
	require.NoError(t, err)
	return m
}

// said is what Read yields, records and problems.
func said(t testing.TB, src io.Reader, m *table.Mapping) (all []any) {
	t.Helper()
	for rec, err := range table.Read(t.Context(), src, m, table.Options{}) {
		if p, ok := fhir.AsProblem(err); ok {
			all = append(all, *p)
			continue
		}
		require.NoError(t, err)
		all = append(all, rec)
	}
	return all
}

// TestAMappingReadsParquetAsCSV reads the tables of package table once as CSV and once as
// Parquet of text, by their mappings: ids, lines and problems are the same.
func TestAMappingReadsParquetAsCSV(t *testing.T) {
	t.Parallel()
	for name, mapping := range map[string]string{
		"examples/lab.csv": "examples/lab.yaml", "pbc/pbc.csv.gz": "pbc/pbc.yaml", "synthea/allergies.csv.gz": "synthea/allergies.yaml",
		"synthea/immunizations.csv.gz": "synthea/immunizations.yaml", "sdtm/dm.csv.gz": "sdtm/dm.yaml",
	} {
		f, err := os.Open(tables + name)
		require.NoError(t, err)
		defer f.Close()
		in, err := fhir.OpenInput(t.Context(), f, fhir.Options{})
		require.NoError(t, err)
		rows, err := csv.NewReader(in).ReadAll()
		require.NoError(t, err)
		var text bytes.Buffer
		w := csv.NewWriter(&text)
		require.NoError(t, w.WriteAll(rows))
		p, err := Open(t.Context(), bytes.NewReader(textTable(t, rows, 100)), fhir.Options{})
		require.NoError(t, err)
		m := mappingOf(t, mapping)
		want := said(t, &text, m)
		require.NotEmpty(t, want)
		require.Equal(t, want, said(t, p, m), name)
		require.NoError(t, p.Close())
	}
}

// TestTypedColumnsAreReadInTheMappingsNotation gives a mapping of decimal commas, Latin-1 and
// German dates a table of typed columns.
func TestTypedColumnsAreReadInTheMappingsNotation(t *testing.T) {
	t.Parallel()
	text := func(name, value string) testColumn {
		return testColumn{node: node(t, name, true, schema.StringLogicalType{}, parquet.Types.ByteArray, -1), values: []parquet.ByteArray{[]byte(value)}, levels: []int16{1}}
	}
	day := func(name string, value string) testColumn {
		at, err := time.Parse(time.DateOnly, value)
		require.NoError(t, err)
		return testColumn{node: node(t, name, true, schema.DateLogicalType{}, parquet.Types.Int32, -1), values: []int32{int32(at.Unix() / 86400)}, levels: []int16{1}}
	}
	b := written(t, [][]testColumn{{
		text("Patient", "4711"), day("Geburt", "1951-05-03"), text("Geschlecht", "w"), day("Datum", "2024-01-31"),
		{node: node(t, "RR sys", true, nil, parquet.Types.Int32, -1), values: []int32{142}, levels: []int16{1}},
		{node: node(t, "RR dia", true, nil, parquet.Types.Int32, -1), values: []int32{}, levels: []int16{0}},
		{node: node(t, "Gewicht", true, nil, parquet.Types.Double, -1), values: []float64{71.5}, levels: []int16{1}},
		{node: node(t, "HbA1c", true, schema.NewDecimalLogicalType(5, 2), parquet.Types.Int32, -1), values: []int32{740}, levels: []int16{1}},
		text("Raucher", "Größe"),
	}})
	p, err := Open(t.Context(), bytes.NewReader(b), fhir.Options{})
	require.NoError(t, err)
	defer p.Close()
	var values []string
	for _, one := range said(t, p, mappingOf(t, "examples/clinic.yaml")) {
		rec, ok := one.(fhir.Record)
		require.True(t, ok, "%v", one)
		switch r := rec.Resource.(type) {
		case *fhir.Patient:
			values = append(values, r.BirthDate.Text)
		case *fhir.Observation:
			value := r.Value.Concept.Text
			if r.Value.Quantity != nil {
				value = r.Value.Quantity.Value.Text
			}
			if r.Value.String != nil {
				value = *r.Value.String
			}
			values = append(values, r.Effective.Text+" "+value)
		}
	}
	require.Equal(t, []string{"1951-05-03", "2024-01-31 142", "2024-01-31 71.5", "2024-01-31 7.40", "2024-01-31 Größe"}, values)
}

// TestAProposalKnowsTheHeader proposes a mapping for a table that is all text, of which a
// CSV would leave a doubt whether its first row has names.
func TestAProposalKnowsTheHeader(t *testing.T) {
	t.Parallel()
	p, err := Open(t.Context(), bytes.NewReader(textTable(t, [][]string{{"word", "other"}, {"yes", "no"}, {"no", "yes"}}, 10)), fhir.Options{})
	require.NoError(t, err)
	defer p.Close()
	s, err := table.Suggest(t.Context(), p, "words")
	require.NoError(t, err)
	require.Contains(t, string(s.YAML), "[word, other]")
	require.NotContains(t, string(s.YAML), "header: false")
}
