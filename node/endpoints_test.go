package node

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/outbox"
)

// TestANodeWritesOfItsPatientsOnly: a message of a patient who is loaded reaches the EHR
// under the node's name, and one of another is refused.
func TestANodeWritesOfItsPatientsOnly(t *testing.T) {
	t.Parallel()
	dir, did := enrolled(t, newCertifier(t))
	got := make(chan string, 1)
	ehr := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		w.Header().Set("Location", "/fhir/Task/17")
		w.WriteHeader(http.StatusCreated)
		got <- r.Method + " " + r.URL.Path + " " + string(text)
	}))
	t.Cleanup(ehr.Close)
	require.NoError(t, os.MkdirAll(EndpointsDir(dir), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(EndpointsDir(dir), "ehr.yaml"), []byte("url: "+ehr.URL+"/fhir\n"), 0o600))
	n, err := Open(t.Context(), Config{Dir: dir, Circuits: t.TempDir()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.runJobs(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, n.Close())
	})

	send := func(patient string) ([]outbox.Message, error) {
		return n.outbox.Send(ctx, "ehr", strings.NewReader(`{"resourceType":"Task","status":"requested","intent":"proposal","for":{"reference":"Patient/`+patient+`"}}`))
	}
	_, err = send("p1")
	require.ErrorContains(t, err, "not loaded at this site")
	_, job, err := n.ingest.Accept(ctx, "p1.json", strings.NewReader(`{"resourceType":"Patient","id":"p1","gender":"female","birthDate":"1970-01-01"}`))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		j, err := n.ingest.Job(ctx, job)
		require.NoError(t, err)
		return j.State.Ended()
	}, time.Minute, 10*time.Millisecond)
	_, err = send("p2")
	require.ErrorContains(t, err, "not loaded at this site")
	list, err := send("p1")
	require.NoError(t, err)
	require.Contains(t, <-got, `POST /fhir/Task {"for":{"reference":"Patient/p1"},"identifier":[{"system":"`+string(did)+`","value":"`+list[0].Identifier+`"}]`)
	require.Eventually(t, func() bool {
		m, err := n.outbox.Message(ctx, list[0].ID)
		require.NoError(t, err)
		return m.State == outbox.Delivered && m.Reference == "Task/17"
	}, time.Minute, 10*time.Millisecond)
}
