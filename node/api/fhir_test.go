package api

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/fhirapi"
)

// TestFHIRSpeaksFHIR: whatever stands before the FHIR API answers in its terms.
func TestFHIRSpeaksFHIR(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *Config) {
		c.FHIR = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			if n > maxBody {
				w.WriteHeader(http.StatusAccepted)
			}
		})
	})
	status, header, body := s.send("GET", "/fhir/Patient/1", "", nil)
	require.Equal(t, 200, status, body)
	require.Equal(t, "no-store", header.Get("Cache-Control"))
	for _, at := range []string{"POST /fhir", "POST /fhir/DocumentReference", "PUT /fhir/DocumentReference/1"} {
		method, path, _ := strings.Cut(at, " ")
		status, _, _ = s.send(method, path, "application/fhir+json", strings.NewReader(strings.Repeat(" ", maxBody+1)))
		require.Equal(t, 202, status, "%s is larger than other requests", at)
	}

	for name, ask := range map[string]func() (int, http.Header, string){
		"login": func() (int, http.Header, string) { return s.sendAs("", "GET", "/fhir/Patient/1", "", nil) },
		"too-long": func() (int, http.Header, string) {
			return s.send("PUT", "/fhir/Patient/1", "application/fhir+json", strings.NewReader(strings.Repeat(" ", fhirapi.MaxBody+1)))
		},
	} {
		status, header, body := ask()
		require.Contains(t, []int{401, 413}, status)
		require.Equal(t, "application/fhir+json", header.Get("Content-Type"))
		require.Contains(t, body, `"resourceType":"OperationOutcome"`)
		require.Contains(t, body, `"code":"`+name+`"`)
	}
	status, _, body = s.sendAs("", "GET", "/v1/status", "", nil)
	require.Equal(t, 401, status)
	require.Contains(t, body, "urn:trialmesh:problem:unauthorized")
}

func TestNoFHIRIsNoAddress(t *testing.T) {
	t.Parallel()
	status, _, body := newSite(t).send("GET", "/fhir/metadata", "", nil)
	require.Equal(t, 404, status)
	require.Contains(t, body, `"code":"not-found"`)
}
