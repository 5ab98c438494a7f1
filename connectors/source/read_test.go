package source_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source"
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/table"
)

const (
	patient  = `{"resourceType":"Patient","id":"p","gender":"female","birthDate":"1970-01-01"}`
	series   = "\n {\n \"source\" : \"s\", \"observations\":[{\"person\":\"p\",\"code\":\"c\",\"time\":1,\"value\":1}]}"
	message  = "MSH|^~\\&|A|B|C|D|20260301||ADT^A01|1|P|2.5\rPID|1||p^^^A||X^Y||19700101|F\r"
	watch    = "{\"wearable\":\"oura\", \"patient\":\"p\", \"payloads\":[{\"data\":[{\"bpm\":60,\"timestamp\":\"2026-03-01T08:00:00Z\"}]}]}"
	subject  = "STUDYID,DOMAIN,USUBJID,SUBJID,SEX,BRTHDTC\nS,DM,S-1,1,F,1970\n"
	dataset  = `{"datasetJSONVersion":"1.1.0","name":"DM","columns":[{"name":"STUDYID"},{"name":"DOMAIN"},{"name":"USUBJID"}],"rows":[["S","DM","S-1"]]}`
	document = `<ClinicalDocument xmlns="urn:hl7-org:v3"><recordTarget><patientRole><id root="1.2" extension="p"/></patientRole></recordTarget></ClinicalDocument>`
)

func zip(text string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return out.String()
}

// wide is ASCII text in UTF-16, little endian.
func wide(text string) string {
	var out strings.Builder
	for i := range len(text) {
		out.WriteString(text[i:i+1] + "\x00")
	}
	return out.String()
}

func TestTheFormatIsFoundInTheContent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"FHIR":                       {patient, "Patient"},
		"FHIR lines":                 {patient + "\n" + patient, "Patient"},
		"FHIR with a source":         {`{"resourceType":"Basic","source":"x","id":"b"}`, "Basic"},
		"FHIR of a byte order mark":  {"\xef\xbb\xbf" + patient, "Patient"},
		"FHIR longer than the head":  {strings.Repeat(" ", 5000) + patient, "Patient"},
		"observations":               {series, "Series"},
		"a wearable's answers":       {watch, "Series"},
		"HL7 v2":                     {message, "Patient"},
		"a table of the CDM":         {"person_id,death_date\n1,2020-01-01\n", "death"},
		"SDTM as Dataset-JSON":       {dataset, "Patient"},
		"SDTM as CSV":                {subject, "Patient"},
		"define.xml":                 {`<?xml version="1.0"?><ODM xmlns:def="http://www.cdisc.org/ns/def/v2.1"/>`, "define.xml"},
		"HL7 v2 in a frame":          {"\x0b" + message + "\x1c\r", "Patient"},
		"C-CDA":                      {document, "Patient"},
		"C-CDA, declared":            {"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- x -->" + document, "Patient"},
		"C-CDA longer than the head": {"<?xml version=\"1.0\"?><!-- " + strings.Repeat("licence ", 1000) + "-->" + document, "Patient"},
		"C-CDA in UTF-16":            {"\xff\xfe" + wide(document), "Patient"},
		"HL7 v2 in a batch of files": {"FHS|^~\\&\rBHS|^~\\&\r" + message + "BTS|1\rFTS|1\r", "Patient"},
	} {
		for kind, text := range map[string]string{"plain": c.text, "gzip": zip(c.text)} {
			types := map[string]bool{}
			for rec, err := range source.Read(t.Context(), iotest.HalfReader(strings.NewReader(text)), nil, fhir.Options{}) {
				require.NoError(t, err, "%s, %s", name, kind)
				types[rec.Type] = true
			}
			require.Contains(t, types, c.want, "%s, %s", name, kind)
		}
	}
}

// TestASitesOwnMappingStandsOverTheStandard: a table of SDTM is read by it if there is one.
func TestASitesOwnMappingStandsOverTheStandard(t *testing.T) {
	t.Parallel()
	own, err := table.LoadSet(fstest.MapFS{"dm.yaml": {Data: []byte(
		"version: 1\nname: own\ncolumns: [USUBJID, SEX]\nextra: true\npatient: {id: USUBJID}\nrecords:\n  - patient: {birth: {const: \"1901\"}}\n",
	)}})
	require.NoError(t, err)
	for tables, want := range map[*table.Set]string{nil: "1970", own: "1901"} {
		for rec, err := range source.Read(t.Context(), strings.NewReader(subject), tables, fhir.Options{}) {
			require.NoError(t, err)
			require.Equal(t, want, rec.Resource.(*fhir.Patient).BirthDate.Text)
		}
	}
}

// TestParquetIsReadAsTheTableThatItIs: a table of a CDM as such, any other by the site's mapping.
func TestParquetIsReadAsTheTableThatItIs(t *testing.T) {
	t.Parallel()
	own, err := table.LoadSet(fstest.MapFS{"own.yaml": {Data: []byte(
		"version: 1\nname: own\ncolumns: [id, timestamp_col]\nextra: true\npatient: {id: id}\nrecords:\n  - patient: {birth: timestamp_col}\n",
	)}})
	require.NoError(t, err)
	for file, want := range map[string]struct {
		records int
		kind    string
	}{"person.parquet": {55, "person"}, "apache/alltypes_plain.parquet": {8, "Patient"}} {
		b, err := os.ReadFile("parquet/testdata/" + file)
		require.NoError(t, err)
		for _, text := range []string{string(b), zip(string(b))} {
			records := 0
			for rec, err := range source.Read(t.Context(), strings.NewReader(text), own, fhir.Options{}) {
				require.NoError(t, err)
				require.Equal(t, want.kind, rec.Type)
				records++
			}
			require.Equal(t, want.records, records)
		}
	}
	for rule, file := range map[fhir.Rule]string{"nested-column": "list_columns.parquet", table.RuleWrongHeader: "alltypes_plain.parquet"} {
		b, err := os.ReadFile("parquet/testdata/apache/" + file)
		require.NoError(t, err)
		for _, err := range source.Read(t.Context(), bytes.NewReader(b), nil, fhir.Options{}) {
			p, bad := fhir.AsProblem(err)
			require.True(t, bad, "%v", err)
			require.Equal(t, rule, p.Rule)
		}
	}
}

func TestWhatIsOfNoFormatIsAProblem(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"\x1f\x8b", "a,b,c\n1,2,3\n", "{}"} {
		problems := 0
		for _, err := range source.Read(t.Context(), strings.NewReader(text), nil, fhir.Options{}) {
			_, bad := fhir.AsProblem(err)
			require.True(t, bad, "%q: %v", text, err)
			problems++
		}
		require.Positive(t, problems, "%q", text)
	}
	for rule, text := range map[fhir.Rule]string{
		"unknown-format":          "PK\x03\x04\x14\x00\x06\x00",
		"not-a-clinical-document": "<html></html>",
		"malformed-json":          "line\n" + patient,
	} {
		for _, err := range source.Read(t.Context(), strings.NewReader(text), nil, fhir.Options{}) {
			p, bad := fhir.AsProblem(err)
			require.True(t, bad, "%q: %v", text, err)
			require.Equal(t, rule, p.Rule)
			break
		}
	}
	gone := errors.New("disk gone")
	for _, err := range source.Read(t.Context(), iotest.ErrReader(gone), nil, fhir.Options{}) {
		require.ErrorIs(t, err, gone)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range source.Read(ctx, strings.NewReader(patient), nil, fhir.Options{}) {
		require.ErrorIs(t, err, context.Canceled)
	}
}
