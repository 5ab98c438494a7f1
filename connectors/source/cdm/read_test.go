package cdm_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

func read(t testing.TB, src io.Reader, opts fhir.Options) (rows []*cdm.Row, problems []*fhir.Problem) {
	t.Helper()
	for rec, err := range cdm.Read(t.Context(), src, opts) {
		if p, bad := fhir.AsProblem(err); bad {
			problems = append(problems, p)
			continue
		}
		require.NoError(t, err)
		row := rec.Resource.(*cdm.Row)
		require.Equal(t, row.Table.Name, rec.Type)
		rows = append(rows, row)
	}
	return rows, problems
}

func file(lines ...string) io.Reader { return strings.NewReader(strings.Join(lines, "\n") + "\n") }

func zipped(text string) io.Reader {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return &out
}

// TestTablesOfARealCDM reads what Eunomia has exported: headers in upper, lower and
// mixed case, and SQL instead of the names of columns.
func TestTablesOfARealCDM(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{
		"person": 55, "observation_period": 107, "visit_occurrence": 25, "condition_occurrence": 1290, "drug_exposure": 1381,
		"procedure_occurrence": 590, "measurement": 892, "observation": 20, "death": 0,
	} {
		f, err := os.Open(filepath.Join("testdata/gibleed", name+".csv.gz"))
		require.NoError(t, err)
		defer f.Close()
		rows, problems := read(t, f, fhir.Options{})
		require.Empty(t, problems, name)
		require.Len(t, rows, want, name)
		for _, r := range rows {
			require.Equal(t, name, r.Table.Name)
			require.Empty(t, r.Defects)
			require.True(t, r.Has("person_id"))
		}
		if name == "person" {
			require.EqualValues(t, 6, rows[0].Int("person_id"))
			require.Equal(t, "1963-12-31", rows[0].Time("birth_datetime").Format(time.DateOnly), "under the header date(birth_datetime,'unixepoch')")
			require.Equal(t, "001f4a87-70d0-435c-a4b9-1425f6928d33", rows[0].Text("person_source_value"))
		}
	}
}

const conditionHead = "condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_type_concept_id"

func TestATableIsFoundInItsHeader(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		head, want string // "" for no table
	}{
		"as the CDM has it":            {conditionHead, "condition_occurrence"},
		"in capitals":                  {strings.ToUpper(conditionHead), "condition_occurrence"},
		"in quotes":                    {`"` + strings.ReplaceAll(conditionHead, ",", `","`) + `"`, "condition_occurrence"},
		"with tabs":                    {strings.ReplaceAll(conditionHead, ",", "\t"), "condition_occurrence"},
		"with a byte order mark":       {"\xef\xbb\xbf" + conditionHead, "condition_occurrence"},
		"with CRLF":                    {conditionHead + "\r", "condition_occurrence"},
		"in another order":             {"person_id,condition_concept_id,condition_occurrence_id,condition_start_date", "condition_occurrence"},
		"with a column of the site's":  {conditionHead + ",ward", "condition_occurrence"},
		"an era":                       {"condition_era_id,person_id,condition_concept_id,condition_era_start_date,condition_era_end_date", "condition_era"},
		"death":                        {"person_id,death_date", "death"},
		"a vocabulary":                 {"concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\tvalid_start_date\tvalid_end_date\tinvalid_reason", "concept"},
		"an expression without a name": {"person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,strftime('%Y'),race_concept_id,ethnicity_concept_id,location_id,provider_id,care_site_id,person_source_value,gender_source_value,gender_source_concept_id,race_source_value,race_source_concept_id,ethnicity_source_value,ethnicity_source_concept_id", "person"},
		"without the key":              {"person_id,condition_concept_id,condition_start_date,condition_type_concept_id", ""},
		"a list of laboratory values":  {"person_id,code,value,unit,date", ""},
		"results of Achilles":          {"analysis_id,stratum_1,stratum_2,stratum_3,stratum_4,stratum_5,count_value", ""},
		"the CDM among others":         {conditionHead + strings.Repeat(",x", 9), ""},
		"FHIR":                         {`{"resourceType":"Patient","person_id":1}`, ""},
		"HL7 v2":                       {`MSH|^~\&|A,B`, ""},
		"one word":                     {"person_id", ""},
		"nothing":                      {"", ""},
	} {
		require.Equal(t, c.want != "", cdm.Detect([]byte(c.head+"\n")), name)
		for _, src := range []io.Reader{file(c.head), zipped(c.head + "\n")} {
			if table := cdm.Recognize(src); c.want == "" {
				require.Nil(t, table, name)
			} else {
				require.Equal(t, c.want, table.Name, name)
			}
		}
	}
	require.False(t, cdm.Detect([]byte(conditionHead)), "the first line may go on")
	require.Nil(t, cdm.Recognize(strings.NewReader("\x1f\x8b")))
}

// TestColumnsOf53: the visit's columns were renamed in 5.4.
func TestColumnsOf53(t *testing.T) {
	t.Parallel()
	rows, problems := read(t, file("visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_end_date,visit_type_concept_id,admitting_source_concept_id,admitting_source_value,discharge_to_concept_id,discharge_to_source_value",
		"1,2,9201,2020-01-01,2020-01-03,32817,8717,ER,8536,home"), fhir.Options{})
	require.Empty(t, problems)
	require.EqualValues(t, 8717, rows[0].Int("admitted_from_concept_id"))
	require.Equal(t, "ER", rows[0].Text("admitted_from_source_value"))
	require.EqualValues(t, 8536, rows[0].Int("discharged_to_concept_id"))
	require.Equal(t, "home", rows[0].Text("discharged_to_source_value"))
}

func TestValues(t *testing.T) {
	t.Parallel()
	const head = "measurement_id,person_id,measurement_concept_id,measurement_date,measurement_datetime,measurement_type_concept_id,value_as_number,measurement_source_value"
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		require.NoError(t, err)
		return v
	}
	for text, want := range map[string]struct {
		id     int64
		day    string
		moment time.Time
		number any
		text   string
	}{
		`-9223372036854775808,1,3,2020-02-29,2020-02-29 23:59:59.123456,32817,-1.5e3,"a, ""b"""`: {-1 << 63, "2020-02-29", at("2020-02-29T23:59:59.123456Z"), -1500., `a, "b"`},
		`9223372036854775807,1,3,1969-12-31,1969-12-31T12:00:00,32817,7, x `:                     {1<<63 - 1, "1969-12-31", at("1969-12-31T12:00:00Z"), 7., " x "},
		`8507.0,1.00,3,20200102,2020-01-02,32817,,NA`:                                            {8507, "2020-01-02", at("2020-01-02T00:00:00Z"), nil, "NA"},
		` 5 ,1,3,2020-01-02 00:00:00.000,2020-01-02T10:00:00+02:00,32817,NULL,`:                  {5, "2020-01-02", at("2020-01-02T08:00:00Z"), nil, ""},
		`6,1,3,0001-01-01,9999-12-31 10:00,32817,NA,\N`:                                          {6, "0001-01-01", at("9999-12-31T10:00:00Z"), nil, ""},
	} {
		rows, problems := read(t, file(head, text), fhir.Options{})
		require.Empty(t, problems, text)
		require.Empty(t, rows[0].Defects, text)
		require.Equal(t, want.id, rows[0].Int("measurement_id"))
		days, ok := rows[0].Day("measurement_date")
		require.True(t, ok)
		require.Equal(t, want.day, time.Unix(int64(days)*24*60*60, 0).UTC().Format(time.DateOnly))
		require.Equal(t, want.moment.UTC(), rows[0].Time("measurement_datetime"))
		if want.number == nil {
			require.Nil(t, rows[0].Number("value_as_number"))
		} else {
			require.Equal(t, want.number, *rows[0].Number("value_as_number"))
		}
		require.Equal(t, want.text, rows[0].Text("measurement_source_value"))
	}
}

func TestWhatIsWrongWithARow(t *testing.T) {
	t.Parallel()
	const head = conditionHead + ",condition_end_date,stop_reason,provider_id"
	for name, c := range map[string]struct {
		row     string
		problem fhir.Problem // of line 2
		defects []cdm.Defect
	}{
		"nothing":              {row: "1,2,3,2020-01-01,4,,,"},
		"no key":               {row: ",2,3,2020-01-01,4,,,", problem: fhir.Problem{Rule: fhir.RuleMissingField, Path: "condition_occurrence_id"}},
		"no person":            {row: "1,,3,2020-01-01,4,,,", problem: fhir.Problem{Rule: fhir.RuleMissingField, Path: "person_id"}},
		"no date":              {row: "1,2,3,,4,,,", problem: fhir.Problem{Rule: fhir.RuleMissingField, Path: "condition_start_date"}},
		"a key of letters":     {row: "A1,2,3,2020-01-01,4,,,", problem: fhir.Problem{Rule: fhir.RuleWrongType, Path: "condition_occurrence_id", Detail: "want an integer of 64 bits"}},
		"a key too large":      {row: "9223372036854775808,2,3,2020-01-01,4,,,", problem: fhir.Problem{Rule: fhir.RuleWrongType, Path: "condition_occurrence_id", Detail: "want an integer of 64 bits"}},
		"a date of no month":   {row: "1,2,3,2020-13-01,4,,,", problem: fhir.Problem{Rule: fhir.RuleWrongType, Path: "condition_start_date", Detail: "want YYYY-MM-DD"}},
		"a value too few":      {row: "1,2,3,2020-01-01,4,,", problem: fhir.Problem{Rule: cdm.RuleColumnCount, Detail: "want 8 values, as in the header"}},
		"a quote in a value":   {row: `1,2,3,2020-01-01,4,,a"b,`, problem: fhir.Problem{Rule: cdm.RuleMalformedRow, Detail: "a quote stands where CSV does not allow it"}},
		"no concept":           {row: "1,2,,2020-01-01,,,,", defects: []cdm.Defect{{cdm.RequiredEmpty, "condition_concept_id"}, {cdm.RequiredEmpty, "condition_type_concept_id"}}},
		"an end that is none":  {row: "1,2,3,2020-01-01,4,soon,,", defects: []cdm.Defect{{cdm.WrongType, "condition_end_date"}}},
		"half a provider":      {row: "1,2,3,2020-01-01,4,,,0.5", defects: []cdm.Defect{{cdm.WrongType, "provider_id"}}},
		"a reason too long":    {row: "1,2,3,2020-01-01,4,," + strings.Repeat("ä", 21) + ",", defects: []cdm.Defect{{cdm.TooLong, "stop_reason"}}},
		"a reason just short":  {row: "1,2,3,2020-01-01,4,," + strings.Repeat("ä", 20) + ","},
		"a reason in Latin 1":  {row: "1,2,3,2020-01-01,4,,h\xe4,", defects: []cdm.Defect{{cdm.InvalidUTF8, "stop_reason"}}},
		"a concept of letters": {row: "1,2,x,2020-01-01,4,,,", defects: []cdm.Defect{{cdm.WrongType, "condition_concept_id"}, {cdm.RequiredEmpty, "condition_concept_id"}}},
	} {
		rows, problems := read(t, file(head, c.row, "99,2,3,2020-01-01,4,,,"), fhir.Options{})
		require.NotEmpty(t, rows, name)
		if c.problem.Rule != "" {
			c.problem.Line = 2
			require.Equal(t, []*fhir.Problem{&c.problem}, problems, name)
			require.Len(t, rows, 1, "%s keeps no other row out", name)
			continue
		}
		require.Empty(t, problems, name)
		require.Equal(t, c.defects, rows[0].Defects, name)
	}
}

func TestKeysThatComeTwice(t *testing.T) {
	t.Parallel()
	rows, problems := read(t, file("person_id,death_date", "-5,2020-01-01", "5,2020-01-01", "-5,2020-01-01", "5,2021-01-01"), fhir.Options{})
	require.Len(t, rows, 2)
	require.Len(t, problems, 2)
	for i, p := range problems {
		require.Equal(t, fhir.Problem{Rule: cdm.RuleDuplicateKey, Line: 4 + i, Path: "person_id", Detail: "the first row with the key counts"}, *p)
	}
}

func TestColumnsThatTheCDMDoesNotHave(t *testing.T) {
	t.Parallel()
	rows, problems := read(t, file("ward,"+conditionHead+",person_id", "x,1,2,3,2020-01-01,4,7"), fhir.Options{})
	require.Len(t, rows, 1)
	require.EqualValues(t, 2, rows[0].Int("person_id"), "of two columns of one name the first counts")
	require.Len(t, problems, 2)
	for i, path := range []string{"column[1]", "column[7]"} {
		require.Equal(t, fhir.Problem{Rule: cdm.RuleUnknownColumn, Line: 1, Path: path, Detail: "condition_occurrence has no such column"}, *problems[i])
	}
}

func TestTablesThatAreNotRead(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]fhir.Rule{
		"concept_id,concept_name,domain_id,vocabulary_id,concept_class_id,concept_code,valid_start_date,valid_end_date":            cdm.RuleTableVocabulary,
		"drug_era_id,person_id,drug_concept_id,drug_era_start_date,drug_era_end_date":                                              cdm.RuleTableDerived,
		"note_id,person_id,note_date,note_type_concept_id,note_class_concept_id,note_text,encoding_concept_id,language_concept_id": cdm.RuleTableOther,
	} {
		row := strings.Repeat("1,", strings.Count(head, ",")) + "1"
		rows, problems := read(t, file(head, row, row), fhir.Options{})
		require.Empty(t, rows)
		require.Len(t, problems, 1, "once a file")
		require.Equal(t, want, problems[0].Rule)
		rows, problems = read(t, file(head), fhir.Options{})
		require.Empty(t, append(problems, make([]*fhir.Problem, len(rows))...), "there is nothing to say about an empty one")
	}
}

func TestDamageAndLimits(t *testing.T) {
	t.Parallel()
	many := conditionHead + "\n" + strings.Repeat("1,2,3,2020-01-01,4\n", 5000)
	for name, c := range map[string]struct {
		src  io.Reader
		opts fhir.Options
		want fhir.Rule
	}{
		"not a table":           {file("a,b", "1,2"), fhir.Options{}, fhir.RuleMissingField},
		"nothing":               {file(""), fhir.Options{}, fhir.RuleMissingField},
		"a quote that stays":    {file(conditionHead, `1,2,3,2020-01-01,"4`, "2,2,3,2020-01-01,4"), fhir.Options{}, cdm.RuleMalformedRow},
		"a row without end":     {file(conditionHead, `1,2,3,2020-01-01,"`+strings.Repeat("4", 2<<20)), fhir.Options{}, fhir.RuleTooLarge},
		"a row over a limit":    {file(conditionHead, `1,2,3,2020-01-01,"`+strings.Repeat("4", 1<<20)), fhir.Options{MaxRecord: 100 << 10}, fhir.RuleTooLarge},
		"over the total limit":  {strings.NewReader(many), fhir.Options{MaxTotal: 1000}, fhir.RuleTooLarge},
		"half a gzip":           {io.LimitReader(zipped(many), 200), fhir.Options{}, fhir.RuleTruncated},
		"gzip of much too much": {zipped(conditionHead + "\n" + strings.Repeat("1,2,3,2020-01-01,4\n", 80_000)), fhir.Options{MaxExpansion: 2}, fhir.RuleGzipExpansion},
		"a header without end":  {file(strings.Repeat(conditionHead+",", 5000)), fhir.Options{}, fhir.RuleMissingField},
	} {
		_, problems := read(t, c.src, c.opts)
		require.NotEmpty(t, problems, name)
		require.Equal(t, c.want, problems[len(problems)-1].Rule, "%s: %v", name, problems[len(problems)-1])
	}

	gone := errors.New("disk gone")
	var last error
	for _, err := range cdm.Read(t.Context(), io.MultiReader(file(conditionHead), iotest.ErrReader(gone)), fhir.Options{}) {
		last = err
	}
	require.ErrorIs(t, last, gone)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range cdm.Read(ctx, file(conditionHead), fhir.Options{}) {
		require.ErrorIs(t, err, context.Canceled)
	}
	for range cdm.Read(t.Context(), strings.NewReader(many), fhir.Options{}) {
		break // a caller may have enough
	}
}

func TestRowsNeitherPrintNorMarshal(t *testing.T) {
	t.Parallel()
	rows, _ := read(t, file(conditionHead, "1,2,3,2020-01-01,4"), fhir.Options{})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		require.Equal(t, "cdm:redacted", fmt.Sprintf(verb, rows[0]))
	}
	_, err := json.Marshal(rows[0])
	require.Error(t, err)
	rows[0].EachReference(func(string, *fhir.Reference) { t.Fatal("a row has no reference") })
	require.Panics(t, func() { rows[0].Int("no_such_column") })
}

func BenchmarkRead(b *testing.B) {
	f, err := os.ReadFile("testdata/gibleed/condition_occurrence.csv.gz")
	require.NoError(b, err)
	rows := 0
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range cdm.Read(b.Context(), bytes.NewReader(f), fhir.Options{}) {
			require.NoError(b, err)
			rows++
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
