package cdisc

import (
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

var (
	subjects = member{
		name: "DM", columns: []string{"STUDYID", "DOMAIN", "USUBJID", "SUBJID", "SEX", "BRTHDTC"},
		rows: [][]any{{"S", "DM", "S-1", "1", "F", "1950"}, {"S", "DM", "S-2", "2", "M", "1961"}},
	}
	vitals = member{
		name: "VS", columns: []string{"STUDYID", "DOMAIN", "USUBJID", "#VSSEQ", "VSTESTCD", "#VSSTRESN", "VSSTRESU", "VSDTC"},
		rows: [][]any{
			{"S", "VS", "S-1", 1.0, "PULSE", 60.5, "bpm", "2014-01"},
			{"S", "VS", "S-1", 2.0, "TEMP", []byte(".\x00\x00\x00\x00\x00\x00\x00"), "C", "2014"},
		},
	}
)

// TestMembersOfALibraryAreRead in both versions, whatever the pieces they come in.
func TestMembersOfALibraryAreRead(t *testing.T) {
	t.Parallel()
	for _, v8 := range []bool{false, true} {
		text := library(v8, subjects, vitals)
		require.True(t, Detect([]byte(text[:800])))
		stage, ok := Stage([]byte(text[:800]))
		require.True(t, ok)
		require.Zero(t, stage)
		g := readAll(t, iotest.OneByteReader(strings.NewReader(text)), fhir.Options{})
		require.Empty(t, g.problems)
		require.Equal(t, map[string]int{"Patient": 2, "Observation": 2}, g.types())
		require.Equal(t, "VS row 1", g.records[2].Path)
		pulse, warmth := g.records[2].Resource.(*fhir.Observation), g.records[3].Resource.(*fhir.Observation)
		require.Equal(t, "60.5", pulse.Value.Quantity.Value.Text)
		require.Equal(t, g.records[0].ID, pulse.Subject.ID)
		require.Nil(t, warmth.Value.Quantity)
		require.Equal(t, "unknown", warmth.Absent.Coding[0].Code)
	}
}

// TestADataSetOfAnotherKindKeepsNoneFromBeingRead: formats lie in libraries as well.
func TestADataSetOfAnotherKindKeepsNoneFromBeingRead(t *testing.T) {
	t.Parallel()
	g := readText(t, library(false, member{name: "FORMATS", columns: []string{"FMTNAME", "#START"}, rows: [][]any{{"YN", 1.0}}}, subjects))
	require.Equal(t, map[fhir.Rule]int{RuleNotCDISC: 1}, g.rules())
	require.Equal(t, map[string]int{"Patient": 2}, g.types())
}

// TestLongNamesOfVersion8: of nine letters, of which version 5 has eight.
func TestLongNamesOfVersion8(t *testing.T) {
	t.Parallel()
	m := subjects
	m.columns = []string{"STUDYID", "DOMAIN", "USUBJID", "SUBJID", "SEX", "ABCDEFGHI"}
	x := &xport{v8: true, maxRow: 1000}
	b := namestr(true, 0, "abcdefghi")
	x.br = bufioOf(string(b))
	name, _, err := x.variable()
	require.NoError(t, err)
	require.Equal(t, "ABCDEFGHI", name)
	require.Len(t, readText(t, library(true, m)).records, 2)
}

// TestBlanksBehindTheLastRowAreNone: rows of 16 bytes leave room for up to four of blanks.
func TestBlanksBehindTheLastRowAreNone(t *testing.T) {
	t.Parallel()
	columns := []string{"STUDYID", "DOMAIN"}
	var rows [][]any
	for n := 1; n <= 6; n++ {
		rows = append(rows, []any{"S" + strings.Repeat("I", n), "TA"})
		g := readText(t, library(false, member{name: "TA", columns: columns, rows: rows}, member{name: "TE", columns: columns, rows: [][]any{{"S", "TE"}}}))
		require.Empty(t, g.problems)
		require.Equal(t, map[string]int{"TA": n, "TE": 1}, g.types())
	}
}

// TestDamagedLibrariesAreProblems wherever they end, and the rows before are read.
func TestDamagedLibrariesAreProblems(t *testing.T) {
	t.Parallel()
	text := library(false, subjects)
	for cut := 81; cut < len(text); cut += 37 {
		g := readText(t, text[:cut])
		require.Equal(t, map[fhir.Rule]int{fhir.RuleTruncated: 1}, g.rules(), cut)
	}
	for name, c := range map[string]struct {
		text string
		rule fhir.Rule
	}{
		"no variables":      {strings.Replace(text, "NAMESTR", "NAMESTX", 1), RuleMalformedXPORT},
		"no number of them": {strings.Replace(text, "!!!!!!!0000000006", "!!!!!!!00000000x6", 1), RuleMalformedXPORT},
		"none":              {strings.Replace(text, "!!!!!!!0000000006", "!!!!!!!0000000000", 1), RuleMalformedXPORT},
		"too many":          {strings.Replace(text, "!!!!!!!0000000006", "!!!!!!!0000099999", 1), RuleMalformedXPORT},
		"no rows":           {strings.Replace(text, "OBS     HEADER", "OBX     HEADER", 1), RuleMalformedXPORT},
		"another order":     {strings.Replace(text, "\x00\x00\x00\x08\x00", "\x00\x00\x00\x09\x00", 1), RuleMalformedXPORT},
		"CPORT":             {"**COMPRESSED** **COMPRESSED** **COMPRESSED**", RuleUnsupportedVersion},
		"no CDISC":          {strings.ReplaceAll(text, "STUDYID", "XTUDYID"), RuleNotCDISC},
	} {
		require.Equal(t, map[fhir.Rule]int{c.rule: 1}, readText(t, c.text).rules(), name)
	}
	g := readAll(t, strings.NewReader(text), fhir.Options{MaxRecord: 40})
	require.Equal(t, map[fhir.Rule]int{fhir.RuleTooLarge: 1}, g.rules())
}

// TestBytesThatAreNoTextAreNamed: a transport file does not say its character set.
func TestBytesThatAreNoTextAreNamed(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{"caf\xe9    ": "café", "caf\xc3\xa9   ": "café", "5 \x80     ": "5 €"} {
		m := member{name: "MH", columns: []string{"STUDYID", "DOMAIN", "USUBJID", "#MHSEQ", "MHTERM", "MHDTC"}, rows: [][]any{{"S", "MH", "S-1", 1.0, []byte(raw), "2014"}}}
		require.Equal(t, want, only[*fhir.Condition](t, library(false, m)).Code.Text)
	}
	for raw, rule := range map[string]fhir.Rule{"caf\x81    ": fhir.RuleInvalidUTF8, "a\x00b     ": fhir.RuleForbiddenCharacter} {
		m := member{name: "MH", columns: []string{"STUDYID", "DOMAIN", "USUBJID", "#MHSEQ", "MHTERM", "MHDTC"}, rows: [][]any{{"S", "MH", "S-1", 1.0, []byte(raw), "2014"}}}
		g := readText(t, library(false, m))
		require.Empty(t, g.records)
		require.Len(t, g.problems, 1)
		require.Equal(t, rule, g.problems[0].Rule)
		require.Equal(t, "MHTERM", g.problems[0].Path)
		require.NotContains(t, g.problems[0].Error(), "caf")
	}
}
