package pull

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver/servertest"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// clock is time that passes by waiting alone, and waiting takes a moment only.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) Wait(ctx context.Context, d time.Duration) error {
	c.pass(d)
	return wait(ctx, time.Millisecond)
}

const client = "trialmesh-north"

// memory is loads that are over at once. Every line of a file is a record.
type memory struct {
	mu   sync.Mutex
	jobs []ingest.Job // guarded by mu
}

func (m *memory) Accept(_ context.Context, name string, r io.Reader) (raw.Digest, ingest.JobID, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return raw.Digest{}, 0, fmt.Errorf("accept file: %w", err)
	}
	if len(content) == 0 {
		return raw.Digest{}, 0, ingest.ErrEmpty
	}
	var text io.Reader = bytes.NewReader(content)
	if bytes.HasPrefix(content, []byte{0x1f, 0x8b}) {
		if text, err = gzip.NewReader(text); err != nil {
			return raw.Digest{}, 0, err
		}
	}
	types := make(map[string]int64)
	for lines := json.NewDecoder(text); lines.More(); {
		var record struct{ ResourceType string }
		if err := lines.Decode(&record); err != nil {
			return raw.Digest{}, 0, err
		}
		types[record.ResourceType]++
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	file, id := raw.Digest(sha256.Sum256(content)), ingest.JobID(len(m.jobs)+1)
	m.jobs = append(m.jobs, ingest.Job{ID: id, Name: name, File: file, State: ingest.Completed, Counts: ingest.Counts{ByType: types}})
	return file, id, nil
}

func (m *memory) Job(_ context.Context, id ingest.JobID) (ingest.Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.jobs[id-1], nil
}

// site is a node as far as pulls go, with the key of its pull named heart.
type site struct {
	t     testing.TB
	dir   string
	db    *sqldb.DB
	loads Loads
	clock *clock
	key   fhirserver.Key

	// Of a whole site only.
	service *ingest.Service
	store   *omop.Store
	raw     *raw.Store
}

// newSite returns a site whose loads are over at once.
func newSite(t testing.TB, db *sqldb.DB) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), db: db, clock: newClock(), loads: new(memory)}
	var err error
	s.key, _, err = MakeKey(s.pulls(), "heart", fhirserver.ES384)
	require.NoError(t, err)
	return s
}

// newWholeSite returns a site with the loads of a node.
func newWholeSite(t testing.TB, db *sqldb.DB) *site {
	t.Helper()
	s := newSite(t, db)
	keyFile := filepath.Join(s.dir, "raw.key")
	require.NoError(t, raw.CreateKey(keyFile))
	var err error
	s.raw, err = raw.Open(raw.Config{Dir: filepath.Join(s.dir, "raw"), KeyFile: keyFile})
	require.NoError(t, err)
	require.NoError(t, jobs.Migrate(t.Context(), db))
	s.store, err = omop.Open(t.Context(), db)
	require.NoError(t, err)
	points, err := series.Open(t.Context(), db, series.Config{})
	require.NoError(t, err)
	words, err := vocab.Open(t.Context(), db)
	require.NoError(t, err)
	queue, err := jobs.New(jobs.Config{DB: db})
	require.NoError(t, err)
	s.service, err = ingest.Open(t.Context(), ingest.Config{DB: db, Store: s.store, Series: points, Raw: s.raw, Vocabulary: words, Jobs: queue})
	require.NoError(t, err)
	s.loads = s.service
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return s
}

func (s *site) pulls() string { return filepath.Join(s.dir, "pulls") }

// server starts a FHIR server that knows the site's key.
func (s *site) server(cfg servertest.Config) *servertest.Server {
	s.t.Helper()
	public, err := s.key.Public()
	require.NoError(s.t, err)
	cfg.Keys, cfg.Client, cfg.Now = public, client, s.clock.Now
	return servertest.New(s.t, cfg)
}

// settings writes the pull named heart, of server.
func (s *site) settings(server *servertest.Server, lines ...string) {
	s.t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(s.t, os.WriteFile(filepath.Join(s.pulls(), "ca.pem"), ca, 0o600))
	lines = append(lines, "url: "+server.Base, "client: "+client, "ca: ca.pem")
	require.NoError(s.t, os.WriteFile(filepath.Join(s.pulls(), "heart.yaml"), []byte(strings.Join(lines, "\n")), 0o600))
}

// open returns the puller of the site as a process opens it.
func (s *site) open(adjust ...func(*Config)) *Puller {
	s.t.Helper()
	cfg := Config{DB: s.db, Loads: s.loads, Dir: s.pulls(), Tick: 10 * time.Millisecond, Now: s.clock.Now, Wait: s.clock.Wait}
	for _, f := range adjust {
		f(&cfg)
	}
	p, err := Open(s.t.Context(), cfg)
	require.NoError(s.t, err)
	return p
}

// run runs p until the test ends or stop is called.
func (s *site) run(p *Puller) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(s.t, <-done)
	})
	s.t.Cleanup(stop)
	return stop
}

// latest returns the newest run with its files.
func (s *site) latest(p *Puller) Run {
	s.t.Helper()
	runs, err := p.Runs(s.t.Context(), "heart", 1)
	require.NoError(s.t, err)
	require.NotEmpty(s.t, runs)
	return runs[0]
}

// ended waits for the end of the newest run.
func (s *site) ended(p *Puller) Run {
	s.t.Helper()
	var r Run
	require.Eventually(s.t, func() bool {
		r = s.latest(p)
		return !r.Ended.IsZero()
	}, time.Minute, 5*time.Millisecond)
	return r
}

// fetch starts a run and waits for its end.
func (s *site) fetch(p *Puller) Run {
	s.t.Helper()
	_, err := p.Start(s.t.Context(), "heart")
	require.NoError(s.t, err)
	return s.ended(p)
}

// records returns how many records of each type the loads of a run had.
func (s *site) records(r Run) map[string]int64 {
	s.t.Helper()
	n := make(map[string]int64)
	for _, f := range r.Files {
		if f.Job == 0 {
			continue
		}
		job, err := s.loads.Job(s.t.Context(), f.Job)
		require.NoError(s.t, err)
		for t, k := range job.Counts.ByType {
			n[t] += k
		}
	}
	return n
}

func (s *site) persons() int64 {
	s.t.Helper()
	var n int64
	require.NoError(s.t, s.db.Read(s.t.Context(), func(tx *sqldb.Tx) error {
		counts, err := s.store.Counts(s.t.Context(), tx)
		n = counts[omop.PersonTable]
		return err
	}))
	return n
}

// bulk is the sample of an export that the tests of connectors/source/fhir have.
func bulk(t testing.TB) []servertest.File {
	t.Helper()
	paths, err := filepath.Glob("../../connectors/source/fhir/testdata/bulk/*.ndjson.gz")
	require.NoError(t, err)
	require.Len(t, paths, 8)
	var files []servertest.File
	for _, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		files = append(files, servertest.File{Type: strings.TrimSuffix(filepath.Base(path), ".ndjson.gz"), Content: content})
	}
	return files
}

// bulkRecords is how many of each type that sample has.
var bulkRecords = map[string]int64{
	"Patient": 13, "AllergyIntolerance": 11, "Device": 16, "Condition": 20, "Encounter": 20, "Immunization": 20, "MedicationRequest": 20, "Procedure": 20,
}

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// patients is NDJSON of patients.
func patients(ids ...int) string {
	var b strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&b, `{"resourceType":"Patient","id":"p%d","gender":"female","birthDate":"1970-01-01"}`+"\n", id)
	}
	return b.String()
}
