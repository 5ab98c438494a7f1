package fhirapi_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

func TestSearchValues(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.put("/fhir/Patient/anna", anna)
	s.put("/fhir/Patient/otto", `{"resourceType":"Patient","id":"otto","active":false,"identifier":[{"value":"a|b,c"}],"name":[{"text":"Otto  von Bismarck"}],"birthDate":"1970"}`)
	s.put("/fhir/Observation/w1", weight)
	s.put("/fhir/Observation/w2", `{"resourceType":"Observation","id":"w2","status":"final","code":{"text":"x"},"subject":{"reference":"https://other.example/fhir/Patient/anna"},"effectivePeriod":{"start":"2024-05-01"}}`)
	for query, want := range map[string]string{
		"Patient?name=mull":                                           "anna",
		"Patient?name=MULLER":                                         "anna",
		"Patient?name=maria":                                          "", // the beginning of a part, not of a word
		"Patient?given=anna%20m":                                      "anna",
		"Patient?name=otto%20von":                                     "otto",
		"Patient?name:exact=M%C3%BCller":                              "anna",
		"Patient?name:exact=Muller":                                   "",
		"Patient?name=mull,otto":                                      "anna otto",
		"Patient?name=mull&name=otto":                                 "",
		"Patient?identifier=urn:mrn|":                                 "anna",
		"Patient?identifier=|4711":                                    "",
		"Patient?identifier=" + url.QueryEscape(`a\|b\,c`):            "otto",
		"Patient?identifier=" + url.QueryEscape(`|a\|b\,c`):           "otto",
		"Patient?active=false":                                        "otto",
		"Patient?birthdate=1970":                                      "anna otto",
		"Patient?birthdate=1970-03-01":                                "anna",
		"Patient?birthdate=ne1970-03-01":                              "otto",
		"Patient?birthdate=le1970-03":                                 "anna otto", // part of the year is before March
		"Patient?birthdate=sa1969":                                    "anna otto",
		"Patient?birthdate=eb1970-03-02":                              "anna",
		"Patient?birthdate=ap1970-03-02":                              "anna otto",
		"Patient?birthdate=gt1970-03-01":                              "otto",
		"Patient?birthdate=1970-03-01,2001":                           "anna",
		"Patient?_id=otto":                                            "otto",
		"Patient?_lastUpdated=ge2026-11-22":                           "anna otto",
		"Patient?_lastUpdated=lt2026-11-22":                           "",
		"Observation?patient=anna":                                    "w1",
		"Observation?subject=https://other.example/fhir/Patient/anna": "w2",
		"Observation?subject:Patient=anna":                            "w1",
		"Observation?date=gt2030":                                     "w2", // which has not ended
		"Observation?date=2024-05-01":                                 "w1",
		"Observation?date=2024-05-01T12:00:00%2B02:00":                "w1",
		"Observation?code=http://loinc.org|29463-7&status=final":      "w1",
	} {
		var ids []string
		for _, name := range s.found("/fhir/" + query) {
			ids = append(ids, strings.Split(name, "/")[1])
		}
		require.Equal(t, want, strings.Join(ids, " "), query)
	}
	t.Run("as a form", func(t *testing.T) {
		form := "application/x-www-form-urlencoded"
		b := bundleOf(t, s.do("POST", "/fhir/Patient/_search", "name=mull", "Content-Type", form))
		require.Equal(t, []string{"Patient/anna"}, b.names())
		refused(t, s.do("POST", "/fhir/Patient/_search", "name=mull", "Content-Type", "text/plain"), 415, "not-supported")
	})
	t.Run("what is unknown is left out if that is asked for", func(t *testing.T) {
		b := bundleOf(t, s.get("/fhir/Patient?shoe-size=44&name=mull", "Prefer", "return=minimal; handling=lenient"))
		require.Len(t, b.Entry, 2)
		require.Equal(t, "outcome", b.Entry[1].Search.Mode)
		require.Equal(t, "/fhir/Patient?name=mull", b.link("self"))
	})
	t.Run("totals", func(t *testing.T) {
		require.Nil(t, bundleOf(t, s.get("/fhir/Patient?_total=none")).Total)
		b := bundleOf(t, s.get("/fhir/Patient?_summary=count"))
		require.Equal(t, 2, *b.Total)
		require.Empty(t, b.Entry)
		require.Equal(t, 2, *bundleOf(t, s.get("/fhir/Patient?_count=0")).Total)
	})
}

// TestPagesAreStable changes what is searched between its pages.
func TestPagesAreStable(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	var entries []string
	for i := range 9 {
		entries = append(entries, fmt.Sprintf(`{"resource":{"resourceType":"Observation","id":"o%d","status":"final","code":{},"subject":{"reference":"Patient/anna"},"effectiveDateTime":"2024-05-%02d"},"request":{"method":"PUT","url":"Observation/o%d"}}`, i, 9-i/2, i))
	}
	bundleOf(t, s.do("POST", "/fhir", asked("transaction", entries...)))
	for i, query := range []string{"", "&_sort=date", "&_sort=-date", "&_sort=_lastUpdated"} {
		all := s.found("/fhir/Observation?_count=100" + query)
		var names []string
		for at, page := "/fhir/Observation?_count=2"+query, 0; at != ""; page++ {
			b := bundleOf(t, s.get(at))
			require.Equal(t, b, bundleOf(t, s.get(at)), "the same link, the same page")
			require.Equal(t, len(all), *b.Total, "as on the first page")
			names = append(names, b.names()...)
			if at = b.link("next"); page == 0 {
				s.pass(time.Minute)
				s.put(fmt.Sprintf("/fhir/Observation/new%d", i), fmt.Sprintf(`{"resourceType":"Observation","id":"new%d","status":"final","code":{}}`, i))
			}
		}
		require.Subset(t, names, all, query)
		slices.Sort(names)
		require.Len(t, slices.Compact(names), len(names), "nothing twice")
	}
	t.Run("of one search only", func(t *testing.T) {
		next, err := url.Parse(bundleOf(t, s.get("/fhir/Observation?_count=2")).link("next"))
		require.NoError(t, err)
		refused(t, s.get("/fhir/Observation?_count=2&status=final&_cursor="+next.Query().Get("_cursor")), 400, "value")
		require.Equal(t, 200, s.get("/fhir/Observation?_count=5&_cursor="+next.Query().Get("_cursor")).status)
	})
}

// TestNamesAreNotReadableInTheTables looks for them in the file of the database.
func TestNamesAreNotReadableInTheTables(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSite(t, sqltest.Open(t, "sqlite:"+filepath.Join(dir, "data.db")))
	s.put("/fhir/Patient/anna", anna)
	require.Equal(t, []string{"Patient/anna"}, s.found("/fhir/Patient?identifier=4711&name=anna"))
	var dump []byte
	for _, name := range []string{"data.db", "data.db-wal"} {
		part, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		dump = append(dump, part...)
	}
	require.Contains(t, string(dump), "Patientanna", "ids are readable")
	for _, value := range []string{"ller", "LLER", "Anna", "4711", "urn:mrn"} {
		require.NotContains(t, string(dump), value)
	}
}
