package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	stored "github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/dataset"
	"github.com/trialmesh/trialmesh/node/fhirapi"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/node/redteam"
	"github.com/trialmesh/trialmesh/node/reference"
	"github.com/trialmesh/trialmesh/node/reference/codemap"
	"github.com/trialmesh/trialmesh/node/reference/variable"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

var start = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

const token = "a-token-of-more-than-32-characters"

// thePatient is a value that must never be seen outside a request.
const thePatient = "patient-4711"

// site is what stands behind the API in these tests: a real trail on SQLite,
// and the rest in memory.
type site struct {
	uploads // only over real stores, see newStoredSite

	t      *testing.T
	url    string
	client *http.Client
	logged *lockedBuffer
	db     *sqldb.DB
	trail  *audit.Trail

	variables *variable.Store
	codes     *codemap.Store
	datasets  *dataset.Service

	mu       sync.Mutex
	files    map[string][]byte // accepted, by name
	consents map[message.Digest]bool
	broken   error // what every part answers
	held     error // what keeps loads waiting
	acts     []string
	status   Status
}

type uploads = Uploads // under a name that no method has

// lockedBuffer collects the log.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newSite(t *testing.T, change ...func(*Config)) *site {
	t.Helper()
	db, err := sqldb.Open(t.Context(), sqldb.Config{DSN: "sqlite:" + filepath.Join(t.TempDir(), "data.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := &site{t: t, db: db, logged: new(lockedBuffer), files: make(map[string][]byte), consents: make(map[message.Digest]bool)}
	log := slog.New(slog.NewTextHandler(s.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.trail, err = audit.Open(t.Context(), db, log)
	require.NoError(t, err)
	kept, err := reference.Open(t.Context(), db)
	require.NoError(t, err)
	words, err := vocab.Open(t.Context(), db)
	require.NoError(t, err)
	people, err := omop.Open(t.Context(), db)
	require.NoError(t, err)
	measured, err := series.Open(t.Context(), db, series.Config{})
	require.NoError(t, err)
	s.variables, err = variable.Open(t.Context(), kept, mapping.New(words), start)
	require.NoError(t, err)
	s.codes = codemap.New(codemap.Config{Kept: kept, Vocabulary: words, DB: db, People: people, Series: measured})
	tables, err := stored.Open(t.Context(), db)
	require.NoError(t, err)
	s.datasets = dataset.New(dataset.Config{DB: db, Store: tables, People: people, Trail: s.trail, Now: func() time.Time { return start }})
	s.status = Status{
		DID: "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH", Connected: true,
		Tables: map[string]int64{"person": 1234}, Jobs: map[string]int64{"queued": 1},
		Consents:  []TrialConsents{{Trial: "bp-trial", Active: 12, Withdrawn: 1, Refused: 3, Epoch: 2, Current: true}},
		Decisions: map[string]int64{Released: 4, "release.cell-threshold": 2}, DiskFree: 5 << 30,
	}
	cfg := Config{
		Name: "st-anna", Token: token, Loads: s, Consents: s, Trail: s.trail, Quality: &quality{}, Logger: log, Now: func() time.Time { return start },
		RedTeam: func(context.Context) (redteam.Report, error) {
			off := 4.5
			return redteam.Report{Began: start, Persons: 400, Withstood: true, Findings: []redteam.Finding{
				{Attack: "c", Name: "a subset that differs by one or two", Outcome: redteam.Refused, Rule: "release.differencing", Learned: "nothing"},
				{Attack: "p", Name: "margins", Outcome: redteam.Blunted, Learned: "a range", Off: &off},
			}}, s.failure()
		},
		Variables: s.variables, Codes: s.codes, Datasets: s.datasets, Remaps: s,
		Series: func(context.Context) ([]Series, error) {
			return []Series{
				{System: "http://loinc.org", Code: "8310-5", Unit: "Cel", Persons: 1, Points: 2, First: start, Last: start},
				{System: "http://loinc.org", Code: "8867-4", Unit: "/min", Concept: 3027018, Persons: 12, Points: 86_400, First: start, Last: start},
			}, s.failure()
		},
		Status: func(context.Context) (Status, error) { return s.status, s.failure() },
		Ready:  func(context.Context) error { return s.failure() },
	}
	server := httptest.NewUnstartedServer(nil)
	s.url = "http://" + server.Listener.Addr().String()
	cfg.Access, err = access.Open(t.Context(), access.Config{DB: db, Trail: s.trail, TokenURL: s.url + TokenPath, Known: fhirapi.Stores})
	require.NoError(t, err)
	for _, c := range change {
		c(&cfg)
	}
	server.Config.Handler, err = New(cfg)
	require.NoError(t, err)
	server.Start()
	t.Cleanup(server.Close)
	s.client = server.Client()
	return s
}

// decide puts a decision on the trail.
func (s *site) decide(r audit.Record) {
	s.t.Helper()
	require.NoError(s.t, s.db.Write(s.t.Context(), func(tx *sqldb.Tx) error { return s.trail.Add(s.t.Context(), tx, r) }))
}

func (s *site) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

func (s *site) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

func (s *site) AcceptOnce(_ context.Context, _ ingest.Key, name string, r io.Reader) (raw.Digest, ingest.JobID, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return raw.Digest{}, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return raw.Digest{}, 0, s.broken
	}
	s.files[name] = content
	return sha256.Sum256(content), 7, nil
}

func (s *site) Job(_ context.Context, id ingest.JobID) (ingest.Job, error) {
	if id != 7 {
		return ingest.Job{}, ingest.ErrJob
	}
	return ingest.Job{
		ID: 7, Name: "st-anna.json", State: ingest.WithProblems, Attempt: 1, BytesTotal: 100, Accepted: start, Started: start,
		Counts: ingest.Counts{
			BytesRead: 100, Records: 10, Stored: 8, Rejected: 2,
			ByType: map[string]int64{"Patient": 10}, Unmapped: map[string]int64{"SNOMED code": 3, "LOINC code": 1},
		},
	}, s.failure()
}

func (s *site) Jobs(ctx context.Context, _ ingest.JobID, _ int, only ...ingest.State) ([]ingest.Job, error) {
	job, err := s.Job(ctx, 7)
	job.State = ingest.Failed
	if len(only) > 0 && !slices.Contains(only, job.State) {
		return nil, err
	}
	return []ingest.Job{job}, err
}

func (s *site) Problems(_ context.Context, _ ingest.JobID, offset, limit int) ([]ingest.Problem, error) {
	all := []ingest.Problem{{Line: 3, Path: "entry[2].resource", Rule: "fhir.syntax"}, {Line: 9, Path: "entry[8].resource.code", Rule: "fhir.type"}}
	return all[min(offset, len(all)):min(offset+limit, len(all))], nil
}

func (s *site) RemapFile(ctx context.Context, file raw.Digest) (ingest.Remapped, error) {
	if file != sha256.Sum256([]byte("known")) {
		return ingest.Remapped{}, ingest.ErrFile
	}
	return ingest.Remapped{Files: 1, Jobs: []ingest.JobID{7}}, s.acted(ctx, "remap file", 7)
}

func (s *site) Remap(ctx context.Context, outdated bool) (ingest.Remapped, error) {
	if !outdated {
		return ingest.Remapped{Files: 2, Jobs: []ingest.JobID{7, 8}}, s.acted(ctx, "remap all", 7)
	}
	return ingest.Remapped{}, s.acted(ctx, "remap outdated", 7)
}

func (s *site) Retry(ctx context.Context, id ingest.JobID) error { return s.acted(ctx, "retry", id) }

func (s *site) Cancel(ctx context.Context, id ingest.JobID) error { return s.acted(ctx, "cancel", id) }

func (s *site) acted(ctx context.Context, what string, id ingest.JobID) error {
	_, err := s.Job(ctx, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.acts = append(s.acts, what)
	}
	return err
}

func (s *site) hold(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = why
}

func (s *site) Held() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

func (s *site) RecordConsent(_ context.Context, patient string, e message.Envelope) (bool, error) {
	if err := s.failure(); err != nil {
		return false, err
	}
	if patient != thePatient {
		return false, problem.New(problem.NotFound, "no such patient is loaded at this site")
	}
	if err := e.Check(consent.KindGrant); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.consents[e.Digest()]
	s.consents[e.Digest()] = true
	return !known, nil
}

// grant is one line of a list of consents.
func grant(t *testing.T, patient string) string {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	e, err := message.Seal(key, consent.KindGrant, consent.Grant{Trial: "bp-trial"}, start, time.Hour, rand.Reader)
	require.NoError(t, err)
	line, err := json.Marshal(Consent{Patient: patient, Consent: e})
	require.NoError(t, err)
	return string(line)
}

// send sends a request with the token and returns status, header and body.
func (s *site) send(method, path, mediaType string, body io.Reader) (int, http.Header, string) {
	s.t.Helper()
	return s.sendAs("Bearer "+token, method, path, mediaType, body)
}

func (s *site) sendAs(authorization, method, path, mediaType string, body io.Reader) (int, http.Header, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", mediaType)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := s.client.Do(req)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return resp.StatusCode, resp.Header, string(raw)
}

func decode[T any](t *testing.T, body string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(body), &v), body)
	return v
}

// lines joins lines as NDJSON.
func lines(lines ...string) io.Reader { return strings.NewReader(strings.Join(lines, "\n") + "\n") }
