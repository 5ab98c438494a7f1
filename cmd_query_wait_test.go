package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/report"
	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// someNode is a node's name in these tests.
const someNode = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"

var untilNoon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// askingHub is a hub with one question: its events are written by a handler, and its answer
// is there from the second request on.
func askingHub(t *testing.T, events http.HandlerFunc) (args []string) {
	t.Helper()
	var asked atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/queries/{id}/events", events)
	mux.HandleFunc("GET /v1/queries/{id}", func(w http.ResponseWriter, _ *http.Request) {
		q := client.Question{ID: query.ID{1}, State: query.Open, Deadline: untilNoon.Add(time.Hour), WaitsUntil: untilNoon, ResultIndex: -1}
		q.Waiting = append(q.Waiting, someNode)
		if asked.Add(1) > 1 {
			q.State, q.Waiting = query.Complete, nil
			q.Result = &query.Result{State: query.Complete}
		}
		_ = json.NewEncoder(w).Encode(q)
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	root := filepath.Join(t.TempDir(), "root.pem")
	require.NoError(t, os.WriteFile(root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	return []string{"query", "show", "0101010101", "--hub", server.URL, "--root", root, "--wait", "result", "--json"}
}

// tell writes an event.
func tell(w http.ResponseWriter, p query.Progress) {
	raw, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(w, "event: progress\nid: %d\ndata: %s\n\n", p.Round, raw)
	w.(http.Flusher).Flush()
}

// TestWaitShowsTheHubsEvents in lines where the standard error is no terminal, and goes on
// by asking when they break or there are none. Standard output has the question only.
func TestWaitShowsTheHubsEvents(t *testing.T) {
	t.Parallel()
	two := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/event-stream")
		tell(w, query.Progress{State: query.Open, Step: query.StepAsk, Round: 1, MaxRounds: 40, WaitsUntil: &untilNoon, Nodes: []query.NodeProgress{{Node: someNode, State: query.NodeWaiting}}})
		tell(w, query.Progress{State: query.Open, Step: query.StepMask, Round: 2, MaxRounds: 40, Nodes: []query.NodeProgress{{Node: someNode, State: query.NodeWorking}}})
	}
	for name, c := range map[string]struct {
		events http.HandlerFunc
		shows  []string
	}{
		"to the end": {func(w http.ResponseWriter, _ *http.Request) {
			two(w)
			tell(w, query.Progress{State: query.Complete})
		}, []string{"round 1 of at most 40; .* waits for approval, until 2026-11-22T12:00:00Z\n", "\nround 2 of at most 40\n"}},
		"that go on at another replica": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Last-Event-ID") == "2" {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			two(w)
		}, []string{"round 2 of at most 40\n"}},
		"that break": {func(w http.ResponseWriter, _ *http.Request) {
			two(w)
			panic(http.ErrAbortHandler)
		}, []string{"round 2 of at most 40\n", "waits for approval, until 2026-11-22T12:00:00Z\n$"}},
		"of a hub without any": {http.NotFound, []string{"^.* waits for approval, until 2026-11-22T12:00:00Z\n$"}},
		"that are none": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: nonsense\n\n")
		}, []string{"waits for approval"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := askingHub(t, c.events)
			var out, progress bytes.Buffer
			cmd := newRoot()
			cmd.SetArgs(args)
			cmd.SetOut(&out)
			cmd.SetErr(&progress)
			require.NoError(t, cmd.ExecuteContext(t.Context()))
			var q client.Question
			require.NoError(t, json.Unmarshal(out.Bytes(), &q), out.String())
			require.Equal(t, 1, strings.Count(out.String(), "\n"))
			for _, want := range c.shows {
				require.Regexp(t, want, progress.String())
			}
			require.NotContains(t, progress.String(), "\x1b")
		})
	}
}

// TestRoundsAreToldNowAndThen where there is no terminal; what nodes do is told at once.
// TestAnInterruptedWaitSaysHowToGoOn: the question is the hub's, and stays open.
func TestAnInterruptedWaitSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	cmd := command(t.Context(), askingHub(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		tell(w, query.Progress{State: query.Open})
		asked <- struct{}{}
		<-r.Context().Done()
	})...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	<-asked
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, cmd.Wait())
	require.Contains(t, stderr.String(), "question 0101010101 goes on, and query show 0101010101 --wait result waits for it again")
}

func TestRoundsAreToldNowAndThen(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	now := untilNoon
	l := &progressLine{out: &b, sites: report.Sites{someNode: "North Hospital"}, now: func() time.Time { return now }}
	for round := 1; round <= 20; round++ {
		p := query.Progress{State: query.Open, Round: round, MaxRounds: 40, Nodes: []query.NodeProgress{{Node: someNode, State: query.NodeWorking}}}
		if round >= 15 {
			p.Nodes[0].State = query.NodeAway
		}
		l.show(p)
		now = now.Add(time.Second)
	}
	const away = " of at most 40; North Hospital (…EGta2doK) is away"
	require.Equal(t, []string{"round 1 of at most 40", "round 6 of at most 40", "round 11 of at most 40", "round 15" + away, "round 20" + away},
		strings.Split(strings.TrimSpace(b.String()), "\n"))
}

// TestTerminalHasOneLineOfProgress, which is gone when the answer comes.
func TestTerminalHasOneLineOfProgress(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	l := &progressLine{out: &b, terminal: true}
	p := query.Progress{State: query.Open, Step: query.StepMask.In(3), Round: 3, MaxRounds: 40}
	p.Nodes = []query.NodeProgress{
		{Node: someNode, State: query.NodeAnswered},
		{Node: someNode, State: query.NodeWorking},
		{Node: someNode, State: query.NodeRefused, Rule: "release.cell-threshold"},
		{Node: someNode, State: query.NodeMissing, Step: query.StepAsk},
	}
	l.show(p)
	l.show(p)
	l.clear()
	short := p.Nodes[0].Node.Short()
	require.Equal(t, eraseLine+"round 3 of at most 40; sending masked numbers; 1 of 4 nodes answered; "+
		short+" refused (release.cell-threshold); "+short+" is missing at step ask"+eraseLine, b.String())
}
