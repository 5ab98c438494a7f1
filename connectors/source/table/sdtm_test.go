package table

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTablesOfSDTMAreReadByTheirNames: one result or event a row, and the start of an event
// is not the day on which it was noted.
func TestTablesOfSDTMAreReadByTheirNames(t *testing.T) {
	t.Parallel()
	const findings = "STUDYID,DOMAIN,USUBJID,VSSEQ,VSTESTCD,VSTEST,VSORRES,VSORRESU,VSSTRESC,VSSTRESN,VSSTRESU,VISITNUM,VSDTC,VSDY\n"
	vs := findings + "S,VS,S-1,1,TEMP,Temperature,98.6,F,37,37,C,1,2014-01-02,1\nS,VS,S-1,2,PULSE,Pulse Rate,60,BEATS/MIN,60,60,beats/min,1,2014-01-02,1\n"
	words := vs + "S,VS,S-1,3,POS,Position,SITTING,,SITTING,,,1,2014-01-02,1\n"
	raw := "STUDYID,DOMAIN,USUBJID,VSSEQ,VSTESTCD,VSTEST,VSORRES,VSORRESU,VSSTRESN,VSDTC\nS,VS,S-1,1,TEMP,Temperature,98.6,F,,2014-01-02\nS,VS,S-1,2,PULSE,Pulse Rate,60,BEATS/MIN,,2014-01-02\n"
	mh := "STUDYID,DOMAIN,USUBJID,MHSEQ,MHTERM,MHDECOD,MHDTC,MHSTDTC,MHENDTC,MHDY\n" +
		"S,MH,S-1,1,HAY FEVER,Seasonal allergy,2014-01-02,2003,,1\nS,MH,S-1,2,HIGH BLOOD PRESSURE,Hypertension,2014-01-02,2010-04,2013-12-26,1\n"
	cm := "STUDYID,DOMAIN,USUBJID,CMSEQ,CMTRT,CMDECOD,CMDOSE,CMDOSU,CMROUTE,CMDTC,CMSTDTC,CMENDTC\nS,CM,S-1,1,ASPIRIN,,81,mg,ORAL,2014-01-02,2013-01-01,\nS,CM,S-1,2,TYLENOL,,500,mg,ORAL,2014-01-02,2013-02-01,2013-02-02\n"
	for name, c := range map[string]struct {
		text string
		says []string
		lack []string
	}{
		"numbers":      {vs, []string{"- observation:\n", "id: USUBJID", "code: VSTESTCD", "text: VSTEST", "value: VSSTRESN", "unit: VSSTRESU", "time: VSDTC"}, []string{"ORRES\n"}},
		"also words":   {words, []string{"value: VSSTRESC", "unit: VSSTRESU", "# decide: VSSTRESC: it has results in words as well; with VSSTRESN"}, nil},
		"as collected": {raw, []string{"value: VSORRES", "unit: VSORRESU"}, nil},
		"history":      {mh, []string{"- condition:\n", "code: MHDECOD", "text: MHTERM", "start: MHSTDTC", "end: MHENDTC"}, []string{"MHDTC\n"}},
		"medication":   {cm, []string{"- medication:\n", "code: CMTRT", "start: CMSTDTC", "end: CMENDTC", "dose: CMDOSE", "unit: CMDOSU"}, []string{"TYLENOL", "ASPIRIN"}},
	} {
		s := suggest(t, "t", c.text)
		_, record, _ := strings.Cut(string(s.YAML), "\nrecords:")
		for _, says := range c.says {
			require.Contains(t, string(s.YAML), says, name)
		}
		for _, lack := range append(c.lack, "wide", "# decide: little") {
			require.NotContains(t, record, lack, name)
		}
		g := readAll(t, parse(t, string(s.YAML)), []byte(c.text), Options{})
		require.Empty(t, rules(g.problems), name)
		require.Len(t, g.records, strings.Count(c.text, "\n")-1, "%s: one record of each row", name)
	}
}
