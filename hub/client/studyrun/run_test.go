package studyrun_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/client"
	"github.com/trialmesh/trialmesh/hub/client/studyrun"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/study"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

var (
	errBroken   = errors.New("the connection broke")
	errNotFound = problem.New(problem.NotFound, "no such question")
	errTooMany  = problem.New(problem.TooMany, "too many questions are open")
)

// fakeHub takes requests as the registry does. Its n-th call fails, before or after it
// took hold.
type fakeHub struct {
	places    int // questions that may be open
	now       time.Time
	questions map[query.ID]*client.Question
	names     map[string]int // requests that were taken, by the question's name in the study

	calls, failAt int
	after         bool
}

func newFakeHub() *fakeHub {
	return &fakeHub{places: 100, now: noon, questions: make(map[query.ID]*client.Question), names: make(map[string]int)}
}

func (h *fakeHub) call(do func() error) error {
	h.calls++
	if h.calls != h.failAt {
		return do()
	}
	if h.after {
		_ = do()
	}
	return errBroken
}

func (h *fakeHub) open() (n int) {
	for _, q := range h.questions {
		if q.Result == nil {
			n++
		}
	}
	return n
}

func (h *fakeHub) Queue(_ context.Context, e message.Envelope, _ time.Duration, _ query.Priority) (query.ID, error) {
	id := e.Digest()
	return id, h.call(func() error {
		r, err := message.Open[query.Request](e, query.KindRequest, h.now)
		if err != nil {
			return err
		}
		if h.questions[id] != nil {
			return nil
		}
		if h.open() >= h.places {
			return errTooMany
		}
		h.questions[id] = &client.Question{ID: id, State: query.Open, Request: r}
		h.names[r.Study.Question]++
		return nil
	})
}

// Question answers what is waited for.
func (h *fakeHub) Question(_ context.Context, id, wait string, _ time.Duration) (client.Question, error) {
	var out client.Question
	err := h.call(func() error {
		for _, q := range h.questions {
			if q.ID.String() != id {
				continue
			}
			if wait == client.WaitResult {
				q.State, q.Result = query.Complete, &query.Result{Query: q.ID, State: query.Complete}
			}
			out = *q
			return nil
		}
		return errNotFound
	})
	return out, err
}

type fixture struct {
	key identity.Key
	hub *fakeHub
	cfg studyrun.Config
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	f := &fixture{key: key, hub: newFakeHub()}
	f.cfg = studyrun.Config{Dir: filepath.Join(t.TempDir(), "run"), Study: f.study(t, "1"), Hub: f.hub, Key: key, Rand: rand.Reader, Wait: true, Now: func() time.Time { return f.hub.now }}
	return f
}

func (f *fixture) study(t *testing.T, version string) message.Envelope {
	t.Helper()
	s := study.Study{Name: "bp", Version: version, Title: "BP", Trial: "bp-2026", Purpose: "safety", Cohorts: map[string]json.RawMessage{
		"seen": json.RawMessage(`{"PrimaryCriteria":{"CriteriaList":[{"VisitOccurrence":{}}],"ObservationWindow":{"PriorDays":0,"PostDays":0}}}`),
	}}
	for _, name := range []string{"a", "b", "c"} {
		s.Questions = append(s.Questions, study.Question{Name: name, Cohort: "seen", Analysis: query.Analysis{Kind: query.Count}})
	}
	e, err := message.Seal(f.key, study.KindStudy, s, noon, time.Hour, rand.Reader)
	require.NoError(t, err)
	return e
}

func (f *fixture) run(t *testing.T) ([]studyrun.Status, error) {
	t.Helper()
	r, err := studyrun.Open(t.Context(), f.cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	return r.Go(t.Context())
}

var once = map[string]int{"a": 1, "b": 1, "c": 1}

// TestEachQuestionIsAskedOnce although every call breaks off once, before or after
// the hub did what it was asked.
func TestEachQuestionIsAskedOnce(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		failures := 0
		for at := 1; ; at++ {
			f := newFixture(t)
			f.hub.failAt, f.hub.after = at, after
			all, err := f.run(t)
			if err != nil {
				require.ErrorIs(t, err, errBroken)
				failures++
				all, err = f.run(t)
			}
			require.NoError(t, err)
			require.Len(t, all, 3)
			require.Equal(t, once, f.hub.names, "call %d failed", at)
			for _, s := range all {
				require.Equal(t, query.Complete, s.State)
				raw, err := os.ReadFile(filepath.Join(f.cfg.Dir, s.Name+".json"))
				require.NoError(t, err)
				var q client.Question
				require.NoError(t, json.Unmarshal(raw, &q))
				require.Equal(t, s.ID, q.ID)
				require.Equal(t, "bp@1", q.Request.Study.String())
			}
			calls := f.hub.calls
			_, err = f.run(t)
			require.NoError(t, err)
			require.Equal(t, calls, f.hub.calls, "what is answered is not asked for again")
			left, err := filepath.Glob(filepath.Join(f.cfg.Dir, ".new-*"))
			require.NoError(t, err)
			require.Empty(t, left)
			if at > calls {
				break
			}
		}
		require.Equal(t, 6, failures, "three are asked and three answered")
	}
}

// TestAFullQueueIsWaitedFor with Wait; without it, the run says so and goes on later.
func TestAFullQueueIsWaitedFor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.hub.places = 1
	all, err := f.run(t)
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.Equal(t, once, f.hub.names)

	f = newFixture(t)
	f.hub.places, f.cfg.Wait = 1, false
	all, err = f.run(t)
	require.ErrorIs(t, err, errTooMany)
	require.Len(t, all, 1)
	f.hub.places = 100
	all, err = f.run(t)
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.Equal(t, once, f.hub.names)

	f = newFixture(t)
	f.hub.places = 0
	_, err = f.run(t)
	require.ErrorContains(t, err, "your other questions")
}

// TestARequestThatExpiredUnsentIsSignedAgain, and one that the hub knows is not.
func TestARequestThatExpiredUnsentIsSignedAgain(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"never sent": false, "sent": true} {
		f := newFixture(t)
		f.hub.failAt, f.hub.after = 1, after
		_, err := f.run(t)
		require.ErrorIs(t, err, errBroken)
		f.hub.now = noon.Add(25 * time.Hour)
		_, err = f.run(t)
		require.NoError(t, err, name)
		require.Equal(t, once, f.hub.names, name)
	}
}

// TestAFolderIsOfOneRun refuses another study, another key and a second process.
func TestAFolderIsOfOneRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.hub.failAt = 1
	_, err := f.run(t)
	require.ErrorIs(t, err, errBroken)

	other := f.cfg
	other.Study = f.study(t, "2")
	_, err = studyrun.Open(t.Context(), other)
	require.ErrorIs(t, err, studyrun.ErrOther)

	again := f.cfg
	again.Study = f.study(t, "1")
	r, err := studyrun.Open(t.Context(), again)
	require.NoError(t, err, "signed again, it is the same study")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = studyrun.Open(ended, f.cfg)
	require.ErrorContains(t, err, "another process holds")
	require.NoError(t, r.Close())

	f.cfg.Key, err = identity.Generate(rand.Reader)
	require.NoError(t, err)
	_, err = f.run(t)
	require.ErrorIs(t, err, studyrun.ErrOther)
}
