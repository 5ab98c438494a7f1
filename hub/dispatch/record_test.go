package dispatch_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/dispatch"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/schedule"
	"github.com/trialmesh/trialmesh/protocol/study"
	"github.com/trialmesh/trialmesh/protocol/version"
)

var record = flag.String("record", "", "directory to record conversations of hub and nodes in, one about what each version brought")

// conversation is all that a hub and its nodes said about some questions, from the first
// entry of the hub's log on. It is recorded in a bubble, whose
// clock begins at the same moment in every run, so that its signatures are valid in one.
type conversation struct {
	Entries   []json.RawMessage `json:"entries"` // the hub's log up to the questions
	Questions []query.ID        `json:"questions"`
	Exchanges []exchange        `json:"exchanges"`
	Results   []json.RawMessage `json:"results"`
}

// exchange is a task and what the node answered.
type exchange struct {
	Node  identity.DID    `json:"node"`
	Task  json.RawMessage `json:"task"`
	Reply json.RawMessage `json:"reply"`
}

// tap is a network that passes calls on and keeps them. change, if set, changes the tasks.
type tap struct {
	dispatch.Network
	change func(task []byte) []byte

	mu    sync.Mutex
	heard []exchange
}

func (n *tap) Call(ctx context.Context, to identity.DID, protocol string, request []byte) ([]byte, error) {
	if n.change != nil {
		request = n.change(request)
	}
	reply, err := n.Network.Call(ctx, to, protocol, request)
	if err == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.heard = append(n.heard, exchange{to, request, reply})
	}
	return reply, err
}

// answers counts the nodes' answers to a step of a question.
func (n *tap) answers(t *testing.T, id query.ID, step query.Step) (count int) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.heard {
		if topic(t, e.Task) == id.String()+" "+string(step) {
			count++
		}
	}
	return count
}

// through returns a dispatcher that reaches the nodes through a network.
func (w *world) through(t *testing.T, network dispatch.Network) *dispatch.Dispatcher {
	t.Helper()
	d, err := dispatch.New(dispatch.Config{
		Registry: w.reader, Log: w.log, Network: network, Policy: w.policy, Grace: 100 * time.Millisecond, Poll: 25 * time.Millisecond,
		ProofWait: 5 * time.Second,
	})
	require.NoError(t, err)
	return d
}

// topics are what conversations are about, by the version that brought it. Each puts its
// questions.
var topics = map[version.Version]func(t *testing.T, w *world) []query.ID{
	1: func(t *testing.T, w *world) []query.ID { // a count and moments
		t.Helper()
		return []query.ID{w.put(t, w.trial.CountBySex(), time.Minute), w.put(t, w.trial.MeanBySex(), time.Minute)}
	},
	2: func(t *testing.T, w *world) []query.ID {
		t.Helper()
		var ids []query.ID
		for _, r := range w.novelties(t) {
			ids = append(ids, w.put(t, r, time.Minute))
		}
		digest := w.schedule(t, time.Now().UTC()) // midnight, so that it is due now
		w.propose(t, registry.AskOccurrence{Schedule: digest, Number: 1, Limits: registry.DefaultQueue})
		ids = append(ids, w.occurrences(t, digest)[0].Query)
		cancelled := w.put(t, w.trial.MeanBySex(), time.Minute)
		w.propose(t, w.cancellation(t, cancelled))
		return append(ids, cancelled)
	},
}

// novelties are questions with what the second version brought: the rounds of a method over
// a data set, an attrition, and a question of a study.
func (w *world) novelties(t *testing.T) map[string]query.Request {
	t.Helper()
	attrition := w.trial.CountBySex()
	attrition.Cohort = json.RawMessage(strings.TrimSuffix(string(peertest.Cohort), "}") + `,"InclusionRules":[{"name":"women",
		"expression":{"Type":"ALL","CriteriaList":[],"DemographicCriteriaList":[{"Gender":[{"CONCEPT_ID":8532}]}],"Groups":[]}}]}`)
	attrition.Analysis = query.Analysis{Kind: query.Count, Attrition: true}
	rounds := w.over("birthwt", query.Analysis{
		Kind: query.Describe, Specs: query.Specs{Describe: &query.DescribeSpec{Values: []string{"lwt"}}}, Columns: columns(births(), "lwt"),
	})
	s := study.Study{
		Name: "glucose", Version: "1", Title: "Glucose", Trial: w.trial.Design.ID, Purpose: "test",
		Cohorts:   map[string]json.RawMessage{"diabetes": peertest.Cohort},
		Questions: []study.Question{{Name: "count", Cohort: "diabetes", Analysis: query.Analysis{Kind: query.Count}}},
	}
	e, err := message.Seal(w.trial.Researcher, study.KindStudy, s, time.Now(), time.Hour, rand.Reader)
	require.NoError(t, err)
	w.propose(t, registry.RegisterStudy{Envelope: e})
	part, err := s.Request("count")
	require.NoError(t, err)
	return map[string]query.Request{"an attrition": attrition, "a method in rounds over a data set": rounds, "a question of a study": part}
}

// schedule registers a question that is asked twice, an hour apart.
func (w *world) schedule(t *testing.T, first time.Time) message.Digest {
	t.Helper()
	plan := schedule.Plan{Name: "hourly", Question: w.trial.CountBySex(), Cron: "0 * * * *", First: first, Occurrences: 2, DeadlineSeconds: 600}
	s, err := schedule.Sign(w.trial.Researcher, plan, rand.Reader)
	require.NoError(t, err)
	e, err := message.Seal(w.trial.Researcher, schedule.KindSchedule, s, time.Now(), time.Hour, rand.Reader)
	require.NoError(t, err)
	w.propose(t, registry.RegisterSchedule{Envelope: e})
	digest, err := plan.Digest()
	require.NoError(t, err)
	return digest
}

func (w *world) occurrences(t *testing.T, digest message.Digest) []registry.Occurrence {
	t.Helper()
	list, err := w.reader.Occurrences(t.Context(), digest)
	require.NoError(t, err)
	return list
}

// converse asks three sites about the topics of a version and returns what was said.
func converse(t *testing.T, of version.Version, change func(task []byte) []byte) conversation {
	t.Helper()
	w := newWorld(t, peertest.People(32, 31), peertest.People(46, 17), peertest.People(41, 22))
	for i, text := range shared(t, table(t, "birthwt.csv"), 3, threeWays) {
		w.sites[i].LoadDataset(t, births(), text)
	}
	c := conversation{Questions: topics[of](t, w)}
	for _, entry := range w.log.entries {
		c.Entries = append(c.Entries, entry)
	}
	network := &tap{Network: w.end, change: change}
	w.drive(t, w.through(t, network))
	for _, id := range c.Questions {
		r := w.result(t, id)
		result, err := json.Marshal(r)
		require.NoError(t, err)
		c.Results = append(c.Results, result)
		if r.State == query.Cancelled {
			require.Eventually(t, func() bool { return network.answers(t, id, query.StepCancel) == 3 }, time.Minute, time.Second)
			continue
		}
		require.Equal(t, query.Complete, r.State, "%s %+v", r.Reason, r.Refused)
		w.proofs(t, id, 3)
	}
	network.mu.Lock()
	defer network.mu.Unlock()
	c.Exchanges = network.heard
	return c
}

// TestRecord writes what the versions' tests replay, see testdata/ORIGIN.md.
func TestRecord(t *testing.T) {
	if *record == "" {
		t.Skip("records only when told where: -record DIRECTORY")
	}
	for of := range topics {
		inBubbleNamed(t, file(of), func(t *testing.T) {
			raw, err := json.Marshal(converse(t, of, nil))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(*record, file(of)), append(raw, '\n'), 0o600))
		})
	}
}
