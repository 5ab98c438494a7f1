package table

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
)

const header = "pid,day,test,value,unit\n"

func parse(t testing.TB, text string) *Mapping {
	t.Helper()
	m, err := Parse([]byte(text))
	require.NoError(t, err, text)
	return m
}

func rules(list []*fhir.Problem) (all []string) {
	for _, p := range list {
		all = append(all, fmt.Sprintf("%d %s %s", p.Line, p.Rule, p.Path))
	}
	return all
}

func TestARowIsAProblemOrARecord(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rows    string
		want    []string
		records int
	}{
		"good":                     {"1,2024-01-31,2823-3,5.9,mmol/L\n", nil, 1},
		"blank rows":               {"\n,,,,\n1,2024-01-31,2823-3,5.9,mmol/L\n\n", nil, 1},
		"a delimiter at the end":   {"1,2024-01-31,2823-3,5.9,mmol/L,\n", nil, 1},
		"too few cells":            {"1,2024-01-31,2823-3,5.9\n", []string{"2 ragged-row "}, 0},
		"too many cells":           {"1,2024-01-31,2823-3,5.9,mmol/L,x\n", []string{"2 ragged-row "}, 0},
		"no patient":               {",2024-01-31,2823-3,5.9,mmol/L\n", []string{"2 no-patient pid"}, 0},
		"a mangled patient":        {"4.28E+14,2024-01-31,2823-3,5.9,mmol/L\n", []string{"2 spreadsheet pid"}, 0},
		"the header again":         {strings.TrimSpace(header) + "\n", []string{"2 repeated-row pid"}, 0},
		"the row again":            {"1,2024-01-31,2823-3,5.9,mmol/L\n1,2024-01-31,2823-3,5.9,mmol/L\n", []string{"3 repeated-row pid, test, day"}, 1},
		"the key again":            {"1,2024-01-31,2823-3,5.9,mmol/L\n1,2024-01-31,2823-3,6.9,mmol/L\n", []string{"3 repeated-key pid, test, day"}, 1},
		"two without a patient":    {",2024-01-31,2823-3,5.9,mmol/L\n,2024-01-31,2823-3,6.9,mmol/L\n", []string{"2 no-patient pid", "3 no-patient pid"}, 0},
		"no time":                  {"1,,2823-3,5.9,mmol/L\n", []string{"2 missing-field day"}, 0},
		"a bad time":               {"1,31.1.2024,2823-3,5.9,mmol/L\n", []string{"2 invalid-time day"}, 0},
		"a spreadsheet's day":      {"1,45322,2823-3,5.9,mmol/L\n", []string{"2 spreadsheet day"}, 0},
		"no code":                  {"1,2024-01-31,,5.9,mmol/L\n", []string{"2 missing-field test"}, 0},
		"a code turned to a month": {"1,2024-01-31,8-Jan,5.9,mmol/L\n", []string{"2 spreadsheet test"}, 0},
		"a number in other form":   {"1,2024-01-31,2823-3,\"5,9\",mmol/L\n", []string{"2 invalid-number value"}, 0},
		"digits lost":              {"1,2024-01-31,2823-3,1E+05,mmol/L\n", []string{"2 spreadsheet value"}, 0},
		"a formula's error":        {"1,2024-01-31,2823-3,#DIV/0!,mmol/L\n", []string{"2 spreadsheet value"}, 0},
		"no value":                 {"1,2024-01-31,2823-3,,mmol/L\n", nil, 1},
		"a quote left open":        {"\"1,2024-01-31,2823-3,5.9,mmol/L\n1,2024-01-31,2823-3,5.9,mmol/L\n", []string{"2 malformed-row "}, 1},
		"not UTF-8":                {"1,2024-01-31,2823-3,\xe9,mmol/L\n", []string{"2 invalid-utf8 "}, 0},
		"a NUL":                    {"1,2024-01-31,2823-3,\x00,mmol/L\n", []string{"2 forbidden-character "}, 0},
	} {
		g := readAll(t, parse(t, small), []byte(header+c.rows), Options{})
		require.Equal(t, c.want, rules(g.problems), name)
		require.Len(t, g.records, c.records, name)
	}
}

func TestAHeaderHasTheColumnsOfTheMapping(t *testing.T) {
	t.Parallel()
	const row = "1,2024-01-31,2823-3,5.9,mmol/L"
	for name, c := range map[string]struct {
		text, settings string
		want           []string
	}{
		"another order":       {"day,pid,test,unit,value\n2024-01-31,1,2823-3,mmol/L,5.9\n", "", nil},
		"semicolons":          {strings.ReplaceAll(header+row, ",", ";"), "", nil},
		"tabs":                {strings.ReplaceAll(header+row, ",", "\t"), "", nil},
		"bars":                {strings.ReplaceAll(header+row, ",", "|"), "", nil},
		"a separator line":    {"sep=;\n" + strings.ReplaceAll(header+row, ",", ";"), "", nil},
		"blank lines before":  {"\r\n\n" + header + row, "", nil},
		"names in quotes":     {`"pid","day","test","value","unit"` + "\n" + row, "", nil},
		"names at the end":    {strings.TrimSpace(header) + ",,\n" + row + ",,\n", "", nil},
		"one is missing":      {"pid,day,test,value\n", "", []string{"1 wrong-header unit"}},
		"one more":            {"pid,day,test,value,unit,more\n" + row + ",x\n", "", []string{"1 wrong-header "}},
		"one more, allowed":   {"pid,day,test,value,unit,more\n" + row + ",x\n", "extra: true", nil},
		"one twice":           {"pid,day,test,value,unit,day\n", "extra: true", []string{"1 wrong-header day"}},
		"in other letters":    {"PID,day,test,value,unit\n", "", []string{"1 wrong-header pid"}},
		"empty":               {"", "", []string{"1 wrong-header "}},
		"no header, declared": {row + "\n", "header: false", nil},
		"no header, too wide": {row + ",x\n", "header: false", []string{"1 wrong-header "}},
	} {
		g := readAll(t, parse(t, adding(c.settings)), []byte(c.text), Options{})
		require.Equal(t, c.want, rules(g.problems), name)
		if c.want == nil {
			require.Len(t, g.records, 1, name)
			require.Equal(t, "5.9", g.records[0].Resource.(*fhir.Observation).Value.Quantity.Value.Text, name)
		}
	}
}

func TestTextIsReadInEveryEncoding(t *testing.T) {
	t.Parallel()
	const text = "pid,day,test,value,unit\r\n1,2024-01-31,2823-3,Größe µ,mmol/L\r\n"
	utf16, err := unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder().String(text)
	require.NoError(t, err)
	little, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(text)
	require.NoError(t, err)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err = w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for name, c := range map[string]struct{ text, settings string }{
		"UTF-8": {text, ""}, "with its mark": {byteOrderMark + text, ""}, "UTF-16 big-endian": {utf16, ""}, "UTF-16 little-endian": {little, ""},
		"gzip": {zipped.String(), ""}, "Latin-1": {"pid,day,test,value,unit\n1,2024-01-31,2823-3,Gr\xf6\xdfe \xb5,mmol/L\n", "encoding: latin-1"},
		"UTF-8 marked in Latin-1": {byteOrderMark + text, "encoding: latin-1"},
	} {
		g := readAll(t, parse(t, adding(c.settings)), []byte(c.text), Options{})
		require.Empty(t, rules(g.problems), name)
		require.Equal(t, "Größe µ", *g.records[0].Resource.(*fhir.Observation).Value.String, name)
		require.Equal(t, 2, g.records[0].Line)
	}
}

func TestCharactersThatNobodySeesAreRemovedAndCounted(t *testing.T) {
	t.Parallel()
	text := "\u200bpid,day,test\u00a0,value,unit\n\ufeff1,2024-01-31,\u200b2823-3,5.9,mmol/L\u00a0\n2,2024-01-31,2823-3,\u00a05.9,mmol/L\n"
	g := readAll(t, parse(t, small), []byte(text), Options{})
	require.Empty(t, rules(g.problems))
	o := g.records[0].Resource.(*fhir.Observation)
	require.Equal(t, "2823-3", o.Code.Coding[0].Code)
	require.Equal(t, "mmol/L", o.Value.Quantity.Code)
	require.Equal(t, fhir.Digest("Patient", "lab", "1"), o.Subject.ID)
	require.Equal(t, map[string]int64{"pid": 2, "test": 2, "unit": 1}, g.tally.Cleaned, "names and cells that are codes, units or numbers of patients")
}

// TestEveryRowIsCountedOnce as one that made records, made none for a reason, or was passed
// over, whatever stands in it.
func TestEveryRowIsCountedOnce(t *testing.T) {
	t.Parallel()
	const long = "null: [NA]"
	when := with("      time: day", "      when: {unit: [mmol/L]}\n      time: day")
	wide := adding(long)
	wide = wide[:strings.Index(wide, "records:")] + "records:\n  - observation:\n      time: day\n      wide:\n        value: {code: a}\n        unit: {code: b}\n"
	for name, c := range map[string]struct {
		mapping, rows string
		want          map[string]int64
	}{
		"a null for a code": {adding(long), "1,2024-01-31,NA,5.9,mmol/L\n", map[string]int64{"problem missing-field of test": 1}},
		"a null for a time": {adding(long), "1,NA,2823-3,5.9,mmol/L\n", map[string]int64{"problem missing-field of day": 1}},
		"a bad number":      {adding(long), "1,2024-01-31,2823-3,1E+05,mmol/L\n", map[string]int64{"problem spreadsheet of value": 1}},
		"no when":           {when, "1,2024-01-31,2823-3,5.9,mg/dL\n1,2024-01-31,2823-3,5.9,mmol/L\n", map[string]int64{reasonWhen: 1}},
		"nothing measured":  {wide, "1,2024-01-31,2823-3,NA,\n", map[string]int64{reasonEmpty: 1}},
		"passed over":       {adding(long), "NA,2024-01-31,2823-3,5.9,mmol/L\n", nil},
	} {
		g := readAll(t, parse(t, c.mapping), []byte(header+c.rows), Options{})
		require.Equal(t, c.want, g.tally.Reasons, name)
		require.Equal(t, g.tally.Rows, g.tally.Used+g.tally.Unused+g.tally.Skipped, name)
	}
	mappings := []*Mapping{parse(t, adding(long)), parse(t, when), parse(t, wide)}
	cell := rapid.SampledFrom([]string{"1", "2", "NA", "", "2024-01-31", "2823-3", "5.9", "1E+05", "mmol/L"})
	rapid.Check(t, func(rt *rapid.T) {
		m, n := rapid.SampledFrom(mappings).Draw(rt, "mapping"), rapid.IntRange(1, 8).Draw(rt, "rows")
		text := header
		for range n {
			text += "x" + strings.Join(rapid.SliceOfN(cell, 5, 5).Draw(rt, "cells"), ",") + "\n"
		}
		g := readAll(t, m, []byte(text), Options{})
		lines := map[int]bool{}
		for _, rec := range g.records {
			lines[rec.Line] = true
		}
		reasons := int64(0)
		for _, count := range g.tally.Reasons {
			reasons += count
		}
		require.Equal(rt, []int64{int64(n), int64(len(lines)), reasons}, []int64{g.tally.Rows, g.tally.Used, g.tally.Unused})
		require.Equal(rt, g.tally.Rows, g.tally.Used+g.tally.Unused+g.tally.Skipped)
	})
}

func TestUnitsAndCodesThatAreNotUnderstoodAreCounted(t *testing.T) {
	t.Parallel()
	rows := "1,2024-01-31,2823-3,5.9,mgs\n2,2024-01-31,2823-3,5.9,mgs\n3,2024-01-31,2823-4,5.9,mmol/L\n"
	g := readAll(t, parse(t, small), []byte(header+rows), Options{})
	require.Empty(t, g.problems)
	require.Len(t, g.records, 3, "they are handed on")
	require.Equal(t, fhir.Quantity{Unit: "mgs"}, withoutValue(g.records[0]))
	require.Equal(t, map[string]int64{"mgs": 2}, g.tally.Units)
	require.Equal(t, map[Unknown]int64{{"test", "2823-4"}: 1}, g.tally.Codes)

	g = readAll(t, parse(t, adding("units: {mgs: mg/dL}")), []byte(header+rows), Options{})
	require.Equal(t, fhir.Quantity{Unit: "mgs", System: ucums, Code: "mg/dL"}, withoutValue(g.records[0]))
	require.Empty(t, g.tally.Units)

	var tally Tally
	for i := range maxListed + 10 {
		tally.unit(fmt.Sprint("u", i))
		tally.code("test", fmt.Sprint("c", i))
	}
	tally.unit(strings.Repeat("x", 41))
	require.Len(t, tally.Units, maxListed+1)
	require.Len(t, tally.Codes, maxListed+1)
	require.Equal(t, int64(11), tally.Units["..."], "the rest is counted together")
}

func withoutValue(rec fhir.Record) fhir.Quantity {
	q := *rec.Resource.(*fhir.Observation).Value.Quantity
	q.Value = nil
	return q
}

func TestConditionsChooseRecords(t *testing.T) {
	t.Parallel()
	m := parse(t, with("  - observation:\n", "  - observation:\n      when: {unit: [mmol/L, mol/L]}\n"))
	g := readAll(t, m, []byte(header+"1,2024-01-31,2823-3,5.9,mmol/L\n1,2024-01-31,2823-3,5.9,g\n1,2024-01-31,2823-3,5.9,g\n"), Options{})
	require.Len(t, g.records, 1)
	require.Empty(t, g.problems, "rows that no record is for are not looked at")
	require.Equal(t, Tally{Rows: 3, Used: 1, Unused: 2, Reasons: map[string]int64{reasonWhen: 2}}, g.tally)
}

func TestNullsSayThatThereIsNothing(t *testing.T) {
	t.Parallel()
	g := readAll(t, parse(t, adding(`null: [NA, ".", -999]`)), []byte(header+"1,2024-01-31,2823-3,NA,.\n2,2024-01-31,2823-3,-999,.\nNA,2024-01-31,2823-3,1,.\n"), Options{})
	require.Equal(t, []string{"4 no-patient pid"}, rules(g.problems))
	for _, rec := range g.records {
		o := rec.Resource.(*fhir.Observation)
		require.True(t, isNothing(o.Value))
		require.Equal(t, "unknown", o.Absent.Coding[0].Code)
	}
	require.Len(t, g.records, 2)
}

// TestReadingTwiceChangesNothing: ids depend on what rows say, not on their order.
func TestReadingTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	ids := func(text string) []string {
		var all []string
		for _, rec := range readAll(t, parse(t, small), []byte(text), Options{}).records {
			all = append(all, rec.ID)
		}
		slices.Sort(all)
		return all
	}
	a, b := "1,2024-01-31,2823-3,5.9,mmol/L\n", "1,2024-02-01,2823-3,6.0,mmol/L\n"
	require.Equal(t, ids(header+a+b), ids(header+b+a))
	require.Equal(t, ids(header+a), ids(header+strings.Replace(a, "5.9", "5.8", 1)), "a corrected value has the same id")
	require.NotEqual(t, ids(header+a), ids(header+b))
}

// TestIDsDifferByAllThatMakesThem: patient, declared key, mapping and kind.
func TestIDsDifferByAllThatMakesThem(t *testing.T) {
	t.Parallel()
	id := func(mapping, row string) string {
		g := readAll(t, parse(t, mapping), []byte(header+row), Options{})
		require.Len(t, g.records, 1, rules(g.problems))
		return g.records[0].ID
	}
	seen := map[string]bool{}
	row := "1,2024-01-31,2823-3,5.9,mmol/L"
	keyed := adding("key: [value]")
	all := []string{
		id(small, row), id(small, strings.Replace(row, "1,", "2,", 1)), id(small, strings.Replace(row, "31", "30", 1)), id(small, strings.Replace(row, "2823-3", "2345-7", 1)),
		id(with("name: small", "name: other"), row), id(with("authority: lab", "authority: other"), row), id(keyed, row), id(keyed, strings.Replace(row, "5.9", "6.9", 1)),
	}
	for _, one := range all {
		seen[one] = true
	}
	require.Len(t, seen, len(all))
	require.Equal(t, id(keyed, row), id(keyed, strings.Replace(row, "31", "30", 1)), "a declared key is the whole key")
}

// TestAPatientIsTheSameOneInHL7: number and authority make the id there as well.
func TestAPatientIsTheSameOneInHL7(t *testing.T) {
	t.Parallel()
	const message = "MSH|^~\\&|A|F|||2024||ADT^A01|1|P|2.5\rPID|1||0017^^^NORTH^MR||X||1950\rPV1|1|I|||||||||||||||||C9^^^NORTH\r"
	want := map[string]string{}
	for rec, err := range hl7v2.Read(t.Context(), strings.NewReader(message), hl7v2.Options{}) {
		require.NoError(t, err)
		want[rec.Type] = rec.ID
	}
	m := &Mapping{authority: "NORTH"}
	patient, ok := m.named("Patient", "0017")
	require.True(t, ok)
	require.Equal(t, want["Patient"], patient)
	visit, ok := m.named("Encounter", "C9")
	require.True(t, ok)
	require.Equal(t, want["Encounter"], visit)
}

func TestWithoutAnAuthorityNumbersAreIDsOfFHIR(t *testing.T) {
	t.Parallel()
	m := parse(t, with("  authority: lab\n", ""))
	g := readAll(t, m, []byte(header+"p-17,2024-01-31,2823-3,5.9,mmol/L\np 17,2024-01-31,2823-3,5.9,mmol/L\n"), Options{})
	require.Equal(t, "p-17", g.records[0].Resource.(*fhir.Observation).Subject.ID)
	require.Equal(t, []string{"3 invalid-id pid"}, rules(g.problems))
}

func TestLimitsHold(t *testing.T) {
	t.Parallel()
	row := "1,2024-01-31,2823-3,%s,mmol/L\n"
	for name, c := range map[string]struct {
		opts  Options
		value string
		want  string
	}{
		"of a cell":  {Options{MaxCell: 10}, strings.Repeat("x", 11), "2 too-large "},
		"of a row":   {Options{Limits: fhir.Options{MaxRecord: 100}}, strings.Repeat("x", 101), "2 too-large "},
		"of columns": {Options{MaxColumns: 5}, "a,b", "2 too-large "},
	} {
		g := readAll(t, parse(t, small), fmt.Appendf(nil, header+row+row, c.value, "5.9"), c.opts)
		require.Equal(t, []string{c.want}, rules(g.problems), name)
		require.Len(t, g.records, 1, "%s: reading goes on", name)
	}
	g := readAll(t, parse(t, small), fmt.Appendf(nil, header+row+row, "1", "2"), Options{Limits: fhir.Options{MaxTotal: 60}})
	require.Equal(t, fhir.RuleTooLarge, g.problems[len(g.problems)-1].Rule)

	many := header + "1,2024-01-31,2823-3,1,g\n2,2024-01-31,2823-3,1,g\n1,2024-01-31,2823-3,1,g\n2,2024-01-31,2823-3,1,g\n"
	g = readAll(t, parse(t, small), []byte(many), Options{Limits: fhir.Options{MaxTracked: 1}})
	require.Equal(t, []string{"4 repeated-row pid, test, day"}, rules(g.problems), "only the first key is remembered")
	require.Equal(t, int64(3), g.tally.Untracked+g.tally.Skipped, "and that is said")
}

func TestDamagedGzipAndFailingSourcesAreTold(t *testing.T) {
	t.Parallel()
	raw := file(t, "synthea/observations.csv.gz")
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write(raw)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	m := mapping(t, "synthea/observations.yaml")
	g := readAll(t, m, zipped.Bytes()[:zipped.Len()/2], Options{})
	require.Equal(t, fhir.RuleTruncated, g.problems[len(g.problems)-1].Rule)
	require.NotEmpty(t, g.records)

	broken := errors.New("disk")
	var last error
	for _, err := range Read(t.Context(), io.MultiReader(bytes.NewReader(raw), iotest.ErrReader(broken)), m, Options{}) {
		last = err
	}
	require.ErrorIs(t, last, broken)
	_, problem := fhir.AsProblem(last)
	require.False(t, problem, "the data are not to blame")
}

func TestReadingStopsWhenItsCallerDoes(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m, raw, n := mapping(t, "sdtm/lbur.yaml"), file(t, "sdtm/lbur.csv.gz"), 0
	var last error
	for _, err := range Read(ctx, bytes.NewReader(raw), m, Options{}) {
		if n++; n == 10 {
			cancel()
		}
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
	require.Less(t, n, 5000)
	for range Read(t.Context(), bytes.NewReader(raw), m, Options{}) {
		break // must not panic
	}
	for range Read(t.Context(), strings.NewReader("x\n"), m, Options{}) {
		break
	}
}

func TestRecordsNeitherPrintNorMarshal(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"synthea/observations", "synthea/patients"} {
		rec := readAll(t, mapping(t, name+".yaml"), file(t, name+".csv.gz"), Options{}).records[0]
		require.Equal(t, "fhir:redacted", fmt.Sprintf("%v", rec))
		require.Equal(t, "fhir:redacted", fmt.Sprintf("%+v", rec.Resource))
		_, err := json.Marshal(rec)
		require.Error(t, err)
	}
}

// TestADescriptionSaysWhatFieldsAreAndNotWhatTheySay for each kind of record.
func TestADescriptionSaysWhatFieldsAreAndNotWhatTheySay(t *testing.T) {
	t.Parallel()
	for name := range synthea {
		text := file(t, "synthea/"+name+".csv.gz")
		row := independently(t, text)[0]
		rec := readAll(t, mapping(t, "synthea/"+name+".yaml"), text, Options{}).records[0]
		hidden, shown := strings.Join(Describe(rec, false), "; "), strings.Join(Describe(rec, true), "; ")
		require.Contains(t, shown, "patient "+cmp.Or(row["PATIENT"], row["Id"]), name)
		require.Contains(t, hidden, "patient: id", name)
		for column, cell := range row {
			if len(cell) > 3 && column != "SYSTEM" {
				require.NotContains(t, hidden, cell, name)
			}
		}
	}
}

// TestProblemsHoldNothingOfTheFile: whatever stands in cells, a problem has the mapping's
// words only.
func TestProblemsHoldNothingOfTheFile(t *testing.T) {
	t.Parallel()
	m := parse(t, adding("codes:\n  test:\n    K: LOINC 2823-3"))
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.SampledFrom([]string{"SECRET", "\"SECRET", "1E+05", "SECRET,", "2024-01-31", "K", "5.9", "", "#N/A", "\xff"})
		var b strings.Builder
		b.WriteString(header)
		for range rapid.IntRange(1, 6).Draw(t, "rows") {
			b.WriteString(strings.Join(rapid.SliceOfN(cell, 5, 5).Draw(t, "cells"), ",") + "\n")
		}
		for _, err := range Read(t.Context(), strings.NewReader(b.String()), m, Options{}) {
			if err != nil {
				require.NotContains(t, err.Error(), "SECRET")
				require.NotContains(t, err.Error(), "E+05:")
			}
		}
	})
}
