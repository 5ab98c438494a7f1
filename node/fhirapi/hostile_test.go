package fhirapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/node/fhirapi"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// secret is a value that no answer to a bad request and no log may hold.
const secret = "Kowalski-4711"

func TestBadRequestsAreRefusedInFHIR(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.put("/fhir/Patient/anna", anna)
	deep := strings.Repeat(`{"extension":[`, 40) + strings.Repeat(`]}`, 40)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		code               string
	}{
		"no JSON":                 {"PUT", "/fhir/Patient/a", `{"resourceType":"Patient"` + secret, 400, "structure"},
		"no object":               {"PUT", "/fhir/Patient/a", `["` + secret + `"]`, 400, "structure"},
		"null":                    {"PUT", "/fhir/Patient/a", `null`, 400, "structure"},
		"a key twice":             {"PUT", "/fhir/Patient/a", `{"resourceType":"Patient","id":"a","` + secret + `":1,"` + secret + `":2}`, 400, "structure"},
		"a key twice in a Bundle": {"PUT", "/fhir/Bundle/a", `{"resourceType":"Bundle","id":"a","type":"document","entry":[{"resource":{"a":1,"a":2}}]}`, 400, "structure"},
		"a lone surrogate":        {"PUT", "/fhir/Patient/a", `{"resourceType":"Patient","id":"a","language":"\ud800"}`, 400, "structure"},
		"no UTF-8":                {"PUT", "/fhir/Patient/a", "{\"resourceType\":\"Patient\",\"id\":\"a\",\"language\":\"\xff\"}", 400, "structure"},
		"a zero character":        {"PUT", "/fhir/Patient/a", `{"resourceType":"Patient","id":"a","language":"\u0000"}`, 400, "structure"},
		"too deep":                {"PUT", "/fhir/Patient/a", `{"resourceType":"Patient","id":"a","x":` + deep + `}`, 400, "structure"},
		"out of its wrapping":     {"PUT", "/fhir/Patient/a", `{"resourceType":"Patient","id":"a"}},{"resource":{}`, 400, "structure"},
		"another type":            {"PUT", "/fhir/Patient/a", `{"resourceType":"Person","id":"a"}`, 400, "invariant"},
		"another id":              {"PUT", "/fhir/Patient/a", `{"resourceType":"Patient","id":"` + secret + `"}`, 400, "invariant"},
		"no id":                   {"PUT", "/fhir/Patient/a", `{"resourceType":"Patient"}`, 400, "invariant"},
		"a bad id":                {"PUT", "/fhir/Patient/a_b", `{"resourceType":"Patient","id":"a_b"}`, 400, "value"},
		"no such type":            {"PUT", "/fhir/Kowalski/a", `{"resourceType":"Kowalski","id":"a"}`, 404, "not-supported"},
		"a thousand names":        {"PUT", "/fhir/Patient/a", `{"resourceType":"Patient","id":"a","name":[{"given":[` + strings.Repeat(`"`+strings.Repeat("x", 64)+`",`, 1000) + `"x"]}]}`, 413, "too-costly"},
		"a bad birth date":        {"PUT", "/fhir/Patient/a", `{"resourceType":"Patient","id":"a","birthDate":"` + secret + `"}`, 422, "value"},
		"a number for a text":     {"PUT", "/fhir/Patient/a", `{"resourceType":"Patient","id":"a","gender":1}`, 422, "value"},
		"a bad reference":         {"PUT", "/fhir/CarePlan/a", `{"resourceType":"CarePlan","id":"a","subject":{"reference":"` + secret + `"}}`, 422, "value"},
		"meta is no object":       {"PUT", "/fhir/CarePlan/a", `{"resourceType":"CarePlan","id":"a","meta":[]}`, 422, "value"},
		"no transaction":          {"POST", "/fhir", `{"resourceType":"Bundle","type":"collection"}`, 400, "structure"},
		"entries are no list":     {"POST", "/fhir", `{"resourceType":"Bundle","type":"batch","entry":{}}`, 400, "structure"},
		"an unknown parameter":    {"GET", "/fhir/Patient?" + secret + "=1", "", 400, "not-supported"},
		"an unknown modifier":     {"GET", "/fhir/Patient?name:contains=" + secret, "", 400, "not-supported"},
		"a chain":                 {"GET", "/fhir/Observation?patient.name=" + secret, "", 400, "not-supported"},
		"an include":              {"GET", "/fhir/Observation?_include=Observation:subject", "", 400, "not-supported"},
		"a bad date":              {"GET", "/fhir/Patient?birthdate=" + secret, "", 400, "value"},
		"a bad prefix":            {"GET", "/fhir/Patient?birthdate=zz2020", "", 400, "value"},
		"an empty value":          {"GET", "/fhir/Patient?name=", "", 400, "value"},
		"a bad count":             {"GET", "/fhir/Patient?_count=-1", "", 400, "value"},
		"a bad sort":              {"GET", "/fhir/Patient?_sort=name", "", 400, "not-supported"},
		"a bad cursor":            {"GET", "/fhir/Patient?_cursor=" + secret, "", 400, "value"},
		"too many values":         {"GET", "/fhir/Patient?_id=" + strings.Repeat("a,", 600), "", 400, "too-costly"},
		"no address":              {"GET", "/fhir/Patient/a/b", "", 404, "not-found"},
		"no method":               {"PATCH", "/fhir/Patient/anna", "", 405, "not-supported"},
		"no such resource":        {"GET", "/fhir/Patient/" + secret, "", 404, "not-found"},
		"too large":               {"PUT", "/fhir/Patient/a", `{"resourceType":"Patient","language":"` + strings.Repeat("a", fhirapi.MaxBody) + `"}`, 413, "too-long"},
		"a transaction too large": {"POST", "/fhir", `{"resourceType":"Bundle","language":"` + strings.Repeat("a", fhirapi.MaxBody) + `"}`, 413, "too-long"},
		"too many entries":        {"POST", "/fhir", asked("transaction", strings.Repeat(`{},`, 5000)+`{}`), 413, "too-costly"},
	} {
		a := s.do(c.method, c.path, c.body)
		t.Log(name)
		refused(t, a, c.status, c.code)
		require.NotContains(t, a.body, secret, name)
	}
	require.Equal(t, "GET, PUT, DELETE", s.do("PATCH", "/fhir/Patient/anna", "").header.Get("Allow"))
	require.NotContains(t, s.log.String(), secret)
	require.Equal(t, []string{"Patient/anna"}, s.found("/fhir/Patient"), "nothing was stored")
	left, err := s.loads.Jobs(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestMediaTypes(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.put("/fhir/Patient/anna", anna)
	for accept, want := range map[string]int{
		"": 200, "*/*": 200, "application/*;q=0.5": 200, "application/json": 200, "text/html, application/fhir+json; fhirVersion=4.0": 200,
		"application/fhir+xml": 406, "text/html": 406, "application/fhir+turtle,application/xml": 406,
	} {
		require.Equal(t, want, s.get("/fhir/Patient/anna", "Accept", accept).status, accept)
	}
	require.Equal(t, 200, s.get("/fhir/Patient/anna?_format=json", "Accept", "text/html").status)
	refused(t, s.get("/fhir/Patient/anna?_format=xml"), 406, "not-supported")
	refused(t, s.do("PUT", "/fhir/Patient/anna", "<Patient/>", "Content-Type", "application/fhir+xml"), 415, "not-supported")
	refused(t, s.do("PUT", "/fhir/Patient/anna", anna, "Content-Type", "application/json-patch+json"), 415, "not-supported")
}

// TestNothingIsHalfStored fails each request at the last step before the transaction
// ends, and then looks whether store and loads agree.
func TestNothingIsHalfStored(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.put("/fhir/Patient/anna", anna)
		jobs := func() int {
			list, err := s.loads.Jobs(t.Context(), 0, 100)
			require.NoError(t, err)
			return len(list)
		}
		require.Equal(t, 1, jobs())
		for fault, want := range map[error]int{
			errors.New("the process dies with " + secret): 500, fmt.Errorf("enqueue: %w", sqldb.ErrLocked): 503, fmt.Errorf("enqueue: %w", sqldb.ErrFull): 503,
		} {
			for path, body := range map[string]string{
				"PUT /fhir/Observation/w1": weight, "PUT /fhir/Patient/anna": strings.Replace(anna, "female", "male", 1), "DELETE /fhir/Observation/w1": "",
				"POST /fhir": asked("transaction", post("", weight, "")),
			} {
				method, path, _ := strings.Cut(path, " ")
				if method == "DELETE" {
					continue
				}
				s.breaks(fault)
				a := s.do(method, path, body)
				require.Equal(t, want, a.status)
				require.Contains(t, a.body, `"OperationOutcome"`)
				require.NotContains(t, a.body, secret)
			}
		}
		require.Equal(t, 1, jobs())
		require.Empty(t, s.found("/fhir/Observation"))
		require.Equal(t, value(t, anna), value(t, s.get("/fhir/Patient/anna").body))
		require.Len(t, s.found("/fhir/Provenance"), 1)
		s.put("/fhir/Observation/w1", weight)
		require.Equal(t, 2, jobs())
	})
}

// TestProblemsBecomeOutcomes: what stands before the API speaks FHIR as well.
func TestProblemsBecomeOutcomes(t *testing.T) {
	t.Parallel()
	inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(problem.From(problem.New(problem.Unauthorized, "a bearer token is needed")))
	})
	ask := func(path string) answer {
		w := httptest.NewRecorder()
		fhirapi.Outcomes(inner).ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), "GET", path, nil))
		return answer{w.Code, w.Result().Header, w.Body.String()}
	}
	a := ask("/fhir/Patient")
	refused(t, a, 401, "login")
	require.Contains(t, a.body, "a bearer token is needed")
	require.Contains(t, ask("/v1/status").body, "urn:trialmesh:problem:unauthorized")
	require.Contains(t, ask("/fhirs").body, "urn:trialmesh:problem:unauthorized")
}

func TestCapabilityStatementSaysWhatIsServed(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	a := s.get("/fhir/metadata")
	require.Equal(t, 200, a.status)
	var c struct {
		ResourceType, FHIRVersion, Kind string
		Rest                            []struct {
			Resource []struct {
				Type        string
				Interaction []struct{ Code string }
				SearchParam []struct{ Name, Type string }
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &c))
	require.Equal(t, "CapabilityStatement", c.ResourceType)
	require.Equal(t, "4.0.1", c.FHIRVersion)
	require.Len(t, c.Rest[0].Resource, 145, "all of R4 but Parameters")
	values := map[string]string{"date": "2020", "token": "a", "reference": "a", "string": "a"}
	for _, r := range c.Rest[0].Resource {
		var all []string
		for _, p := range r.SearchParam {
			all = append(all, p.Name+"="+values[p.Type])
		}
		require.Equal(t, 200, s.get("/fhir/"+r.Type+"?"+strings.Join(all, "&")).status, r.Type)
	}
}

func FuzzResource(f *testing.F) {
	for _, seed := range []string{
		anna, weight, `{`, `null`, `{"resourceType":"Basic","id":"a","extension":[{"url":"a","valueReference":{"reference":"#b"}}]}`,
		`{"resourceType":"Basic","id":"a","x":{"reference":5},"y":1e400,"z":"\u2028<&>"}`, `{"resourceType":"Basic","id":"a","meta":{"versionId":7,"tag":[]}}`,
	} {
		f.Add(seed)
	}
	shared := newSQLite(f)
	f.Fuzz(func(t *testing.T, text string) {
		s, path := &site{t: t, api: shared.api, caller: shared.caller}, "/fhir/Basic/a"
		a := s.do("PUT", path, text)
		if text == "" || a.status >= 400 {
			require.Less(t, a.status, 500, a.body)
			require.Contains(t, a.body, `"OperationOutcome"`)
			return
		}
		require.Equal(t, marshaled(t, value(t, text)), marshaled(t, value(t, s.get(path).body)))
	})
}

func FuzzSearch(f *testing.F) {
	for _, seed := range []string{"patient=anna&date=ge2024&code=a|b,c\\,d", "_sort=-date&_count=1", "subject:Patient=1", "_cursor=e30", "date=ap2024-05-01T10:00:00+02:00"} {
		f.Add(seed)
	}
	s := newSQLite(f)
	s.put("/fhir/Patient/anna", anna)
	s.put("/fhir/Observation/w1", weight)
	f.Fuzz(func(t *testing.T, query string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(access.With(t.Context(), s.caller), "GET", "/fhir/Observation", nil)
		r.URL.RawQuery = query
		s.api.ServeHTTP(w, r)
		require.Contains(t, []int{200, 400, 406}, w.Code, w.Body.String())
		require.True(t, json.Valid(w.Body.Bytes()))
	})
}
