package fhirserver

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver/servertest"
)

var threeFiles = []servertest.File{
	{Type: "Patient", Content: []byte(`{"resourceType":"Patient","id":"1"}` + "\n")},
	{Type: "Observation", Content: []byte(`{"resourceType":"Observation","id":"2"}` + "\n")},
	{Type: "Observation", Content: nil},
}

// TestExport goes through an export as the specification describes it. The server checks
// every request against it.
func TestExport(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{RS384, ES384} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			key, public := specKey(t, algorithm)
			s := servertest.New(t, servertest.Config{
				Keys: public, Client: clientID, Now: c.Now, Output: threeFiles, PageFiles: 2, Polls: 3,
				Deleted: []servertest.File{{Content: []byte("{}\n")}}, Errors: []servertest.File{{Type: "OperationOutcome", Content: []byte("{}\n")}},
				Time: time.Date(2026, 11, 21, 23, 59, 59, 123_000_000, time.UTC),
			})
			client, err := New(Config{Base: s.Base + "/", Client: clientID, Key: key, Roots: s.Roots(), Now: c.Now, Wait: c.Wait})
			require.NoError(t, err)
			status, m := export(t, client, c, Request{
				Group: "heart-trial", Types: []string{"Patient", "Observation"}, Filters: []string{"Observation?category=laboratory"},
				Since: time.Date(2026, 11, 1, 1, 2, 3, 4_000_000, time.FixedZone("", 3600)),
			})
			require.Equal(t, []string{
				"GET Group/heart-trial/$export?_outputFormat=application%2Ffhir%2Bndjson&_since=2026-11-01T00%3A02%3A03.004Z&_type=Patient%2CObservation&_typeFilter=Observation%3Fcategory%3Dlaboratory",
			}, s.Asked(servertest.Kickoff))
			require.Equal(t, []time.Duration{2 * time.Minute, 2 * time.Minute, 2 * time.Minute}, c.waited, "as the server asked")
			require.Equal(t, time.Date(2026, 11, 21, 23, 59, 59, 123_000_000, time.UTC), m.Time)
			require.Len(t, m.Output, 3, "of two pages")
			require.Len(t, m.Deleted, 1)
			require.Len(t, m.Errors, 1)
			for i, f := range m.Output {
				require.Equal(t, threeFiles[i].Type, f.Type)
				text, err := read(t, client, f)
				require.NoError(t, err)
				require.Equal(t, string(threeFiles[i].Content), text)
			}
			require.NoError(t, client.Delete(t.Context(), status))
			require.Equal(t, 1, s.Deleted())
			require.NoError(t, client.Delete(t.Context(), status), "it is over already")
			require.Len(t, s.Asked(servertest.Token), 2, "the first one ended during the wait")
		})
	}
}

func TestExportsOfOtherLevels(t *testing.T) {
	t.Parallel()
	s, client, _ := pair(t, servertest.Config{})
	for want, r := range map[string]Request{"GET $export?": {}, "GET Patient/$export?": {Patients: true}} {
		_, err := client.Start(t.Context(), r)
		require.NoError(t, err)
		asked := s.Asked(servertest.Kickoff)
		require.True(t, strings.HasPrefix(asked[len(asked)-1], want), asked)
	}
	for _, r := range []Request{{Group: "a/b"}, {Group: ".."}, {Group: "a", Patients: true}} {
		_, err := client.Start(t.Context(), r)
		require.Error(t, err)
	}
}

func TestServerThatWantsNoToken(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.Config{Output: threeFiles})
	client, err := New(Config{Base: s.Base, Roots: s.Roots()})
	require.NoError(t, err)
	_, m := export(t, client, newClock(), Request{})
	require.Len(t, m.Output, 3)
	require.Empty(t, s.Asked(servertest.Discovery))
}

func TestTroubleThatPasses(t *testing.T) {
	t.Parallel()
	manifest := `{"transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":true,"output":[]}`
	for name, c := range map[string]struct {
		kind   string
		faults []servertest.Fault
		waited []time.Duration
	}{
		"busy, in seconds":      {servertest.Kickoff, []servertest.Fault{servertest.Busy(503, "30")}, []time.Duration{30 * time.Second}},
		"busy, until a date":    {servertest.Kickoff, []servertest.Fault{servertest.Busy(429, "Sun, 22 Nov 2026 08:01:30 GMT")}, []time.Duration{90 * time.Second}},
		"busy for too long":     {servertest.Status, []servertest.Fault{servertest.Busy(503, "86400")}, []time.Duration{10 * time.Minute}},
		"busy since before":     {servertest.Status, []servertest.Fault{servertest.Busy(503, "-5")}, []time.Duration{time.Second}},
		"busy, it says nothing": {servertest.Status, []servertest.Fault{servertest.Busy(429, ""), servertest.Busy(502, "soon"), servertest.Busy(504, "")}, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		"a transient failure":   {servertest.Status, []servertest.Fault{servertest.Outcome(500, "transient")}, []time.Duration{time.Second}},
		"no discovery yet":      {servertest.Discovery, []servertest.Fault{servertest.Busy(503, "")}, []time.Duration{time.Second}},
		"no token yet":          {servertest.Token, []servertest.Fault{servertest.Busy(503, "")}, []time.Duration{time.Second}},
		"a broken answer":       {servertest.Status, []servertest.Fault{servertest.Cut(0), servertest.Cut(20)}, []time.Duration{time.Second, 2 * time.Second}},
		"a token that was lost": {servertest.Status, []servertest.Fault{servertest.Busy(401, "")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client, clock := pair(t, servertest.Config{})
			for _, f := range c.faults {
				s.Once(c.kind, f)
			}
			s.Once(servertest.Status, servertest.Text(manifest))
			export(t, client, clock, Request{})
			require.Equal(t, c.waited, clock.waited)
		})
	}
}

func TestTroubleThatDoesNotPass(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind  string
		fault servertest.Fault
		want  string
	}{
		"refused":             {servertest.Kickoff, servertest.Outcome(403, "forbidden"), "request for an export: the server answered with status 403 (forbidden)"},
		"not asynchronous":    {servertest.Kickoff, servertest.Text("{}"), "202 with Content-Location"},
		"export failed":       {servertest.Status, servertest.Outcome(500, "exception"), "status 500 (exception)"},
		"export is unknown":   {servertest.Status, servertest.Outcome(404, "not-found"), "status 404 (not-found)"},
		"a code that is text": {servertest.Status, servertest.Outcome(500, "Erika Mustermann"), "status 500"},
		"a code of its own":   {servertest.Status, servertest.Outcome(500, "erika"), "status 500"},
		"token refused":       {servertest.Token, servertest.Text(`{"error":"x"}`), "no bearer token"},
		"no smart server":     {servertest.Discovery, servertest.Busy(404, ""), "smart-configuration: the server answered with status 404"},
		"other methods":       {servertest.Discovery, servertest.Text(`{"token_endpoint":"https://127.0.0.1/t","token_endpoint_auth_methods_supported":["client_secret_basic"]}`), "private_key_jwt"},
		"other algorithms":    {servertest.Discovery, servertest.Text(`{"token_endpoint":"https://127.0.0.1/t","token_endpoint_auth_signing_alg_values_supported":["RS384"]}`), "does not take ES384"},
		"token in the clear":  {servertest.Discovery, servertest.Text(`{"token_endpoint":"http://auth.example/t"}`), "token_endpoint"},
		"no manifest":         {servertest.Status, servertest.Text(`<html>Erika Mustermann`), "not the JSON"},
		"no time":             {servertest.Status, servertest.Text(`{"requiresAccessToken":true,"output":[]}`), "transactionTime"},
		"no word of a token":  {servertest.Status, servertest.Text(`{"transactionTime":"2026-01-01T00:00:00Z","output":[]}`), "requiresAccessToken"},
		"a file without URL":  {servertest.Status, servertest.Text(`{"transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":true,"output":[{"type":"Patient"}]}`), "output[0].url is missing"},
		"a type that is none": {servertest.Status, servertest.Text(`{"transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":true,"output":[{"type":"Erika Mustermann","url":"a"}]}`), "output[0].type"},
		"pages in a circle": {servertest.Status, func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			servertest.Text(`{"transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":true,"output":[],"link":[{"relation":"next","url":"1?page=7"}]}`)(w, r, nil)
		}, "in a circle"},
		"files without end":    {servertest.Status, servertest.Text(`{"transactionTime":"2026-01-01T00:00:00Z","requiresAccessToken":true,"output":[{}` + strings.Repeat(",{}", 100_000) + `]}`), "over 100,000"},
		"too much":             {servertest.Status, servertest.Text(strings.Repeat(" ", 1<<20+1)), "over the limit"},
		"redirects for ever":   {servertest.Kickoff, servertest.Redirect("$export"), "redirects again and again"},
		"the wrong key at all": {servertest.Token, servertest.Outcome(400, "invalid_client"), "status 400 (invalid_client)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, client, _ := pair(t, servertest.Config{}, func(cfg *Config) { cfg.MaxAnswer = 1 << 20 })
			for range 10 {
				s.Once(c.kind, c.fault)
			}
			status, err := client.Start(t.Context(), Request{})
			if err == nil {
				_, err = client.Status(t.Context(), status, 1)
			}
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, strings.ToLower(err.Error()), "erika")
			require.False(t, Passing(err))
		})
	}
}

func TestServerThatStaysBusyIsPassingTrouble(t *testing.T) {
	t.Parallel()
	s, client, c := pair(t, servertest.Config{}, func(cfg *Config) { cfg.Tries = 9 })
	for range 10 {
		s.Once(servertest.Kickoff, servertest.Busy(503, ""))
	}
	_, err := client.Start(t.Context(), Request{})
	require.True(t, Passing(err), err)
	require.Len(t, s.Asked(servertest.Kickoff), 9)
	require.Equal(t, []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 32e9, 64e9, 120e9}, c.waited)
}

func TestAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	other, err := NewKey(ES384)
	require.NoError(t, err)
	_, client, _ := pair(t, servertest.Config{}, func(cfg *Config) { cfg.Key = other })
	_, err = client.Start(t.Context(), Request{})
	require.ErrorContains(t, err, "token: request for a token: the server answered with status 400 (invalid_client)")
	require.NotContains(t, err.Error(), "Erika")
}

func TestScopeIsOneTheServerKnows(t *testing.T) {
	t.Parallel()
	for want, capabilities := range map[string][]string{
		"system/*.rs": {"permission-v1", "permission-v2"}, "system/*.read": {"permission-v1"},
	} {
		s, client, _ := pair(t, servertest.Config{Capabilities: capabilities})
		s.Once(servertest.Token, func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
			if r.FormValue("scope") != want {
				t.Errorf("scope %q", r.FormValue("scope"))
			}
			serve(w, r)
		})
		_, err := client.Start(t.Context(), Request{})
		require.NoError(t, err)
	}
}

// TestManifestsOfTheSpecification: what its examples list is found. They are of version 3,
// whose manifests differ in the name of one list and in having pages.
func TestManifestsOfTheSpecification(t *testing.T) {
	t.Parallel()
	client, err := New(Config{Base: "https://example.org/fhir", Origins: []string{"https://example.com", "http://127.0.0.1"}})
	require.NoError(t, err)
	at, err := url.Parse("https://example.org/manifest.json")
	require.NoError(t, err)
	type listed struct {
		output, deleted, errors int
		next                    string
	}
	want := map[string]listed{
		"BulkDataManifestByTypeExample":               {3, 1, 1, ""},
		"BulkDataManifestMinimalExample":              {1, 0, 0, ""},
		"BulkDataManifestOrganizedByPatientExample":   {3, 1, 1, "https://example.org/output/manifest-2.json"},
		"BulkPublishManifestIncrementalUpdateExample": {1, 1, 0, ""},
		"BulkPublishManifestMinimalExample":           {2, 0, 0, ""},
		"BulkPublishManifestPagedExample":             {1, 0, 0, "https://example.com/manifests/provider-directory-page-2.json"},
		"BulkPublishManifestPagedNextPageExample":     {2, 0, 0, ""},
		"BulkPublishManifestPendingRootExample":       {1, 0, 0, "https://example.com/manifests/provider-directory-update-1.json"},
		"BulkPublishManifestPendingStubExample":       {0, 0, 0, ""},
	}
	files, err := filepath.Glob("testdata/bulk/*.json")
	require.NoError(t, err)
	require.Len(t, files, len(want)+1)
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var m Manifest
		next, err := client.addPage(&m, text, at)
		if name == "BulkSubmitStatusManifestExample" {
			require.ErrorContains(t, err, "outcome[0].url", "its files lie at http://example.org, in the clear")
			continue
		}
		require.NoError(t, err, name)
		got := listed{len(m.Output), len(m.Deleted), len(m.Errors), next}
		require.Equal(t, want[name], got, name)
		require.False(t, m.Time.IsZero())
	}
}

func FuzzManifest(f *testing.F) {
	client, err := New(Config{Base: "https://example.org/fhir", Origins: []string{"https://example.com"}})
	require.NoError(f, err)
	at, err := url.Parse("https://example.org/manifest.json")
	require.NoError(f, err)
	files, err := filepath.Glob("testdata/bulk/*.json")
	require.NoError(f, err)
	for _, path := range files {
		text, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var m Manifest
		next, err := client.addPage(&m, text, at)
		if err != nil {
			return
		}
		for _, file := range append(append(append(m.Output, m.Deleted...), m.Errors...), File{URL: next}) {
			if file.URL == "" {
				continue
			}
			u, err := url.Parse(file.URL)
			require.NoError(t, err)
			require.Equal(t, "https", u.Scheme)
			require.Contains(t, []string{"example.org", "example.com"}, strings.ToLower(u.Hostname()), "a stranger would be asked")
		}
	})
}
