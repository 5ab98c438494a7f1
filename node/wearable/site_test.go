package wearable

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/wearable/makertest"
	source "github.com/trialmesh/trialmesh/connectors/source/wearable"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/node/mapping"
)

// clock is time that passes by waiting alone, and waiting takes a moment only.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

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

// memory is loads that only keep what they get.
type memory struct {
	mu    sync.Mutex
	names []string                                     // guarded by mu
	texts map[string]string                            // by digest; guarded by mu
	fail  func(ctx context.Context, name string) error // set before it runs
}

func (m *memory) Accept(ctx context.Context, name string, r io.Reader) (raw.Digest, ingest.JobID, error) {
	text, err := io.ReadAll(r)
	if err == nil && m.fail != nil {
		err = m.fail(ctx, name)
	}
	if err != nil {
		return raw.Digest{}, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.texts == nil {
		m.texts = make(map[string]string)
	}
	digest := raw.Digest(sha256.Sum256(text))
	m.names = append(m.names, name)
	m.texts[digest.String()] = string(text)
	return digest, 1, nil
}

// accepted returns the names of files so far that have a text in them.
func (m *memory) accepted(with string) (list []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range m.names {
		if strings.Contains(name, with) {
			list = append(list, name)
		}
	}
	return list
}

// site is a node as far as wearables go.
type site struct {
	t      testing.TB
	dir    string
	db     *sqldb.DB
	clock  *clock
	fake   *makertest.Fake
	loads  Loads
	memory *memory
	key    string
	trail  *audit.Trail

	// Of a whole site only.
	service *ingest.Service
	store   *omop.Store
	series  *series.Store
	raw     *raw.Store
}

// newSite returns a site whose loads only keep what they get. All makers are set up.
func newSite(t testing.TB, db *sqldb.DB, now time.Time) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), db: db, clock: &clock{now: now}, memory: new(memory)}
	s.loads, s.key = s.memory, filepath.Join(s.dir, "raw.key")
	s.fake = makertest.New(t, s.clock.Now)
	require.NoError(t, raw.CreateKey(s.key))
	var err error
	s.trail, err = audit.Open(t.Context(), db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, maker := range []string{"fitbit", "oura", "garmin", "google", "google-fit", "withings"} {
		s.settings(maker)
	}
	return s
}

// settings writes the files of a maker.
func (s *site) settings(maker string, lines ...string) {
	s.t.Helper()
	lines = append(lines, "client: "+makertest.Client, "redirect: "+makertest.Redirect)
	dir := filepath.Join(s.dir, "wearables")
	require.NoError(s.t, os.MkdirAll(dir, 0o700))
	require.NoError(s.t, os.WriteFile(filepath.Join(dir, maker+".yaml"), []byte(strings.Join(lines, "\n")), 0o600))
	require.NoError(s.t, os.WriteFile(filepath.Join(dir, maker+".secret"), []byte(makertest.Secret+"\n"), 0o600))
}

// newWholeSite returns a site with the loads of a node and two patients, p1 and p2.
func newWholeSite(t testing.TB, db *sqldb.DB, now time.Time) *site {
	t.Helper()
	s := newSite(t, db, now)
	var err error
	s.raw, err = raw.Open(raw.Config{Dir: filepath.Join(s.dir, "raw"), KeyFile: s.key})
	require.NoError(t, err)
	require.NoError(t, jobs.Migrate(t.Context(), db))
	s.store, err = omop.Open(t.Context(), db)
	require.NoError(t, err)
	s.series, err = series.Open(t.Context(), db, series.Config{})
	require.NoError(t, err)
	words, err := vocab.Open(t.Context(), db)
	require.NoError(t, err)
	queue, err := jobs.New(jobs.Config{DB: db})
	require.NoError(t, err)
	s.service, err = ingest.Open(t.Context(), ingest.Config{DB: db, Store: s.store, Series: s.series, Raw: s.raw, Vocabulary: words, Jobs: queue})
	require.NoError(t, err)
	s.loads = s.service
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	patients := `{"resourceType":"Patient","id":"p1","gender":"female","birthDate":"1970-01-01"}` + "\n" +
		`{"resourceType":"Patient","id":"p2","gender":"male","birthDate":"1970-01-01"}`
	_, _, err = s.service.Accept(t.Context(), "patients", strings.NewReader(patients))
	require.NoError(t, err)
	s.loaded()
	return s
}

// loaded waits until no load is open.
func (s *site) loaded() []ingest.Job {
	s.t.Helper()
	var list []ingest.Job
	require.Eventually(s.t, func() bool {
		var err error
		list, err = s.service.Jobs(s.t.Context(), 0, 1000)
		require.NoError(s.t, err)
		for _, j := range list {
			if !j.State.Ended() {
				return false
			}
		}
		return true
	}, time.Minute, 20*time.Millisecond)
	return list
}

// open returns the service of the site as a process opens it.
func (s *site) open(adjust ...func(*Config)) *Service {
	s.t.Helper()
	sealer, err := raw.OpenSealer(s.key)
	require.NoError(s.t, err)
	cfg := Config{
		DB: s.db, Loads: s.loads, Sealer: sealer, Trail: s.trail, Dir: filepath.Join(s.dir, "wearables"), Tick: time.Second,
		Known: func(_ context.Context, patient string) (bool, error) { return strings.HasPrefix(patient, "p"), nil },
		Dial:  s.fake.Dial, Roots: s.fake.Roots(), Now: s.clock.Now, Wait: s.clock.Wait,
	}
	for _, f := range adjust {
		f(&cfg)
	}
	service, err := Open(s.t.Context(), cfg)
	require.NoError(s.t, err)
	return service
}

// run runs a service until the test ends or stop is called.
func (s *site) run(service *Service) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(s.t, <-done)
	})
	s.t.Cleanup(stop)
	return stop
}

// connect connects the account that the browser is logged in to.
func (s *site) connect(service *Service, maker, patient, zone string) Connection {
	s.t.Helper()
	a, err := service.Begin(s.t.Context(), maker, patient, zone)
	require.NoError(s.t, err)
	c, err := service.Complete(s.t.Context(), s.fake.Allow(a.URL))
	require.NoError(s.t, err)
	return c
}

// pulled waits for the end of an attempt after one that ended then.
func (s *site) pulled(service *Service, id int64, then time.Time) Connection {
	s.t.Helper()
	var c Connection
	require.Eventually(s.t, func() bool {
		var err error
		c, err = service.connection(s.t.Context(), id)
		require.NoError(s.t, err)
		return c.Ended.After(then) && !c.Began.After(c.Ended) && !c.held(s.clock.Now())
	}, time.Minute, 10*time.Millisecond)
	return c
}

// again asks for a pull and waits for its end.
func (s *site) again(service *Service, c Connection) Connection {
	s.t.Helper()
	s.clock.pass(time.Minute)
	_, err := service.Pull(s.t.Context(), c.ID, time.Time{})
	require.NoError(s.t, err)
	return s.pulled(service, c.ID, c.Ended)
}

// facts are all points of a patient in words, "code value unit at time".
func (s *site) facts(patient string) (list []string) {
	s.t.Helper()
	require.NoError(s.t, s.db.Read(s.t.Context(), func(tx *sqldb.Tx) error {
		person, err := s.store.PersonByKey(s.t.Context(), tx, mapping.PersonKey(patient))
		if err != nil {
			return err
		}
		variables, err := s.series.Variables(s.t.Context(), tx)
		if err != nil {
			return err
		}
		for id, v := range variables {
			for p, err := range s.series.Points(s.t.Context(), tx, person, id, math.MinInt64, math.MaxInt64) {
				if err != nil {
					return err
				}
				if v.System != source.SystemInterval {
					list = append(list, fmt.Sprintf("%s %v %s at %s", v.Code, p.Value, v.Unit, time.UnixMilli(p.Time).UTC().Format(time.RFC3339)))
				}
			}
		}
		return nil
	}))
	return list
}

// example is an answer that the tests of connectors/source/wearable have.
func example(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../connectors/source/wearable/testdata", name))
	require.NoError(t, err)
	return text
}
