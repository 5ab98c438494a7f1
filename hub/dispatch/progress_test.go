package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// states returns where each node of a question stands.
func (w *world) states(t *testing.T, id query.ID) (query.Progress, map[identity.DID]query.NodeProgress) {
	t.Helper()
	p, err := w.reader.Progress(t.Context(), id)
	require.NoError(t, err)
	nodes := make(map[identity.DID]query.NodeProgress)
	for _, n := range p.Nodes {
		nodes[n.Node] = n
	}
	require.Len(t, nodes, len(w.sites))
	return p, nodes
}

// TestProgressNamesEveryNode: who waits, refuses, is silent and has answered, before and
// after the end.
func TestProgressNamesEveryNode(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, append(alike(5), peertest.People(3, 0))...)
		var did []identity.DID
		for _, s := range w.sites {
			did = append(did, s.Key.DID())
		}
		approver := w.gate(t, 0)
		w.intercept(1, func(query.Task) bool { return false })
		w.intercept(2, func(task query.Task) bool { return task.Step == query.StepAsk })
		id := w.put(t, w.trial.CountBySex(), time.Hour)
		w.runPatiently(t)
		time.Sleep(time.Minute)
		p, nodes := w.states(t, id)
		require.Equal(t, query.Open, p.State)
		require.Equal(t, query.StepAsk, p.Step)
		require.Zero(t, p.MaxRounds)
		q, err := w.reader.Question(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, q.WaitsUntil(), *p.WaitsUntil)
		require.Equal(t, q.Deadline.Add(-5*time.Minute), *p.WaitsUntil)
		require.Equal(t, query.NodeWaiting, nodes[did[0]].State)
		require.Equal(t, query.NodeWorking, nodes[did[1]].State)
		for i := 2; i < 5; i++ {
			require.Equal(t, query.NodeProgress{Node: did[i], State: query.NodeAnswered, Step: query.StepAsk}, nodes[did[i]])
		}
		refused := query.NodeProgress{Node: did[5], State: query.NodeRefused, Step: query.StepAsk, Rule: "release.cell-threshold"}
		require.Equal(t, refused, nodes[did[5]], "it has three people")

		w.decide(t, 0, approver)
		time.Sleep(5 * time.Minute)
		for p.State == query.Open { // node 1 and then node 2 are waited for
			time.Sleep(10 * time.Second)
			if p, _ = w.states(t, id); p.Step != query.StepMask {
				continue
			}
			time.Sleep(3 * time.Second) // the first answers wait for the others for most of it
			if p, nodes = w.states(t, id); p.Step == query.StepMask {
				require.Equal(t, query.NodeProgress{Node: did[1], State: query.NodeMissing, Step: query.StepAsk}, nodes[did[1]])
				require.Equal(t, query.NodeWorking, nodes[did[2]].State)
				require.Equal(t, query.NodeAnswered, nodes[did[0]].State)
				require.Equal(t, refused, nodes[did[5]])
				require.Nil(t, p.WaitsUntil)
			}
		}
		result := w.result(t, id)
		require.Equal(t, query.Withheld, result.State, "three of six are too few")
		p, nodes = w.states(t, id)
		require.Empty(t, p.Step)
		require.Equal(t, query.Withheld, p.State)
		require.Equal(t, query.NodeAnswered, nodes[did[0]].State)
		require.Equal(t, query.NodeProgress{Node: did[1], State: query.NodeMissing, Step: query.StepAsk}, nodes[did[1]])
		require.Equal(t, query.NodeProgress{Node: did[2], State: query.NodeMissing, Step: query.StepMask}, nodes[did[2]])
		require.Equal(t, refused, nodes[did[5]])
	})
}

// watchingLog reads how far a question is before each proposal.
type watchingLog struct {
	*fakeLog
	look func()
}

func (l *watchingLog) Propose(ctx context.Context, body registry.Body) (registry.Outcome, error) {
	l.look()
	return l.fakeLog.Propose(ctx, body)
}

// TestProgressOfRounds never goes back, and ends with as many rounds as the result.
func TestProgressOfRounds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, relapses()...)
		id := w.put(t, w.trial.Model(), time.Minute)
		var seen []query.Progress
		looks := make(chan query.Progress, 1000)
		w.drive(t, w.dispatcher(t, &watchingLog{w.log, func() {
			p, err := w.reader.Progress(context.Background(), id)
			if err == nil {
				looks <- p
			}
		}}))
		r := w.result(t, id)
		requireFitted(t, r)
		close := len(looks)
		for range close {
			seen = append(seen, <-looks)
		}
		round := 0
		for _, p := range seen {
			require.GreaterOrEqual(t, p.Round, round)
			require.LessOrEqual(t, p.Round, r.Rounds)
			require.Equal(t, analysis.MaxRounds, p.MaxRounds)
			round = p.Round
			for _, n := range p.Nodes {
				require.Contains(t, []query.NodeState{query.NodeWorking, query.NodeAnswered}, n.State)
			}
		}
		require.Greater(t, len(seen), 3*r.Rounds)
		p, _ := w.states(t, id)
		require.Equal(t, r.Rounds, p.Round)
	})
}
