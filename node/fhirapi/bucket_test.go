package fhirapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// pail is a bucket that does what a test wants before it takes a file.
type pail struct {
	mu      sync.Mutex
	objects map[string][]byte
	before  func() // the next file; nil for nothing
}

// next sets what is done before the next file.
func (p *pail) next(before func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = before
}

func (p *pail) Put(_ context.Context, name string, content io.ReaderAt, size int64, replace bool) error {
	p.mu.Lock()
	before := p.before
	if !strings.HasPrefix(name, "files/") {
		before = nil
	}
	if before != nil {
		p.before = nil
	}
	p.mu.Unlock()
	if before != nil {
		before()
	}
	text, err := io.ReadAll(io.NewSectionReader(content, 0, size))
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.objects[name]; there && !replace {
		return fs.ErrExist
	}
	p.objects[name] = text
	return err
}

func (p *pail) Get(_ context.Context, name string) (io.ReadCloser, int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text, there := p.objects[name]
	if !there {
		return nil, 0, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(text)), int64(len(text)), nil
}

func (p *pail) List(_ context.Context, prefix string, each func(string, time.Time) error) error {
	p.mu.Lock()
	var names []string
	for name := range p.objects {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	p.mu.Unlock()
	slices.Sort(names)
	for _, name := range names {
		if err := each(name, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

func (*pail) Remove(context.Context, ...string) error { return nil }

func (*pail) Abort(context.Context, time.Time) error { return nil }

// withPail runs a test on both engines.
func withPail(t *testing.T, test func(t *testing.T, s *site, p *pail)) {
	t.Helper()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		p := &pail{objects: map[string][]byte{}}
		test(t, newSiteIn(t, db, p), p)
	})
}

// TestABucketThatHangsHoldsUpOneRequest: other writers go on, loads among them, and when it
// goes on the request is done on what is there then.
func TestABucketThatHangsHoldsUpOneRequest(t *testing.T) {
	t.Parallel()
	withPail(t, func(t *testing.T, s *site, p *pail) {
		reached, free, done := make(chan struct{}), make(chan struct{}), make(chan answer, 1)
		p.next(func() { close(reached); <-free })
		go func() { done <- s.do("PUT", "/fhir/Patient/anna", anna) }()
		<-reached
		s.run()
		s.put("/fhir/Observation/w1", weight)
		s.put("/fhir/Patient/anna", strings.Replace(anna, `"resourceType":"Patient",`, `"resourceType":"Patient","active":false,`, 1))
		for _, job := range s.loaded() {
			require.True(t, job.State.Ended())
		}
		close(free)
		a := <-done
		require.Equal(t, 200, a.status, a.body)
		require.Equal(t, `W/"2"`, a.header.Get("ETag"), "it came second")
		require.Equal(t, ingest.Completed, s.loaded()[0].State)
	})
}

// TestARequestThatWasOvertaken decides again: on conditions, on what its load gets besides,
// and at last within the transaction.
func TestARequestThatWasOvertaken(t *testing.T) {
	t.Parallel()
	withPail(t, func(t *testing.T, s *site, p *pail) {
		born := func(n int) string {
			return fmt.Sprintf(`{"resourceType":"Patient","id":"counter","identifier":[{"value":"k"}],"birthDate":"%d-01-01"}`, n)
		}
		p.next(func() { s.put("/fhir/Patient/counter", born(1901)) })
		unnamed := strings.Replace(born(1902), `"id":"counter",`, "", 1)
		a := s.do("POST", "/fhir/Patient", unnamed, "If-None-Exist", "identifier=k")
		require.Equal(t, 200, a.status, a.body)
		require.Contains(t, a.header.Get("Location"), "/Patient/counter/_history/1", "there is one by now")

		p.next(func() { s.put("/fhir/Patient/counter", born(1903)) })
		refused(t, s.do("PUT", "/fhir/Patient/counter", born(1904), "If-Match", `W/"1"`), 412, "conflict")

		times := 0
		var overtake func()
		overtake = func() {
			times++
			s.put("/fhir/Patient/counter", born(1950+times))
			if times < 4 {
				p.next(overtake)
			}
		}
		p.next(overtake)
		a = s.put("/fhir/Patient/counter", born(1905))
		require.Equal(t, 4, times)
		require.Equal(t, `W/"7"`, a.header.Get("ETag"))

		p.next(func() { s.put("/fhir/Patient/anna", anna) })
		s.put("/fhir/Observation/w1", weight)
		s.run()
		for _, job := range s.loaded() {
			require.Equal(t, ingest.Completed, job.State, "a load has the patient whom it needs")
		}
	})
}
