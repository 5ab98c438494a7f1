package fhirapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/access"
)

// as sends what follows as a registered client with scopes.
func (s *site) as(scopes string) {
	s.t.Helper()
	parsed, err := access.ParseScopes(scopes)
	require.NoError(s.t, err)
	s.caller = access.NewCaller("ehr", parsed)
}

// lacks checks that a request is refused for want of one scope.
func (s *site) lacks(a answer, scope string) {
	s.t.Helper()
	refused(s.t, a, 403, "forbidden")
	require.Equal(s.t, `Bearer error="insufficient_scope", scope="`+scope+`"`, a.header.Get("WWW-Authenticate"))
}

// entryOf is an entry of a bundle.
func entryOf(method, url, more, body string) string {
	if body != "" {
		body = `,"resource":` + body
	}
	return fmt.Sprintf(`{"request":{"method":%q,"url":%q%s}%s}`, method, url, more, body)
}

func bundled(sort string, entries ...string) string {
	return `{"resourceType":"Bundle","type":"` + sort + `","entry":[` + strings.Join(entries, ",") + `]}`
}

const (
	basic     = `{"resourceType":"Basic","id":"b"}`
	newBasic  = `{"resourceType":"Basic"}`
	naming    = `{"resourceType":"Basic","subject":{"reference":"Patient?identifier=x|1"}}`
	ownWords  = `{"resourceType":"Provenance","target":[{"reference":"Basic/b"}],"recorded":"2026-11-22T09:00:00Z","agent":[{"who":{"display":"x"}}]}`
	oneWithID = `{"resourceType":"Patient","id":"anna","identifier":[{"system":"x","value":"1"}]}`
)

func TestEachInteractionNeedsItsScope(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.put("/fhir/Patient/anna", oneWithID)
	for name, c := range map[string]struct {
		method, path, body string
		header             []string
		needs              string // all of it, in order of the checks
	}{
		"read":                  {method: "GET", path: "/fhir/Patient/anna", needs: "system/Patient.r"},
		"read of a version":     {method: "GET", path: "/fhir/Patient/anna/_history/1", needs: "system/Patient.r"},
		"search":                {method: "GET", path: "/fhir/Patient?_id=anna", needs: "system/Patient.s"},
		"search by POST":        {method: "POST", path: "/fhir/Patient/_search", body: "_id=anna", header: []string{"Content-Type", "application/x-www-form-urlencoded"}, needs: "system/Patient.s"},
		"what is included":      {method: "GET", path: "/fhir/Patient?_revinclude=Provenance:target", needs: "system/Patient.s system/Provenance.s"},
		"everything":            {method: "GET", path: "/fhir/Patient/anna/$everything", needs: "system/Patient.rs"},
		"everything of a type":  {method: "GET", path: "/fhir/Patient/anna/$everything?_type=Patient,Condition", needs: "system/Patient.rs system/Condition.s"},
		"create":                {method: "POST", path: "/fhir/Basic", body: newBasic, needs: "system/Basic.c"},
		"conditional create":    {method: "POST", path: "/fhir/Patient", body: `{"resourceType":"Patient"}`, header: []string{"If-None-Exist", "identifier=x|1"}, needs: "system/Patient.c system/Patient.s"},
		"conditional reference": {method: "POST", path: "/fhir/Basic", body: naming, needs: "system/Basic.c system/Patient.s"},
		"provenance":            {method: "POST", path: "/fhir/Basic", body: newBasic, header: []string{"X-Provenance", ownWords}, needs: "system/Basic.c system/Provenance.c"},
		"update":                {method: "PUT", path: "/fhir/Basic/b", body: basic, needs: "system/Basic.u"},
		"delete":                {method: "DELETE", path: "/fhir/Basic/gone", needs: "system/Basic.d"},
	} {
		parts := strings.Fields(c.needs)
		for i, missing := range parts {
			s.as(strings.Join(append([]string{"ingest"}, parts[:i]...), " "))
			s.lacks(s.do(c.method, c.path, c.body, c.header...), missing)
		}
		s.as(c.needs)
		if a := s.do(c.method, c.path, c.body, c.header...); name == "delete" {
			refused(t, a, 404, "not-found")
		} else {
			require.Less(t, a.status, 300, "%s: %s", name, a.body)
		}
	}
	s.caller = access.Caller{}
	s.lacks(s.get("/fhir/Patient/anna"), "system/Patient.r")
}

func TestABundleAllowsNoMoreThanItsEntries(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.put("/fhir/Patient/anna", oneWithID)
	before := len(bundleOf(t, s.get("/fhir/Basic")).Entry)

	s.as("system/Basic.c")
	for scope, e := range map[string]string{
		"system/Basic.u":         entryOf("PUT", "Basic/b", "", basic),
		"system/Basic.d":         entryOf("DELETE", "Basic/b", "", ""),
		"system/Basic.s":         entryOf("POST", "Basic", `,"ifNoneExist":"identifier=x|1"`, newBasic),
		"system/Patient.s":       entryOf("POST", "Basic", "", naming),
		"system/Patient.u":       entryOf("PUT", "Patient/anna", "", oneWithID),
		"system/Observation.c":   entryOf("POST", "Observation", "", `{"resourceType":"Observation","status":"final","code":{"text":"x"}}`),
		"system/Questionnaire.d": entryOf("DELETE", "Questionnaire/q", "", ""),
	} {
		a := s.do("POST", "/fhir", bundled("transaction", entryOf("POST", "Basic", "", newBasic), e))
		s.lacks(a, scope)
	}
	s.lacks(s.do("POST", "/fhir", bundled("transaction", entryOf("POST", "Basic", "", newBasic)), "X-Provenance", ownWords), "system/Provenance.c")

	b := bundleOf(t, s.do("POST", "/fhir", bundled("batch",
		entryOf("GET", "Patient/anna", "", ""), entryOf("GET", "Patient?_id=anna", "", ""), entryOf("GET", "Patient/anna/$everything", "", ""),
		entryOf("PUT", "Basic/b", "", basic), entryOf("DELETE", "Basic/b", "", ""), entryOf("POST", "Basic", "", naming), entryOf("POST", "Basic", "", newBasic))))
	for i, e := range b.Entry[:6] {
		require.Equal(t, "403 Forbidden", e.Response.Status, "entry %d", i)
		require.Nil(t, e.Resource)
	}
	require.Equal(t, "201 Created", b.Entry[6].Response.Status)

	s.caller = access.Operator()
	require.Len(t, bundleOf(t, s.get("/fhir/Basic")).Entry, before+1, "a refused transaction stores nothing")
}

func TestEverythingIsWhatTheClientMaySearch(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.put("/fhir/Patient/anna", anna)
	s.put("/fhir/Observation/w1", weight)
	s.put("/fhir/Condition/c1", `{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/anna"}}`)
	s.as("system/Patient.rs system/Observation.s")
	require.ElementsMatch(t, []string{"Patient/anna", "Observation/w1"}, s.found("/fhir/Patient/anna/$everything"))
	s.as("system/*.rs")
	require.ElementsMatch(t, []string{"Patient/anna", "Observation/w1", "Condition/c1"}, s.found("/fhir/Patient/anna/$everything"))
}

// A page that one client was given is no way past the scopes of another.
func TestALinkToTheNextPageCarriesNoScope(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.put("/fhir/Patient/anna", anna)
	s.put("/fhir/Observation/w1", weight)
	s.put("/fhir/Condition/c1", `{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/anna"}}`)
	next := bundleOf(t, s.get("/fhir/Patient/anna/$everything?_count=1")).link("next")
	require.NotEmpty(t, next)
	s.as("system/Patient.rs")
	require.NotContains(t, s.found(next), "Condition/c1")
	require.NotContains(t, s.found(next), "Observation/w1")
	s.as("system/Observation.rs")
	s.lacks(s.get(next), "system/Patient.rs")
}

func TestClientsAreNamedInProvenanceAndTrail(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.as("system/*.cruds")
	s.put("/fhir/Basic/b", basic)
	a := s.get("/fhir/Provenance?target=Basic/b")
	require.Contains(t, a.body, `"display":"API client ehr, as test-ehr/1"`)
	list, err := s.trail.Latest(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "fhir Provenance, 1, client ehr", list[0].Subject)
}
