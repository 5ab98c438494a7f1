package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const onePulse = `{"source": "ward-3", "observations": [{"person": "` + thePatient + `", "code": "8867-4", "time": 1, "value": 71}]}`

func TestObservationsAreAccepted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	status, header, body := s.send(http.MethodPost, observationsPath, "application/json", strings.NewReader(onePulse))
	require.Equal(t, http.StatusAccepted, status, body)
	require.Equal(t, Accepted{JobID: "7"}, decode[Accepted](t, body))
	require.Equal(t, "/v1/ingest/jobs/7", header.Get("Location"))
	require.JSONEq(t, onePulse, string(s.files["observations"]))
}

func TestWhatHoldsNoObservationsIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, other := range []string{"", "[]", `{"resourceType":"Patient"}`, `{"observations":[]}`} {
		status, _, body := s.send(http.MethodPost, observationsPath, "application/json", strings.NewReader(other))
		require.Equal(t, http.StatusUnprocessableEntity, status, body)
		require.Contains(t, body, "the source first")
	}
	status, _, _ := s.send(http.MethodPost, observationsPath, "application/json", strings.NewReader(onePulse+strings.Repeat(" ", maxObservations)))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.Empty(t, s.files)
}

func TestSeriesAreFoundBySystemAndCode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for query, want := range map[string]int{"": 2, "?system=http://loinc.org": 2, "?code=8867-4": 1, "?system=other": 0} {
		status, _, body := s.send(http.MethodGet, "/v1/series"+query, "", nil)
		require.Equal(t, http.StatusOK, status, body)
		require.Len(t, decode[AllSeries](t, body).Series, want, query)
	}
}
