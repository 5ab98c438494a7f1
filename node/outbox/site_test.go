package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/access"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/fhirapi"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// ehr is a FHIR server, that of another node, behind a way to it that can break.
type ehr struct {
	t     testing.TB
	api   http.Handler
	http  *httptest.Server
	plain bool // it heeds no If-None-Exist and does not say that it would

	mu     sync.Mutex
	faults []fault  // of the next creates; guarded by mu
	asked  []string // methods and paths; guarded by mu
}

// fault answers a create in the place of the server, or after it.
type fault func(w http.ResponseWriter, serve func() *httptest.ResponseRecorder)

// Enqueue and Add take what an EHR of these tests does not need: its loads and its trail.
func (*ehr) Enqueue(context.Context, *sqldb.Tx, raw.Digest, int64, string) (ingest.JobID, error) {
	return 1, nil
}
func (*ehr) Add(context.Context, *sqldb.Tx, audit.Record) error { return nil }

func newEHR(t testing.TB) *ehr {
	t.Helper()
	db, dir := sqltest.SQLite(t), t.TempDir()
	require.NoError(t, raw.CreateKey(filepath.Join(dir, "raw.key")))
	files, err := raw.Open(raw.Config{Dir: filepath.Join(dir, "raw"), KeyFile: filepath.Join(dir, "raw.key")})
	require.NoError(t, err)
	store, err := fhirstore.Open(t.Context(), fhirstore.Config{DB: db, Raw: files, Secret: bytes.Repeat([]byte{7}, 32)})
	require.NoError(t, err)
	e := &ehr{t: t}
	api, err := fhirapi.New(fhirapi.Config{DB: db, Store: store, Loads: e, Trail: e})
	require.NoError(t, err)
	e.api = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api.ServeHTTP(w, r.WithContext(access.With(r.Context(), access.Operator())))
	})
	e.http = httptest.NewServer(http.HandlerFunc(e.serve))
	t.Cleanup(e.http.Close)
	return e
}

func (e *ehr) serve(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.asked = append(e.asked, r.Method+" "+r.URL.Path)
	var f fault
	if r.Method == http.MethodPost && len(e.faults) > 0 {
		f, e.faults = e.faults[0], e.faults[1:]
	}
	e.mu.Unlock()
	if e.plain {
		r.Header.Del("If-None-Exist")
		if strings.HasSuffix(r.URL.Path, "/metadata") {
			_, _ = w.Write([]byte(`{"resourceType":"CapabilityStatement","rest":[{"mode":"server","resource":[{"type":"Task"}]}]}`))
			return
		}
	}
	if f == nil {
		e.api.ServeHTTP(w, r)
		return
	}
	f(w, func() *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		e.api.ServeHTTP(answer, r)
		return answer
	})
}

// breaks has the next creates go wrong.
func (e *ehr) breaks(faults ...fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append(e.faults, faults...)
}

// requests are those that were made so far.
func (e *ehr) requests() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string{}, e.asked...)
}

// lost is an answer that nobody gets, although the server has done what it was asked for.
func lost(_ http.ResponseWriter, serve func() *httptest.ResponseRecorder) {
	serve()
	panic(http.ErrAbortHandler)
}

// outcome refuses with a text that nobody must repeat.
func outcome(status int, code string, header ...string) fault {
	return func(w http.ResponseWriter, _ func() *httptest.ResponseRecorder) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":%q,"diagnostics":"Erika Mustermann","expression":["Task.intent","Task.where(x='Erika')"]}]}`, code)
	}
}

// holds returns what the server has of a type.
func (e *ehr) holds(resourceType string) []map[string]any {
	e.t.Helper()
	w := httptest.NewRecorder()
	e.api.ServeHTTP(w, httptest.NewRequestWithContext(e.t.Context(), http.MethodGet, "/fhir/"+resourceType+"?_count=1000", nil))
	require.Equal(e.t, http.StatusOK, w.Code, w.Body.String())
	var b struct {
		Entry []struct{ Resource map[string]any }
	}
	require.NoError(e.t, json.Unmarshal(w.Body.Bytes(), &b))
	var list []map[string]any
	for _, entry := range b.Entry {
		list = append(list, entry.Resource)
	}
	return list
}

const system = "did:key:z6MkTest"

// site is a node as far as its outbox goes, with an endpoint named ehr.
type site struct {
	t   testing.TB
	db  *sqldb.DB
	dir string // of the endpoints

	mu  sync.Mutex
	now time.Time
}

func newSite(t testing.TB, db *sqldb.DB, e *ehr, lines ...string) *site {
	t.Helper()
	require.NoError(t, jobs.Migrate(t.Context(), db))
	s := &site{t: t, db: db, dir: t.TempDir(), now: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)}
	s.settings(append(lines, "url: "+e.http.URL+"/fhir")...)
	return s
}

func (s *site) settings(lines ...string) {
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, "ehr.yaml"), []byte(strings.Join(lines, "\n")), 0o600))
}

func (s *site) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *site) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// config is that of the outbox of a process over a database.
func config(db *sqldb.DB, dir string) (Config, error) {
	queue, err := jobs.New(jobs.Config{DB: db})
	return Config{
		DB: db, Jobs: queue, Dir: dir, System: system, Secret: bytes.Repeat([]byte{9}, 32),
		Pause: func(int) time.Duration { return time.Millisecond },
		Known: func(_ context.Context, _ *sqldb.Tx, patient string) (bool, error) { return patient == "p1", nil },
	}, err
}

// open returns the outbox as a process opens it, and what runs it until the test ends or it is
// stopped.
func (s *site) open(adjust ...func(*Config)) (o *Outbox, run func() (stop func())) {
	s.t.Helper()
	cfg, err := config(s.db, s.dir)
	require.NoError(s.t, err)
	for _, f := range adjust {
		f(&cfg)
	}
	o, err = Open(s.t.Context(), cfg)
	require.NoError(s.t, err)
	return o, func() func() {
		ctx, cancel := context.WithCancel(s.t.Context())
		done := make(chan error, 1)
		go func() { done <- cfg.Jobs.Run(ctx) }()
		stop := sync.OnceFunc(func() {
			cancel()
			require.NoError(s.t, <-done)
		})
		s.t.Cleanup(stop)
		return stop
	}
}

// byClock has the outbox go by the clock of the site.
func (s *site) byClock(cfg *Config) { cfg.Now = s.Now }

// send sends a document that must be taken.
func (s *site) send(o *Outbox, text string) []Message {
	s.t.Helper()
	list, err := o.Send(s.t.Context(), "ehr", strings.NewReader(text))
	require.NoError(s.t, err)
	return list
}

// until waits until a message is in a state.
func (s *site) until(o *Outbox, id ID, state State) Message {
	s.t.Helper()
	return s.awaits(o, id, func(m Message) bool { return m.State == state })
}

func (s *site) awaits(o *Outbox, id ID, is func(Message) bool) Message {
	s.t.Helper()
	var m Message
	require.Eventually(s.t, func() bool {
		var err error
		m, err = o.Message(s.t.Context(), id)
		require.NoError(s.t, err)
		return is(m)
	}, time.Minute, 10*time.Millisecond)
	return m
}

// retry has a message that waits sent now, once the attempt before is over.
func (s *site) retry(o *Outbox, id ID) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		_, err := o.Retry(s.t.Context(), id)
		if err != nil {
			require.ErrorIs(s.t, err, errUnderWay)
		}
		return err == nil
	}, time.Minute, 10*time.Millisecond)
}

// task is a resource that may be sent.
const task = `{"resourceType":"Task","status":"requested","intent":"proposal","for":{"reference":"Patient/p1"},"description":"Please look"}`

// bundle has one of each type.
const bundle = `{"resourceType":"Bundle","type":"collection","entry":[
{"resource":{"resourceType":"Communication","id":"x","meta":{"versionId":"3"},"status":"completed","subject":{"reference":"Patient/p1"},"payload":[{"contentString":"5 < 6"}]}},
{"resource":` + task + `},
{"resource":{"resourceType":"ServiceRequest","identifier":[{"system":"urn:x","value":"1"}],"status":"active","intent":"order","subject":{"reference":"Patient/p1"},"quantityQuantity":{"value":1.50}}},
{"resource":{"resourceType":"ResearchStudy","status":"active"}},
{"resource":{"resourceType":"ResearchSubject","status":"candidate","study":{"identifier":{"value":"NCT1"}},"individual":{"reference":"Patient/p1"}}}]}`
