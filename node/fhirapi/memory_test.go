package fhirapi_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/fhirapi"
)

// stuck is a client that takes no answer until it is let go.
type stuck struct {
	*httptest.ResponseRecorder
	reached, free chan struct{}
}

func (s stuck) Write(p []byte) (int, error) {
	close(s.reached)
	<-s.free
	return s.ResponseRecorder.Write(p)
}

// leastMemory is the least that can be configured, three quarters of it for work.
const leastMemory = 128 << 20

func TestASlowSenderHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	body, sender := io.Pipe()
	done := make(chan answer, 1)
	go func() { done <- s.send("POST", "/fhir", body) }()
	whole := asked("transaction", post("", anna, ""))
	_, err := io.WriteString(sender, whole[:10]) // returns when the server has it
	require.NoError(t, err)
	bundleOf(t, s.do("POST", "/fhir", whole))
	_, err = io.WriteString(sender, whole[10:])
	require.NoError(t, err)
	require.NoError(t, sender.Close())
	bundleOf(t, <-done)
	require.Len(t, s.found("/fhir/Patient"), 2)
}

func TestABodyMayNotComeForEver(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.cfg.Wait = time.Nanosecond
	s.serve(s.cfg)
	for method, path := range map[string]string{"POST": "/fhir", "PUT": "/fhir/Patient/anna"} {
		body, sender := io.Pipe()
		go func() { _, _ = sender.Write([]byte("{")) }() // and no more
		refused(t, s.send(method, path, body), 408, "timeout")
	}
}

func TestABundleWaitsForNoOther(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	reached, free := make(chan struct{}), make(chan struct{})
	s.pause = func() { close(reached); <-free }
	done := make(chan answer, 1)
	go func() { done <- s.do("POST", "/fhir", asked("transaction", post("", anna, ""))) }()
	<-reached
	b := bundleOf(t, s.do("POST", "/fhir", asked("batch", `{"request":{"method":"GET","url":"Patient?_id=none"}}`)))
	require.Equal(t, "200 OK", b.Entry[0].Response.Status)
	close(free)
	bundleOf(t, <-done)
}

func TestBodiesShareTheirMemory(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.cfg.Memory = leastMemory
	s.serve(s.cfg)
	large := `{"resourceType":"Bundle","type":"batch","x":"` + strings.Repeat("x", fhirapi.MaxBody-100)
	var senders []*io.PipeWriter
	done := make(chan answer, 4)
	for range 4 { // of 8 MiB, in a quarter of 128 MiB
		body, sender := io.Pipe()
		go func() { done <- s.send("POST", "/fhir", body) }()
		_, err := io.WriteString(sender, large)
		require.NoError(t, err)
		senders = append(senders, sender)
	}
	a := s.do("PUT", "/fhir/Patient/anna", anna)
	refused(t, a, 503, "transient")
	require.Equal(t, "1", a.header.Get("Retry-After"))
	for _, sender := range senders {
		require.NoError(t, sender.Close())
		refused(t, <-done, 400, "structure")
	}
	s.put("/fhir/Patient/anna", anna)
}

func TestAnswersShareTheirMemory(t *testing.T) {
	t.Parallel()
	s := newSQLite(t)
	s.put("/fhir/Patient/anna", anna)
	read := asked("batch", `{"request":{"method":"GET","url":"metadata"}}`)
	// Answers to a batch are reckoned as 16 MiB, three times, besides its own size.
	s.cfg.Memory = leastMemory + 2*12*int64(len(read))*4/3 + 100
	s.serve(s.cfg)
	var clients []stuck
	var group []chan struct{}
	for range 2 {
		c := stuck{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/fhir", strings.NewReader(read))
			r.Header.Set("Content-Type", "application/fhir+json")
			s.api.ServeHTTP(c, r)
		}()
		<-c.reached
		clients, group = append(clients, c), append(group, ended)
	}
	for _, path := range []string{"/fhir/Patient", "/fhir/Patient/anna"} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel) // rather than to wait for a minute
		w := httptest.NewRecorder()
		s.api.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
		require.NotEqual(t, 200, w.Code, path)
	}
	for i, c := range clients {
		close(c.free)
		<-group[i]
		require.Equal(t, 200, c.Code)
	}
	require.Len(t, s.found("/fhir/Patient"), 1)
}
