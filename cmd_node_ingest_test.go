//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// standIn is the API of a node with one job, which is held for some polls.
type standIn struct {
	dir, file string
	handler   http.Handler
	polls     atomic.Int64
	job       map[string]any // what the job is at its end
	held      int64          // polls from the second on that find it held

	mu   sync.Mutex // guards sent
	sent []string   // names of files, in the order in which they came
}

// names returns the names of the files that came.
func (n *standIn) names() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.sent)
}

// place says where the node is reached.
func (n *standIn) place(t *testing.T, url string) {
	t.Helper()
	place, err := json.Marshal(place{URL: url})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(n.dir, runFile), place, 0o600))
}

const heldText = "the node cannot write: no room is left on its disk"

func newStandIn(t *testing.T, held int64, job map[string]any) *standIn {
	t.Helper()
	n := &standIn{dir: t.TempDir(), job: job, held: held}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/ingest/files", func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		n.sent = append(n.sent, r.URL.Query().Get("name"))
		n.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte(`{"fileId":"00","jobId":"7"}`))
	})
	mux.HandleFunc("GET /v1/ingest/jobs/7", func(w http.ResponseWriter, _ *http.Request) {
		job := map[string]any{"id": "7", "state": "running"}
		switch poll := n.polls.Add(1); {
		case poll > 1 && poll <= 1+n.held:
			job["held"] = heldText
		case poll > 2+n.held:
			job["state"], job["ended"] = "completed", time.Now().UTC()
			maps.Copy(job, n.job)
		}
		raw, err := json.Marshal(job)
		if err == nil {
			_, _ = w.Write(raw)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	n.handler = mux
	n.place(t, server.URL)
	require.NoError(t, os.WriteFile(filepath.Join(n.dir, apiTokenFile), []byte("a-token-of-more-than-32-characters"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(n.dir, nodeConfigFile), nil, 0o600))
	n.file = filepath.Join(n.dir, "one.json")
	require.NoError(t, os.WriteFile(n.file, []byte("{}"), 0o600))
	return n
}

func TestIngestSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	n := newStandIn(t, 3, nil)
	c := call(t, "node", "ingest", n.file, "--dir", n.dir)
	require.Zero(t, c.status, c.stderr)
	require.Equal(t, 1, strings.Count(c.stderr, heldText))
	_, after, _ := strings.Cut(c.stderr, heldText)
	require.Equal(t, 1, strings.Count(after, "the node goes on\n"))
}

// TestIngestOfNothingIsAnError: a path that holds no record must not look loaded.
func TestIngestOfNothingIsAnError(t *testing.T) {
	t.Parallel()
	n := newStandIn(t, 0, nil)
	write := func(dir, name, content string) string {
		require.NoError(t, os.MkdirAll(filepath.Join(n.dir, dir), 0o700))
		path := filepath.Join(n.dir, dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	write("none", "README.txt", "hello")
	write("some", "README.txt", "hello")
	write("some", "a.NDJSON.gz", "{}")
	write("some", "b.json", "{}")
	write("broken", "a.json", "{}")
	write("broken", "b.json", "")
	for name, c := range map[string]struct {
		path, want string
		status     int
	}{
		"a folder of other files":  {filepath.Join(n.dir, "none"), "*.json, *.ndjson, *.jsonl, *.hl7, *.xml, *.xpt and *.dsjc", 1},
		"an empty folder":          {t.TempDir(), "no file to load is there", 1},
		"an empty file":            {filepath.Join(n.dir, "broken", "b.json"), "b.json: the file is empty", 1},
		"an empty file among good": {filepath.Join(n.dir, "broken"), "nothing was sent", 1},
		"a folder of both":         {filepath.Join(n.dir, "some"), "sent 2 files", 0},
		"a file of another name":   {filepath.Join(n.dir, "some", "README.txt"), "sent 1 file", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := call(t, "node", "ingest", c.path, "--dir", n.dir)
			require.Equal(t, c.status, got.status, got.stderr)
			require.Contains(t, got.stderr, c.want)
			require.Equal(t, name == "a folder of both", strings.Contains(got.stderr, "left out 1 file"), got.stderr)
		})
	}
}

// TestIngestOfACDMSendsPersonsFirst: the rows of a table refer to those of others.
func TestIngestOfACDMSendsPersonsFirst(t *testing.T) {
	t.Parallel()
	n := newStandIn(t, 0, nil)
	dir := t.TempDir()
	for name, head := range map[string]string{
		"condition_occurrence.csv": "condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_type_concept_id",
		"dbo.Person.CSV":           "PERSON_ID,GENDER_CONCEPT_ID,YEAR_OF_BIRTH,RACE_CONCEPT_ID,ETHNICITY_CONCEPT_ID",
		"visit_occurrence.tsv":     "visit_occurrence_id\tperson_id\tvisit_concept_id\tvisit_start_date\tvisit_end_date\tvisit_type_concept_id",
		"condition_era.csv":        "condition_era_id,person_id,condition_concept_id,condition_era_start_date,condition_era_end_date",
		"achilles_results.csv":     "analysis_id,stratum_1,count_value",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(head+"\n"), 0o600))
	}
	c := call(t, "node", "ingest", dir, "--dir", n.dir)
	require.Zero(t, c.status, c.stderr)
	require.Equal(t, []string{"dbo.Person.CSV", "visit_occurrence.tsv", "condition_occurrence.csv"}, n.names())
	require.Contains(t, c.stderr, "left out 2 files")
	require.Equal(t, 3, strings.Count(c.stderr, "loaded 1 file"), "each is loaded before the next is sent")
}

// TestIngestOfATrialSendsSubjectsFirst, whatever the format of the data sets.
func TestIngestOfATrialSendsSubjectsFirst(t *testing.T) {
	t.Parallel()
	n := newStandIn(t, 0, nil)
	dir := t.TempDir()
	for name, from := range map[string]string{"ae.xpt.gz": "phuse", "sv.csv.gz": "phuse", "vs.json.gz": "msg", "dm.ndjson.gz": "msg"} {
		data, err := os.ReadFile(filepath.Join("connectors", "source", "cdisc", "testdata", from, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	c := call(t, "node", "ingest", dir, "--dir", n.dir)
	require.Zero(t, c.status, c.stderr)
	require.Equal(t, []string{"dm.ndjson.gz", "sv.csv.gz", "ae.xpt.gz", "vs.json.gz"}, n.names())
}

func TestIngestOfABulkExportSendsPatientsFirst(t *testing.T) {
	t.Parallel()
	n := newStandIn(t, 0, nil)
	dir := t.TempDir()
	for name, first := range map[string]string{"Condition.000": "Condition", "Encounter.000": "Encounter", "Patient.000": "Patient"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".ndjson"), []byte(`{"id":"x", "resourceType" : "`+first+`"}`+"\n"), 0o600))
	}
	c := call(t, "node", "ingest", dir, "--dir", n.dir)
	require.Zero(t, c.status, c.stderr)
	require.Equal(t, []string{"Patient.000.ndjson", "Encounter.000.ndjson", "Condition.000.ndjson"}, n.names())
}

// TestIngestSendsAgainWhatCameBeforeItsPatient, once.
func TestIngestSendsAgainWhatCameBeforeItsPatient(t *testing.T) {
	t.Parallel()
	n := newStandIn(t, 0, map[string]any{
		"state": "completed with problems", "stored": 4, "rejected": 1, "problems": []map[string]string{{"rule": "unknown-person"}},
	})
	other := filepath.Join(n.dir, "other.json")
	require.NoError(t, os.WriteFile(other, []byte("{}"), 0o600))
	c := call(t, "node", "ingest", n.file, other, "--dir", n.dir)
	require.Zero(t, c.status, c.stderr)
	require.Equal(t, []string{"one.json", "other.json", "one.json", "other.json"}, n.names())
	require.Contains(t, c.stderr, "loading 2 files again")
	require.Regexp(t, `(?m)^rows stored +4$`, c.stdout, "what counts is the second time")

	c = call(t, "node", "ingest", n.file, "--dir", n.dir)
	require.Zero(t, c.status, c.stderr)
	require.Len(t, n.names(), 5, "one file is not waiting for another")
}

// TestIngestTellsWhatIsNew: the node keeps the job of content that it has
// loaded, and its counts are not this load's.
func TestIngestTellsWhatIsNew(t *testing.T) {
	t.Parallel()
	counts := map[string]any{"records": 5, "stored": 4, "byType": map[string]int{"Patient": 5}}
	n := newStandIn(t, 0, counts)
	c := call(t, "node", "ingest", n.file, n.file, "--dir", n.dir)
	require.Zero(t, c.status, c.stderr)
	require.Regexp(t, `(?m)^loaded before +1 file$`, c.stdout, "the second is the first")
	require.Regexp(t, `(?m)^rows stored +4$`, c.stdout)
	require.Regexp(t, `(?m)^records by type\n  Patient +5$`, c.stdout)

	before := maps.Clone(counts)
	before["ended"] = time.Now().Add(-time.Minute).UTC()
	n = newStandIn(t, 0, before)
	c = call(t, "node", "ingest", n.file, "--dir", n.dir)
	require.Zero(t, c.status, c.stderr)
	require.Regexp(t, `(?m)^loaded before +1 file$`, c.stdout)
	require.Regexp(t, `(?m)^rows stored +0$`, c.stdout)
	require.NotContains(t, c.stdout, "by type")
	require.Contains(t, must(t, "node", "ingest", n.file, "--dir", n.dir, "--json"), `"loadedBefore":1,"records":0,"stored":0`)
}

func TestIngestFailsIfEveryFileIsRejected(t *testing.T) {
	t.Parallel()
	n := newStandIn(t, 0, map[string]any{"state": "completed with problems", "records": 0, "rejected": 1})
	c := call(t, "node", "ingest", n.file, "--dir", n.dir)
	require.Equal(t, exitError, c.status)
	require.Contains(t, c.stderr, "nothing was loaded: every file was rejected")
	require.Regexp(t, `(?m)^rejected +1$`, c.stdout)

	n = newStandIn(t, 0, map[string]any{"state": "completed with problems", "rejected": 1, "duplicates": 1})
	require.Zero(t, call(t, "node", "ingest", n.file, "--dir", n.dir).status, "a part of it was there already")
}

func TestIngestStopsWaiting(t *testing.T) {
	t.Parallel()
	t.Run("after its timeout", func(t *testing.T) {
		t.Parallel()
		n := newStandIn(t, 1e6, nil)
		c := call(t, "node", "ingest", n.file, "--dir", n.dir, "--timeout", "500ms")
		require.Equal(t, 1, c.status)
		require.Contains(t, c.stderr, heldText)
		require.Contains(t, c.stderr, "0 of 1 files are loaded; the node goes on with the others")
	})
	t.Run("when interrupted", func(t *testing.T) {
		t.Parallel()
		n := newStandIn(t, 1e6, nil)
		ctx, cancel := context.WithTimeout(t.Context(), faultWait)
		defer cancel()
		cmd := command(ctx, "node", "ingest", n.file, "--dir", n.dir)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		require.NoError(t, cmd.Start())
		eventually(t, "polled", func() bool { return n.polls.Load() > 2 })
		begun := time.Now()
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.Error(t, cmd.Wait())
		require.Less(t, time.Since(begun), 10*time.Second)
		require.Equal(t, 1, cmd.ProcessState.ExitCode(), stderr.String())
		require.Contains(t, stderr.String(), "0 of 1 files are loaded")
	})
	t.Run("with a timeout that is none", func(t *testing.T) {
		t.Parallel()
		n := newStandIn(t, 0, nil)
		require.Equal(t, exitUsage, call(t, "node", "ingest", n.file, "--dir", n.dir, "--timeout", "-1s").status)
	})
}

// TestIngestGoesOnWhenTheNodeComesBack: a large file is sent on from where it was, to
// wherever the node is then.
func TestIngestGoesOnWhenTheNodeComesBack(t *testing.T) {
	t.Parallel()
	n := newStandIn(t, 0, nil)
	large := filepath.Join(n.dir, "large.ndjson")
	require.NoError(t, os.WriteFile(large, nil, 0o600))
	require.NoError(t, os.Truncate(large, fromParts)) // holes take no room

	var mu sync.Mutex
	var came int64
	keys := map[string]bool{}
	uploads := func(broken bool) *httptest.Server {
		mux := http.NewServeMux()
		mux.HandleFunc("POST /v1/ingest/uploads", func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			keys[r.Header.Get("Idempotency-Key")] = true
			w.Header().Set("Location", "/v1/ingest/uploads/1")
			w.WriteHeader(http.StatusCreated)
		})
		mux.HandleFunc("/v1/ingest/uploads/1", func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.Method == http.MethodPatch {
				body := io.Reader(r.Body)
				if broken {
					body = io.LimitReader(body, fromParts/2)
				}
				got, _ := io.Copy(io.Discard, body)
				if came += got; broken {
					panic(http.ErrAbortHandler)
				}
			}
			w.Header().Set("Upload-Offset", strconv.FormatInt(came, 10))
			if came == fromParts {
				w.Header().Set("Trialmesh-Job", "7")
				w.Header().Set("Trialmesh-File", "00")
			}
		})
		mux.Handle("/", n.handler)
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		return server
	}
	first, second := uploads(true), uploads(false)
	n.place(t, first.URL)
	ctx, cancel := context.WithTimeout(t.Context(), faultWait)
	defer cancel()
	cmd := command(ctx, "node", "ingest", large, "--dir", n.dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	eventually(t, "half of the file came", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return came > 0
	})
	n.place(t, second.URL)
	first.Close()
	require.NoError(t, cmd.Wait(), &stderr)
	require.Contains(t, stderr.String(), "waiting for the node")
	require.EqualValues(t, fromParts, came, "nothing was sent twice")
	require.Len(t, keys, 1)
}
