package cdisc

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

func TestTablesAreKnownByTheirVariables(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"STUDYID,DOMAIN,USUBJID,AESEQ": true, `"StudyID";"Domain";"USUBJID"`: true, "STUDYID\tDOMAIN\tETCD": true, "\xef\xbb\xbfSTUDYID,RDOMAIN,USUBJID,QNAM": true,
		"STUDYID,USUBJID,SUBJID,AGE": true, "STUDYID,USUBJID,PARAMCD,AVAL": true,
		"STUDYID,PATIENT": false, "USUBJID,DOMAIN": false, "mrn,test,value": false, "": false,
	} {
		require.Equal(t, want, DetectTable([]byte(header+"\r\n1,2,3\n")), header)
		require.False(t, DetectTable([]byte(header)), "the header is not whole")
	}
}

func TestStagesFollowWhatRefersToWhat(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"dm": 0, "sv": 1, "ae": 2, "ex": 2, "suppae": 2, "ta": 2, "relrec": 2} {
		for _, text := range []string{"testdata/phuse/" + name + ".csv.gz", "testdata/phuse/" + name + ".xpt.gz"} {
			if name == "relrec" && strings.Contains(text, ".xpt") {
				continue
			}
			stage, ok := Stage(file(t, text))
			require.True(t, ok, text)
			require.Equal(t, want, stage, text)
		}
	}
	for _, name := range []string{"dm.json.gz", "dm.ndjson.gz"} {
		stage, ok := Stage(file(t, "testdata/msg/"+name))
		require.True(t, ok)
		require.Zero(t, stage)
	}
	for _, text := range []string{`{"resourceType":"Patient"}`, "mrn,test\n", "", "MSH|^~\\&|"} {
		_, ok := Stage([]byte(text))
		require.False(t, ok, text)
	}
	stage, ok := Stage([]byte("STUDYID,USUBJID,SUBJID,SEX,TRTSDT\n"))
	require.True(t, ok)
	require.Zero(t, stage, "ADSL")
	stage, ok = Stage([]byte("STUDYID,USUBJID,SUBJID,SEX,AESEQ,AEDECOD,TRTSDT\n"))
	require.True(t, ok)
	require.Equal(t, 2, stage, "ADAE repeats who its subjects are")
}

func TestCSVIsReadHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	comma := rowOf("DOMAIN=MH", "MHSEQ=1", "MHTERM=a, b", "MHDTC=2014")
	want := only[*fhir.Condition](t, comma)
	require.Equal(t, "a, b", want.Code.Text)
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	_, _ = zw.Write([]byte(comma))
	require.NoError(t, zw.Close())
	for _, text := range []string{
		"\xef\xbb\xbf" + comma, strings.ReplaceAll(comma, "\n", "\r\n"), zipped.String(),
		strings.ToLower(comma[:strings.IndexByte(comma, '\n')]) + comma[strings.IndexByte(comma, '\n'):],
		strings.NewReplacer("a, b", "a, b", ",", ";").Replace(comma),
		strings.NewReplacer("a, b", "a, b", ",", "\t").Replace(comma),
	} {
		require.Equal(t, want, only[*fhir.Condition](t, text))
	}
}

func TestBadRowsOfCSVAreNamed(t *testing.T) {
	t.Parallel()
	const header = "STUDYID,DOMAIN,USUBJID,MHSEQ,MHTERM,MHDTC\n"
	const good = "S,MH,S-1,1,x,2014\n"
	g := readText(t, header+good+"S,MH,S-1\nS,MH,S-1,2,a\"b,2014\n"+"S,MH,S-1,3,x,2014\n")
	require.Equal(t, map[fhir.Rule]int{RuleRaggedRow: 1, RuleMalformedRow: 1}, g.rules())
	require.Equal(t, []int{3, 4}, []int{g.problems[0].Line, g.problems[1].Line})
	require.Len(t, g.records, 2)
	require.Equal(t, 5, g.records[1].Line)
	require.Equal(t, "MH row 4", g.records[1].Path)

	open := readAll(t, strings.NewReader(header+good+`S,MH,S-1,2,"`+strings.Repeat("x\n", 50_000)), fhir.Options{MaxRecord: 4096})
	require.Equal(t, map[fhir.Rule]int{fhir.RuleTooLarge: 1}, open.rules(), "a quote that nobody closes")
	require.Len(t, open.records, 1)
	require.Equal(t, map[fhir.Rule]int{RuleNotCDISC: 1}, readText(t, "a,b\n1,2\n").rules())
	require.Equal(t, map[fhir.Rule]int{RuleNotCDISC: 1}, readText(t, "").rules())
}

// TestMetadataIsNoProblem: define.xml lies in the folder of every delivery.
func TestMetadataIsNoProblem(t *testing.T) {
	t.Parallel()
	text := `<?xml version="1.0"?><ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:def="http://www.cdisc.org/ns/def/v2.0"></ODM>`
	require.True(t, Detect([]byte(text)))
	require.Equal(t, map[string]int{"define.xml": 1}, readText(t, text).types())
}
