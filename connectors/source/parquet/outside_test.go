package parquet

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// alltypes is the table of the files alltypes_*, as Impala has published it.
var alltypes = []string{
	"0,true,0,0,0,0,0,0,01/01/09,0,2009-01-01T00:00:00", "1,false,1,1,1,10,1.1,10.1,01/01/09,1,2009-01-01T00:01:00",
	"2,true,0,0,0,0,0,0,02/01/09,0,2009-02-01T00:00:00", "3,false,1,1,1,10,1.1,10.1,02/01/09,1,2009-02-01T00:01:00",
	"4,true,0,0,0,0,0,0,03/01/09,0,2009-03-01T00:00:00", "5,false,1,1,1,10,1.1,10.1,03/01/09,1,2009-03-01T00:01:00",
	"6,true,0,0,0,0,0,0,04/01/09,0,2009-04-01T00:00:00", "7,false,1,1,1,10,1.1,10.1,04/01/09,1,2009-04-01T00:01:00",
}

// TestPublishedFiles reads files of Apache's parquet-testing to the values that its
// documents give.
func TestPublishedFiles(t *testing.T) {
	t.Parallel()
	decimals := make([]string, 24)
	for i := range decimals {
		decimals[i] = fmt.Sprintf("%d.00", i+1)
	}
	lz4 := []string{"1593604800,abc,42", "1593604800,def,7.7", "1593604801,abc,42.125", "1593604801,def,7.7"}
	for name, want := range map[string][]string{
		"alltypes_plain.parquet":                    {alltypes[4], alltypes[5], alltypes[6], alltypes[7], alltypes[2], alltypes[3], alltypes[0], alltypes[1]},
		"alltypes_plain.snappy.parquet":             {alltypes[6], alltypes[7]},
		"alltypes_dictionary.parquet":               {alltypes[0], alltypes[1]},
		"byte_array_decimal.parquet":                decimals,
		"int32_decimal.parquet":                     decimals,
		"int64_decimal.parquet":                     decimals,
		"fixed_length_decimal.parquet":              decimals,
		"fixed_length_decimal_legacy.parquet":       decimals,
		"lz4_raw_compressed.parquet":                lz4,
		"float16_nonzeros_and_nans.parquet":         {"", "1", "-2", "NaN", "0", "-1", "-0", "2"},
		"page_v2_empty_compressed.parquet":          make([]string, 10),
		"datapage_v2_empty_datapage.snappy.parquet": {""},
		"int96_from_spark.parquet": { // the last one is beyond the year 9999 and of no use
			"2024-01-01T20:34:56.123456", "2024-01-01T01:00:00", "9999-12-31T03:00:00", "2024-12-30T23:00:00", "", "11465252-07-22T14:32:44.157935616",
		},
	} {
		text, err := textOf(t, input(t, name))
		require.NoError(t, err, name)
		require.Equal(t, want, strings.Split(strings.TrimSuffix(text, "\n"), "\n")[1:], name)
	}
}

// TestPublishedTables compares encodings by differences with the tables that were written.
func TestPublishedTables(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string]int{"delta_byte_array": 1000, "delta_encoding_optional_column": 100, "delta_encoding_required_column": 100} {
		want, err := csv.NewReader(bytes.NewReader(input(t, name+"_expect.csv"))).ReadAll()
		require.NoError(t, err)
		got := rowsOf(t, input(t, name+".parquet"))
		require.Len(t, got, rows+1)
		require.Equal(t, want[1:], got[1:], name)
	}
	fruit := rowsOf(t, input(t, "delta_length_byte_array.parquet"))
	for i, row := range fruit[1:] {
		require.Equal(t, fmt.Sprintf("apple_banana_mango%d", i*i), row[0])
	}
	require.Len(t, fruit, 1001)

	// Of each pair of columns the second is written in another encoding.
	pairs := rowsOf(t, input(t, "byte_stream_split_extended.gzip.parquet"))
	require.Len(t, pairs, 201)
	for _, row := range pairs[1:] {
		for i := 0; i < len(row); i += 2 {
			require.Equal(t, row[i], row[i+1], pairs[0][i])
		}
	}
	require.Len(t, rowsOf(t, input(t, "byte_stream_split.zstd.parquet")), 301)
	require.Len(t, rowsOf(t, input(t, "nation.dict-malformed.parquet")), 26, "25 nations")
}

// TestWhatIsRefused names why a published file is no table that can be read.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]fhir.Rule{
		"list_columns.parquet":                               RuleNested,
		"uniform_encryption.parquet.encrypted":               RuleUnsupported,
		"encrypt_columns_plaintext_footer.parquet.encrypted": RuleUnsupported,
		"hadoop_lz4_compressed.parquet":                      RuleUnsupported,
		"unknown-logical-type.parquet":                       RuleCorrupt, // a type that was made up for it
		"bad/PARQUET-1481.parquet":                           RuleUnsupported,
		"bad/ARROW-RS-GH-6229-DICTHEADER.parquet":            RuleCorrupt,
		"bad/ARROW-GH-47662.parquet":                         RuleCorrupt,
	} {
		_, err := textOf(t, input(t, name))
		p, ok := fhir.AsProblem(err)
		require.True(t, ok, "%s: %v", name, err)
		require.Equal(t, want, p.Rule, name)
		require.NotEmpty(t, p.Detail)
		if want == RuleNested {
			require.Equal(t, "column[1]", p.Path)
		}
	}
	require.False(t, slices.ContainsFunc([]string{"", "PAR", "PK\x03\x04", "a,b\n"}, func(head string) bool { return Detect([]byte(head)) }))
}
