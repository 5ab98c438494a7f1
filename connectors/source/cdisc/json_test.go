package cdisc

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// described is the beginning of a data set in Dataset-JSON, without its closing brace.
const described = `{"datasetJSONVersion":"1.1.0","sourceSystem":{"name":"SAS"},"records":%d,"name":"MH","columns":[` +
	`{"name":"STUDYID"},{"name":"DOMAIN"},{"name":"USUBJID"},{"name":"MHSEQ"},{"name":"MHTERM"},{"name":"MHDTC"}]`

const row = `["S","MH","S-1",%s,%s,"2014"]`

// bothForms are the rows as one document and as lines.
func bothForms(rows ...string) []string {
	head := fmt.Sprintf(described, len(rows))
	return []string{
		head + `,"rows":[` + strings.Join(rows, ",\n") + "]}",
		head + "}\n" + strings.Join(rows, "\n") + "\n",
	}
}

func TestValuesOfRowsAreTexts(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`"plain"`: "plain", `"a \"b\" \\ c, [d]"`: `a "b" \ c, [d]`, `"\u00e9\ud83d\ude00"`: "é😀", `1.50`: "1.50", `true`: "true", `-1e3`: "-1e3",
	} {
		for _, text := range bothForms(fmt.Sprintf(row, "1", value)) {
			require.True(t, Detect([]byte(text)))
			require.Equal(t, want, only[*fhir.Condition](t, text).Code.Text)
		}
	}
	for _, text := range bothForms(fmt.Sprintf(row, "1", "null")) {
		require.Equal(t, map[fhir.Rule]int{fhir.RuleMissingField: 1}, readText(t, text).rules())
	}
}

func TestBadRowsAreNamedAndTheOthersRead(t *testing.T) {
	t.Parallel()
	good := fmt.Sprintf(row, "9", `"x"`)
	for bad, rule := range map[string]fhir.Rule{
		`["S","MH","S-1",1,"x"]`:                     RuleRaggedRow,
		`["S","MH","S-1",1,"x","2014","more"]`:       RuleRaggedRow,
		`["S","MH","S-1",1,["x"],"2014"]`:            fhir.RuleWrongType,
		`{"STUDYID":"S"}`:                            fhir.RuleWrongType,
		`null`:                                       fhir.RuleWrongType,
		"[\"S\",\"MH\",\"S-1\",1,\"\xff\",\"2014\"]": fhir.RuleInvalidUTF8,
		`["S","MH","",1,"x","2014"]`:                 RuleNoPatient,
		`["","MH","S-1",1,"x","2014"]`:               RuleNoPatient,
		`["S","mh","S-1",1,"x","2014"]`:              RuleWrongDomain,
		`["S","MH","S-1",9,"y","2014"]`:              RuleRepeatedKey,
		`["S","MH","S-1",9,"x","2014"]`:              RuleRepeatedRow,
		`["S","MH","S-1",1,"x","14 May"]`:            fhir.RuleInvalidTime,
		`["S","MH","S-1",1,"a\u0000","2014"]`:        fhir.RuleForbiddenCharacter,
	} {
		for form, text := range bothForms(good, bad, fmt.Sprintf(row, "10", `"x"`)) {
			g := readText(t, text)
			require.Equal(t, map[fhir.Rule]int{rule: 1}, g.rules(), bad)
			require.Equal(t, 2+form, g.problems[0].Line, "the number of the row, or its line")
			require.Len(t, g.records, 2)
			require.NotContains(t, g.problems[0].Error(), "14 May")
		}
	}
}

func TestDamagedDataSetsAreProblems(t *testing.T) {
	t.Parallel()
	whole := bothForms(fmt.Sprintf(row, "1", `"x"`), fmt.Sprintf(row, "2", `"x"`))
	for _, c := range []struct {
		text string
		rule fhir.Rule
		rows int
	}{
		{whole[0][:len(whole[0])-20], fhir.RuleTruncated, 1},
		{whole[0][:200], fhir.RuleTruncated, 0},
		{whole[0] + "{}", fhir.RuleMalformedJSON, 2},
		{whole[1] + "[\n", fhir.RuleMalformedJSON, 2},
		{strings.Replace(whole[0], `"MH","S-1",2`, `"MH" "S-1",2`, 1), fhir.RuleMalformedJSON, 1},
		{strings.Replace(whole[0], `"records":2`, `"records":3`, 1), RuleRowCount, 2},
		{strings.Replace(whole[1], `"records":2`, `"records":1`, 1), RuleRowCount, 2},
		{strings.Replace(whole[0], "1.1.0", "1.0.0", 1), RuleUnsupportedVersion, 0},
		{strings.Replace(whole[0], `"columns"`, `"items"`, 1), fhir.RuleMissingField, 0},
		{strings.Replace(whole[0], `"name":"MH"`, `"name":7`, 1), fhir.RuleWrongType, 0},
		{strings.Replace(whole[0], `"rows":[`, `"rows":{"a":[`, 1), fhir.RuleWrongType, 0},
		{strings.Replace(whole[0], `[{`, `[`+strings.Repeat(`{"name":"A"},`, 10_001)+`{`, 1), fhir.RuleTooLarge, 0},
	} {
		g := readText(t, c.text)
		require.Positive(t, g.rules()[c.rule], "%.200s", c.text)
		require.Len(t, g.records, c.rows)
	}
}

// TestRowsOverTheLimitAreNotRead, in memory that does not depend on them.
func TestRowsOverTheLimitAreNotRead(t *testing.T) {
	t.Parallel()
	for _, text := range bothForms(fmt.Sprintf(row, "1", `"x"`), fmt.Sprintf(row, "2", `"`+strings.Repeat("x", 20_000)+`"`)) {
		g := readAll(t, strings.NewReader(text), fhir.Options{MaxRecord: 4096})
		require.Equal(t, map[fhir.Rule]int{fhir.RuleTooLarge: 1}, g.rules())
		require.Len(t, g.records, 1)
	}
}

// TestCompressedDataSetsAreRead: zlib as the specification has it, within the limits.
func TestCompressedDataSetsAreRead(t *testing.T) {
	t.Parallel()
	squeeze := func(text string) string {
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		return b.String()
	}
	for _, text := range bothForms(fmt.Sprintf(row, "1", `"x"`)) {
		zipped := squeeze(text)
		require.True(t, Detect([]byte(zipped)))
		require.Equal(t, "x", only[*fhir.Condition](t, zipped).Code.Text)
		require.Equal(t, map[fhir.Rule]int{fhir.RuleTruncated: 1}, readText(t, zipped[:len(zipped)-20]).rules())
		require.Equal(t, map[fhir.Rule]int{fhir.RuleCorruptGzip: 1}, readText(t, zipped[:len(zipped)-1]+"?").rules())
		require.Equal(t, map[fhir.Rule]int{fhir.RuleTooLarge: 1}, readAll(t, strings.NewReader(zipped), fhir.Options{MaxTotal: int64(len(zipped)) + 10}).rules())
	}
	bomb := squeeze(bothForms(fmt.Sprintf(row, "1", `"x"`))[1] + strings.Repeat(" \n", 1<<20))
	require.Equal(t, map[fhir.Rule]int{fhir.RuleGzipExpansion: 1}, readText(t, bomb).rules())
	require.False(t, Detect([]byte("x^2 is no stream")))
}

func TestWhatKeepsTheSourceFromBeingReadEndsReading(t *testing.T) {
	t.Parallel()
	gone := errors.New("disk gone")
	for _, text := range append(bothForms(fmt.Sprintf(row, "1", `"x"`)), library(false, subjects), rowOf("DOMAIN=DM", "SEX=F")) {
		var last error
		for _, err := range Read(t.Context(), iotest.TimeoutReader(iotest.DataErrReader(&failing{text, gone})), fhir.Options{}) {
			last = err
		}
		require.Error(t, last)
		_, problem := fhir.AsProblem(last)
		require.False(t, problem, "%v", last)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, err := range Read(ctx, strings.NewReader(text), fhir.Options{}) {
			require.ErrorIs(t, err, context.Canceled)
		}
		for range Read(t.Context(), strings.NewReader(text), fhir.Options{}) {
			break // the caller has had enough
		}
	}
}

// failing gives a text and fails at its end.
type failing struct {
	text string
	err  error
}

func (f *failing) Read(p []byte) (int, error) {
	n := copy(p, f.text)
	f.text = f.text[n:]
	if n == 0 {
		return 0, f.err
	}
	return n, nil
}
