package fhirapi_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/fhirstore"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/fhirapi"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// site is a node as far as its FHIR API goes.
type site struct {
	t      testing.TB
	db     *sqldb.DB
	files  *raw.Store
	people *omop.Store
	loads  *ingest.Service
	trail  *audit.Trail
	api    http.Handler
	cfg    fhirapi.Config
	log    *logged

	caller access.Caller // whose requests are sent

	mu    sync.Mutex
	now   time.Time
	fault error  // of the next load that is enqueued
	pause func() // before each load is enqueued
}

// logged is what a log holds.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newSite(t testing.TB, db *sqldb.DB) *site { return newSiteIn(t, db, nil) }

// newSiteIn is newSite with its raw copies in a bucket, if there is one.
func newSiteIn(t testing.TB, db *sqldb.DB, files raw.Bucket) *site {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	s := &site{t: t, db: db, log: &logged{}, caller: access.Operator(), now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	require.NoError(t, raw.CreateKey(filepath.Join(dir, "raw.key")))
	var err error
	s.files, err = raw.Open(raw.Config{Dir: filepath.Join(dir, "raw"), KeyFile: filepath.Join(dir, "raw.key"), Bucket: files})
	require.NoError(t, err)
	require.NoError(t, jobs.Migrate(ctx, db))
	s.people, err = omop.Open(ctx, db)
	require.NoError(t, err)
	points, err := series.Open(ctx, db, series.Config{})
	require.NoError(t, err)
	words, err := vocab.Open(ctx, db)
	require.NoError(t, err)
	queue, err := jobs.New(jobs.Config{DB: db})
	require.NoError(t, err)
	s.trail, err = audit.Open(ctx, db, log)
	require.NoError(t, err)
	s.loads, err = ingest.Open(ctx, ingest.Config{DB: db, Store: s.people, Series: points, Raw: s.files, Vocabulary: words, Jobs: queue})
	require.NoError(t, err)
	store, err := fhirstore.Open(ctx, fhirstore.Config{DB: db, Raw: s.files, Secret: bytes.Repeat([]byte{7}, 32)})
	require.NoError(t, err)
	s.cfg = fhirapi.Config{DB: db, Store: store, Loads: s, Trail: s.trail, Log: log, Now: s.clock}
	s.serve(s.cfg)
	return s
}

// serve has the API of another configuration answer from now on.
func (s *site) serve(cfg fhirapi.Config) {
	api, err := fhirapi.New(cfg)
	require.NoError(s.t, err)
	s.api = fhirapi.Outcomes(api)
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *site) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *site) breaks(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
}

// Enqueue is that of the loads, unless it has to fail.
func (s *site) Enqueue(ctx context.Context, tx *sqldb.Tx, file raw.Digest, size int64, name string) (ingest.JobID, error) {
	s.mu.Lock()
	fault, pause := s.fault, s.pause
	s.fault = nil
	s.mu.Unlock()
	if pause != nil {
		pause()
	}
	if fault != nil {
		return 0, fault
	}
	return s.loads.Enqueue(ctx, tx, file, size, name)
}

// run does loads until the test ends.
func (s *site) run() {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.loads.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		require.NoError(s.t, <-done)
	})
}

// loaded waits until all loads are over and returns them.
func (s *site) loaded() []ingest.Job {
	var list []ingest.Job
	require.Eventually(s.t, func() bool {
		var err error
		list, err = s.loads.Jobs(s.t.Context(), 0, 1000)
		require.NoError(s.t, err)
		for _, j := range list {
			if !j.State.Ended() {
				return false
			}
		}
		return true
	}, time.Minute, 10*time.Millisecond)
	return list
}

func (s *site) rows() map[omop.Table]int64 {
	var n map[omop.Table]int64
	require.NoError(s.t, s.db.Read(s.t.Context(), func(tx *sqldb.Tx) (err error) {
		n, err = s.people.Counts(s.t.Context(), tx)
		return err
	}))
	return n
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request; header are names and values.
func (s *site) do(method, path, body string, header ...string) answer {
	if body == "" {
		return s.send(method, path, nil, header...)
	}
	return s.send(method, path, strings.NewReader(body), header...)
}

// send is do for a body that comes as it likes.
func (s *site) send(method, path string, content io.Reader, header ...string) answer {
	r := httptest.NewRequestWithContext(access.With(s.t.Context(), s.caller), method, path, content)
	r.Host = "node.example:8080"
	r.Header.Set("User-Agent", "test-ehr/1")
	if content != nil {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	return answer{w.Code, w.Result().Header, w.Body.String()}
}

func (s *site) get(path string, header ...string) answer { return s.do("GET", path, "", header...) }

// put stores a resource that must be taken.
func (s *site) put(path, body string) answer {
	a := s.do("PUT", path, body)
	require.Contains(s.t, []int{200, 201}, a.status, a.body)
	return a
}

// refused checks that an answer is an OperationOutcome of the given status and code.
func refused(t testing.TB, a answer, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.status, a.body)
	require.Equal(t, "application/fhir+json", a.header.Get("Content-Type"))
	var o struct {
		ResourceType string
		Issue        []struct{ Severity, Code, Diagnostics string }
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &o), a.body)
	require.Equal(t, "OperationOutcome", o.ResourceType)
	require.Len(t, o.Issue, 1)
	require.Equal(t, code, o.Issue[0].Code, a.body)
	require.NotEmpty(t, o.Issue[0].Diagnostics)
}

// set is a Bundle that was answered.
type set struct {
	Type  string
	Total *int
	Link  []struct{ Relation, URL string }
	Entry []struct {
		FullURL  string
		Resource map[string]any
		Search   struct{ Mode string }
		Response struct {
			Status, Location, ETag string
			Outcome                map[string]any
		}
	}
}

func (b set) link(relation string) string {
	for _, l := range b.Link {
		if l.Relation == relation {
			return strings.TrimPrefix(l.URL, "http://node.example:8080")
		}
	}
	return ""
}

// names are the resources of a bundle.
func (b set) names() []string {
	list := []string{}
	for _, e := range b.Entry {
		list = append(list, e.Resource["resourceType"].(string)+"/"+e.Resource["id"].(string))
	}
	return list
}

func bundleOf(t testing.TB, a answer) set {
	t.Helper()
	require.Equal(t, 200, a.status, a.body)
	var b set
	require.NoError(t, json.Unmarshal([]byte(a.body), &b))
	return b
}

// found are the resources that a search returns on its first page.
func (s *site) found(path string) []string {
	s.t.Helper()
	return bundleOf(s.t, s.get(path)).names()
}

// value is JSON without what the server adds.
func value(t testing.TB, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v map[string]any
	require.NoError(t, d.Decode(&v))
	if meta, ok := v["meta"].(map[string]any); ok {
		delete(meta, "versionId")
		delete(meta, "lastUpdated")
		if len(meta) == 0 {
			delete(v, "meta")
		}
	}
	return v
}

// examples are those of US Core 3.1.1, by Type/id.
var examples = sync.OnceValues(func() (map[string]string, error) {
	f, err := os.Open("testdata/us-core-examples.tar.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for archive := tar.NewReader(plain); ; {
		switch _, err := archive.Next(); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		var r struct{ ResourceType, ID string }
		if json.Unmarshal(text, &r) == nil && r.ID != "" {
			all[r.ResourceType+"/"+r.ID] = string(text)
		}
	}
})

// newSQLite is a site on SQLite, for what does not depend on the engine.
func newSQLite(t testing.TB) *site {
	t.Helper()
	return newSite(t, sqltest.SQLite(t))
}
