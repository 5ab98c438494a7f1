package cdisc

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// FuzzRead reads anything. Whatever it is, reading ends, every record can be told from the
// others and refers to a subject, and no problem repeats the input.
func FuzzRead(f *testing.F) {
	f.Add([]byte(library(false, subjects, vitals)))
	f.Add([]byte(library(true, vitals)))
	for _, text := range bothForms(fmt.Sprintf(row, "1", `"x"`), `["S","MH","S-1",1,["x"],"2014"]`) {
		f.Add([]byte(text))
	}
	f.Add([]byte(rowOf("DOMAIN=LB", "LBSEQ=1", "LBTESTCD=ALB", "LBSTRESC=<39", "LBSTRESU=g/L", "LBDTC=2012-11-23T11:20", "VISITNUM=1")))
	f.Add([]byte(rowOf("DOMAIN=EX", "EXSEQ=1", "EXTRT=PLACEBO", "EXDOSE=0", "EXSTDTC=2014", "EXROUTE=ORAL")))
	f.Add([]byte(rowOf("DOMAIN=DM", "SUBJID=1", "SEX=F", "AGE=63", "AGEU=YEARS", "RFSTDTC=2014-01-02")))
	f.Add(file(f, "testdata/msg/mh.dsjc"))
	f.Add([]byte("**COMPRESSED** **COMPRESSED**"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = Stage(data)
		_, _ = Detect(data), DetectTable(data)
		ids := map[string]bool{}
		for rec, err := range Read(t.Context(), bytes.NewReader(data), fhir.Options{MaxRecord: 1 << 16, MaxTotal: 1 << 20, MaxTracked: 1000}) {
			if err != nil {
				p, ok := fhir.AsProblem(err)
				require.True(t, ok, "%v", err)
				require.Positive(t, p.Line)
				require.True(t, isOwnWord(p.Path), "a path is of this package's own words")
				continue
			}
			require.NotEmpty(t, rec.Type)
			if rec.Resource == nil {
				continue
			}
			require.Len(t, rec.ID, 32)
			require.False(t, ids[rec.Type+rec.ID] && len(ids) < 1000, "an id comes once")
			ids[rec.Type+rec.ID] = true
			rec.Resource.EachReference(func(_ string, r *fhir.Reference) { require.Len(t, r.ID, 32) })
		}
	})
}

// isOwnWord reports whether each name in a path is a variable of SDTM or ADaM, or a member of
// Dataset-JSON, that this package itself names. Its two letters of a domain are a pattern's.
func isOwnWord(path string) bool {
	for name := range strings.SplitSeq(path, ", ") {
		if !strings.HasPrefix("STUDYID USUBJID", name) && len(name) > 9 && name != "datasetJSONVersion" {
			return false
		}
	}
	return true
}

// FuzzDate reads dates; what is read is in FHIR's form and read alike again.
func FuzzDate(f *testing.F) {
	for _, s := range []string{"2003-12-15T13:14:17.123+05:30", "2003---15", "2003-12-15/2003-12-20", "2003-12-15T-:15", "19725", "2003-12-15T24:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, parse := range []func(string) (fhir.Time, bool){parseDTC, parseSASDate} {
			if got, ok := parse(s); ok {
				again, ok := parseDTC(got.Text)
				require.True(t, ok, got.Text)
				require.Equal(t, got.Text, again.Text)
				require.True(t, got.At.Equal(again.At))
			}
		}
	})
}

// FuzzNumber reads numbers; what is read is a number of JSON and read alike again.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"5.10", "<.09", ">= +7", "-0", "1E-3", "00", "5.", "." + strings.Repeat("0", maxNumber-1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if q := quantity(s); q != nil {
			again := quantity(q.Comparator + q.Value.Text)
			require.NotNil(t, again)
			require.Equal(t, q.Value.Text, again.Value.Text)
			require.Equal(t, q.Value.Value, again.Value.Value)
		}
	})
}
