package fhirserver

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver/servertest"
)

// everything is the published answer of a server to $everything, page by page.
func everything(t testing.TB) [][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/everything/*.json.gz")
	require.NoError(t, err)
	var pages [][]byte
	for _, path := range files {
		f, err := os.Open(path)
		require.NoError(t, err)
		plain, err := gzip.NewReader(f)
		require.NoError(t, err)
		text, err := io.ReadAll(plain)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		pages = append(pages, text)
	}
	return pages
}

// patients is a page of a search with a patient for each id; next is empty on the last one.
func patients(next string, ids ...string) []byte {
	var entries []string
	for _, id := range ids {
		entries = append(entries, fmt.Sprintf(`{"resource":{"resourceType":"Patient","id":"%s"}}`, id))
	}
	links := `{"relation":"self","url":"https://elsewhere.example"}`
	if next != "" {
		links += fmt.Sprintf(`,{"relation":"next","url":"%s"}`, next)
	}
	return fmt.Appendf(nil, `{"resourceType":"Bundle","type":"searchset","link":[%s],"entry":[%s]}`, links, strings.Join(entries, ","))
}

// TestEverythingOfAPatient: 612 resources on 7 pages, by type as the data's manifest says.
func TestEverythingOfAPatient(t *testing.T) {
	t.Parallel()
	const patient = "Patient/00cb4e01-ae5c-42c3-8b3b-a88e148e3385/$everything"
	s, client, _ := pair(t, servertest.Config{Pages: map[string][][]byte{patient: everything(t)}})
	types, pages := map[string]int{}, 0
	for page, err := range client.Search(t.Context(), s.Base+"/"+patient+"?_count=100", new(Links)) {
		require.NoError(t, err)
		pages++
		for _, resource := range page.Resources {
			var r struct{ ResourceType string }
			require.NoError(t, json.Unmarshal(resource, &r))
			types[r.ResourceType]++
		}
	}
	require.Equal(t, 7, pages)
	require.Equal(t, map[string]int{"Patient": 1, "CarePlan": 5, "Claim": 59, "Condition": 6, "DiagnosticReport": 36, "Encounter": 39, "ExplanationOfBenefit": 39, "Immunization": 13, "MedicationRequest": 20, "Observation": 389, "Procedure": 5}, types)
	asked := s.Asked(servertest.Pages)
	require.Len(t, asked, 7)
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(asked))), 7)
}

func TestSearchURL(t *testing.T) {
	t.Parallel()
	client, err := New(Config{Base: "https://fhir.example/r4/"})
	require.NoError(t, err)
	got, err := client.SearchURL("Observation?category=laboratory&status=final", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), 200)
	require.NoError(t, err)
	require.Equal(t, "https://fhir.example/r4/Observation?_count=200&_lastUpdated=ge2026-01-02T03%3A04%3A05.000Z&category=laboratory&status=final", got)
	for _, search := range []string{"", "Patient/1", "../x", "Patient?%zz", "https://elsewhere.example/Patient"} {
		_, err := client.SearchURL(search, time.Time{}, 10)
		require.Error(t, err, search)
	}
	_, err = client.SearchURL("Patient", time.Time{}, 0)
	require.Error(t, err)
}

func TestSearchThatGoesWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults []servertest.Fault
		pages  int    // that come before
		want   string // of the error, empty for none
	}{
		"a page that breaks off":  {[]servertest.Fault{servertest.Cut(50)}, 2, ""},
		"a busy server":           {[]servertest.Fault{servertest.Busy(503, "1")}, 2, ""},
		"a page that leads back":  {[]servertest.Fault{servertest.Text(string(patients("Patient?_count=2", "1")))}, 0, "in a circle"},
		"a page that leads away":  {[]servertest.Fault{servertest.Text(string(patients("https://elsewhere.example/Patient", "1")))}, 0, "https://elsewhere.example:443"},
		"a page that is too long": {[]servertest.Fault{servertest.Text(strings.Repeat(" ", 1<<20) + string(patients("", "1")))}, 0, "over the limit"},
		"entries without end":     {[]servertest.Fault{servertest.Text(`{"resourceType":"Bundle","type":"searchset","entry":[{}` + strings.Repeat(",{}", 100_000) + `]}`)}, 0, "over 100,000"},
		"entries of another kind": {[]servertest.Fault{servertest.Text(`{"resourceType":"Bundle","type":"searchset","entry":{"Erika":1}}`)}, 0, "not the JSON"},
		"no bundle":               {[]servertest.Fault{servertest.Text(`{"resourceType":"Patient"}`)}, 0, "no Bundle of type searchset"},
		"no JSON":                 {[]servertest.Fault{servertest.Text(`Erika Mustermann`)}, 0, "not the JSON"},
		"refused":                 {[]servertest.Fault{servertest.Outcome(400, "not-supported")}, 0, "status 400 (not-supported)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client, _ := pair(t, servertest.Config{Pages: map[string][][]byte{"Patient": {patients("NEXT", "1", "2"), patients("", "3")}}},
				func(cfg *Config) { cfg.MaxAnswer = 1 << 20 })
			for _, f := range c.faults {
				s.Once(servertest.Pages, f)
			}
			at, err := client.SearchURL("Patient", time.Time{}, 2)
			require.NoError(t, err)
			pages := 0
			for _, err = range client.Search(t.Context(), at, new(Links)) {
				if err != nil {
					break
				}
				pages++
			}
			require.Equal(t, c.pages, pages)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "Erika")
		})
	}
}

func TestOutcomesAreNoRecords(t *testing.T) {
	t.Parallel()
	s, client, c := pair(t, servertest.Config{})
	s.Once(servertest.Pages, func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Date", "Sun, 22 Nov 2026 07:59:58 GMT")
		_, _ = w.Write([]byte(`{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Patient"}},{"search":{"mode":"outcome"},"resource":{"resourceType":"OperationOutcome"}},{}]}`))
	})
	for page, err := range client.Search(t.Context(), s.Base+"/Patient", new(Links)) {
		require.NoError(t, err)
		require.Len(t, page.Resources, 1)
		require.Equal(t, 1, page.Outcomes)
		require.Equal(t, c.Now().Add(-2*time.Second), page.Time)
		require.Equal(t, "page of 1 resources", fmt.Sprintf("%+v", page))
		_, err = json.Marshal(page)
		require.Error(t, err)
	}
}

func FuzzPage(f *testing.F) {
	client, err := New(Config{Base: "https://fhir.example"})
	require.NoError(f, err)
	at, err := url.Parse("https://fhir.example/Patient")
	require.NoError(f, err)
	f.Add(patients("Patient?page=2", "1"))
	f.Add(patients("https://elsewhere.example", "1"))
	f.Add([]byte(`{"resourceType":"Bundle","type":"searchset","entry":[{"resource":null},{"resource":7}],"link":[{"relation":"next","url":"//elsewhere.example/x"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		page, err := client.parsePage(text, at)
		if err == nil && page.Next != "" && !strings.HasPrefix(page.Next, "https://fhir.example") {
			t.Errorf("a stranger would be asked: %s", page.Next)
		}
	})
}
