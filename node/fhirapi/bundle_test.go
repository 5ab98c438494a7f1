package fhirapi_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

// asked is a bundle of entries.
func asked(kind string, entries ...string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
}

// post is an entry that creates a resource.
func post(fullURL, resource, more string) string {
	kind := strings.Split(strings.SplitN(resource, `"resourceType":"`, 2)[1], `"`)[0]
	return fmt.Sprintf(`{"fullUrl":%q,"resource":%s,"request":{"method":"POST","url":%q%s}}`, fullURL, resource, kind, more)
}

func TestTransaction(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		const one, two = "urn:uuid:11111111-1111-4111-8111-111111111111", "urn:uuid:22222222-2222-4222-8222-222222222222"
		result := strings.Replace(weight, "Patient/anna", one, 1)
		b := bundleOf(t, s.do("POST", "/fhir", asked("transaction",
			post(two, result, ""), post(one, anna, `,"ifNoneExist":"identifier=urn:mrn|4711"`),
			`{"resource":{"resourceType":"Organization","id":"acme","name":"Acme"},"request":{"method":"PUT","url":"Organization/acme"}}`)))
		require.Equal(t, "transaction-response", b.Type)
		require.Len(t, b.Entry, 3)
		for _, e := range b.Entry {
			require.Equal(t, "201 Created", e.Response.Status)
			require.Equal(t, `W/"1"`, e.Response.ETag)
		}
		patient := strings.TrimSuffix(strings.TrimPrefix(b.Entry[1].Response.Location, "http://node.example:8080/fhir/"), "/_history/1")
		require.Len(t, s.found("/fhir/Observation?patient="+patient), 1, "the reference was rewritten")
		require.Len(t, s.found("/fhir/Provenance?target=Organization/acme"), 1)

		t.Run("rows", func(t *testing.T) {
			s.run()
			s.loaded()
			require.EqualValues(t, 1, s.rows()[omop.PersonTable])
		})
		t.Run("who is there is not created again", func(t *testing.T) {
			b := bundleOf(t, s.do("POST", "/fhir", asked("transaction", post(one, anna, `,"ifNoneExist":"identifier=urn:mrn|4711"`), post(two, result, "")), "Prefer", "return=representation"))
			require.Equal(t, "200 OK", b.Entry[0].Response.Status)
			require.Equal(t, "201 Created", b.Entry[1].Response.Status)
			require.Equal(t, map[string]any{"reference": patient}, b.Entry[1].Resource["subject"])
			require.Len(t, s.found("/fhir/Patient"), 1)
		})
		t.Run("a conditional reference is answered by the store", func(t *testing.T) {
			by := func(condition string) string {
				return asked("transaction", post(two, strings.Replace(weight, "Patient/anna", "Patient?identifier="+condition, 1), ""))
			}
			bundleOf(t, s.do("POST", "/fhir/", by("urn:mrn|4711")))
			require.Len(t, s.found("/fhir/Observation?patient="+patient), 3)
			refused(t, s.do("POST", "/fhir", by("urn:mrn|0")), 412, "multiple-matches")
		})
		t.Run("all or nothing", func(t *testing.T) {
			before := s.found("/fhir/Organization")
			next := `{"resource":{"resourceType":"Organization","id":"next"},"request":{"method":"PUT","url":"Organization/next"}}`
			for name, c := range map[string]struct {
				entry  string
				status int
				code   string
			}{
				"a version that is not there": {`{"resource":{"resourceType":"Organization","id":"acme","name":"B"},"request":{"method":"PUT","url":"Organization/acme","ifMatch":"W/\"9\""}}`, 412, "conflict"},
				"the same twice":              {next, 400, "invariant"},
				"nobody to delete":            {`{"request":{"method":"DELETE","url":"Organization/none"}}`, 404, "not-found"},
				"a patient to delete":         {`{"request":{"method":"DELETE","url":"` + patient + `"}}`, 409, "business-rule"},
				"a conditional delete":        {`{"request":{"method":"DELETE","url":"Organization?name=x"}}`, 422, "not-supported"},
				"a read":                      {`{"request":{"method":"GET","url":"Organization/acme"}}`, 422, "not-supported"},
				"an open urn":                 {post(two, strings.Replace(weight, "Patient/anna", one, 1), ""), 422, "not-found"},
				"no request":                  {`{"resource":{"resourceType":"Organization"}}`, 400, "structure"},
				"no resource":                 {`{"request":{"method":"POST","url":"Organization"}}`, 400, "structure"},
				"another type":                {`{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Organization"}}`, 400, "invariant"},
				"a key twice":                 {`{"resource":{"resourceType":"Organization","name":"a","name":"b"},"request":{"method":"POST","url":"Organization"}}`, 400, "structure"},
			} {
				refused(t, s.do("POST", "/fhir", asked("transaction", next, c.entry)), c.status, c.code)
				require.Equal(t, before, s.found("/fhir/Organization"), name)
			}
		})
		t.Run("deletes", func(t *testing.T) {
			b := bundleOf(t, s.do("POST", "/fhir", asked("transaction", `{"request":{"method":"DELETE","url":"Organization/acme"}}`)))
			require.Equal(t, "204 No Content", b.Entry[0].Response.Status)
			refused(t, s.get("/fhir/Organization/acme"), 410, "deleted")
		})
	})
}

// TestReferencesAreOfTheirEntry has the rules of
// https://hl7.org/fhir/R4/bundle.html#references.
func TestReferencesAreOfTheirEntry(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	const urn = "urn:uuid:11111111-1111-4111-8111-111111111111"
	person := func(name string) string {
		return `{"resourceType":"Patient","identifier":[{"system":"urn:mrn","value":"` + name + `"}]}`
	}
	weighs := func(to string) string { return strings.Replace(weight, "Patient/anna", to, 1) }
	b := bundleOf(t, s.do("POST", "/fhir", asked("transaction",
		post("https://a.example/fhir/Patient/1", person("a"), ""),
		post("https://b.example/r4/Patient/1", person("b"), ""),
		post(urn, person("c"), ""),
		post("https://a.example/fhir/Observation/1", weighs("Patient/1"), ""),
		post("https://b.example/r4/Observation/1", weighs("Patient/1"), ""),
		post("https://b.example/r4/Observation/2", weighs("https://a.example/fhir/Patient/1"), ""),
		post("https://b.example/r4/Observation/3", weighs(urn), ""),
		post("https://c.example/Observation/1", weighs("Patient/1"), ""),
		post("urn:uuid:22222222-2222-4222-8222-222222222222", weighs("Patient/1"), ""),
	), "Prefer", "return=representation"))
	name := func(entry int) string { return "Patient/" + b.Entry[entry].Resource["id"].(string) }
	for i, want := range []string{name(0), name(1), name(0), name(2), "Patient/1", "Patient/1"} {
		require.Equal(t, map[string]any{"reference": want}, b.Entry[3+i].Resource["subject"], "observation %d", i)
	}
	refused(t, s.do("POST", "/fhir", asked("transaction", post(urn, person("d"), ""), post(urn, person("e"), ""))), 400, "invariant")
}

func TestBatch(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.put("/fhir/Patient/anna", anna)
	b := bundleOf(t, s.do("POST", "/fhir", asked("batch",
		`{"request":{"method":"GET","url":"Patient/anna"}}`,
		`{"request":{"method":"GET","url":"Patient?name=mu"}}`,
		`{"request":{"method":"GET","url":"Patient/none"}}`,
		`{"resource":{"resourceType":"Organization","id":"a"},"request":{"method":"PUT","url":"Organization/a"}}`,
		`{"resource":{"resourceType":"Organization","id":"b"},"request":{"method":"PUT","url":"Organization/a"}}`,
		`{"request":{"method":"POST","url":"/"}}`,
		`{"request":{"method":"GET","url":"../v1/status"}}`,
		`{"request":{"method":"GET","url":"metadata"}}`,
		`{"request":{"method":"GET","url":"./1"}}`,
		`{"request":{"method":"GET","url":"Patient/./anna"}}`,
		`{"request":{"method":"GET","url":"Patient//anna"}}`,
		`{"request":{"method":"GET","url":"Patient/%2e%2e/Patient/anna"}}`,
		`{"request":{"method":"GET","url":"http://node.example:8080/fhir/Patient/anna"}}`,
		`{"request":{"method":"GET","url":"Patient/"}}`,
	)))
	require.Equal(t, "batch-response", b.Type)
	var statuses []string
	for _, e := range b.Entry {
		statuses = append(statuses, strings.Split(e.Response.Status, " ")[0])
		require.True(t, e.Resource != nil || e.Response.Outcome != nil, "no entry is answered with nothing")
	}
	require.Equal(t, []string{"200", "200", "404", "201", "400", "422", "400", "200", "400", "400", "400", "400", "400", "404"}, statuses)
	require.Equal(t, "searchset", b.Entry[1].Resource["type"])
	require.Equal(t, "OperationOutcome", b.Entry[2].Response.Outcome["resourceType"])
	require.Equal(t, "CapabilityStatement", b.Entry[7].Resource["resourceType"])
}

// TestEverythingOfAPublishedPatient pushes what another server's $everything answered
// and asks ours for it: of each type as many as there.
func TestEverythingOfAPublishedPatient(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/everything.json.gz")
	require.NoError(t, err)
	defer f.Close()
	plain, err := gzip.NewReader(f)
	require.NoError(t, err)
	text, err := io.ReadAll(plain)
	require.NoError(t, err)
	var page struct {
		Total int
		Entry []struct{ Resource json.RawMessage }
	}
	require.NoError(t, json.Unmarshal(text, &page))
	require.Equal(t, 77, page.Total)

	s := newSQLite(t)
	sent, entries := map[string]string{}, []string{}
	for _, e := range page.Entry {
		var r struct{ ResourceType, ID string }
		require.NoError(t, json.Unmarshal(e.Resource, &r))
		name := r.ResourceType + "/" + r.ID
		sent[name] = string(e.Resource)
		entries = append(entries, fmt.Sprintf(`{"resource":%s,"request":{"method":"PUT","url":%q}}`, e.Resource, name))
	}
	bundleOf(t, s.do("POST", "/fhir", asked("transaction", entries...)))
	at, pages := "/fhir/Patient/00ae38af-c147-4019-970d-e9382c674e1d/$everything?_count=20", 0
	for ; at != ""; pages++ {
		a := s.get(at)
		b := bundleOf(t, a)
		require.Equal(t, page.Total, *b.Total)
		for _, e := range b.Entry {
			name := strings.TrimPrefix(e.FullURL, "http://node.example:8080/fhir/")
			got, err := json.Marshal(e.Resource)
			require.NoError(t, err)
			want, err := json.Marshal(value(t, sent[name]))
			require.NoError(t, err)
			require.JSONEq(t, string(want), marshaled(t, value(t, string(got))), name)
			delete(sent, name)
		}
		at = b.link("next")
	}
	require.Empty(t, sent, "each came once")
	require.Equal(t, 4, pages)
	require.Len(t, s.found("/fhir/Patient/00ae38af-c147-4019-970d-e9382c674e1d/$everything?_type=Encounter,Condition"), 8)
	require.Empty(t, s.found("/fhir/Patient/00ae38af-c147-4019-970d-e9382c674e1d/$everything?_since=2027-01-01"))
	refused(t, s.get("/fhir/Patient/none/$everything"), 404, "not-found")
}

func marshaled(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

// BenchmarkConditionalReferences is a transaction of 1,000 facts that name three
// practitioners by their numbers, as senders do that know no ids.
func BenchmarkConditionalReferences(b *testing.B) {
	s := newSQLite(b)
	for i := range 3 {
		s.put(fmt.Sprintf("/fhir/Practitioner/p%d", i), fmt.Sprintf(`{"resourceType":"Practitioner","id":"p%d","identifier":[{"system":"urn:npi","value":"%d"}]}`, i, i))
	}
	for n := 0; b.Loop(); n++ {
		entries := make([]string, 1000)
		for i := range entries {
			fact := fmt.Sprintf(`{"resourceType":"Basic","language":"x%d","author":{"reference":"Practitioner?identifier=urn:npi|%d"}}`, n, i%3)
			entries[i] = post("", fact, "")
		}
		bundleOf(b, s.do("POST", "/fhir", asked("transaction", entries...)))
	}
}
