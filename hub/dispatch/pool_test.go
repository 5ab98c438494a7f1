package dispatch_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/hub/dispatch"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// proofless lets a node take every request for a proof and never answer it.
// asked has the questions that were asked for.
type proofless struct {
	mu        sync.Mutex
	asked     map[query.ID]bool
	now, most int // requests that are open, and the most at once
}

func (p *proofless) at(w *world, i int) {
	take := w.sites[i].Peer.Take
	w.ends[i].HandleCall(query.TaskProtocol, func(ctx context.Context, from identity.DID, raw []byte) ([]byte, error) {
		var task query.Task
		if err := json.Unmarshal(raw, &task); err != nil || task.Step != query.StepProve {
			return take(ctx, from, raw)
		}
		p.mu.Lock()
		p.asked[task.Query] = true
		p.now++
		p.most = max(p.most, p.now)
		p.mu.Unlock()
		<-ctx.Done()
		p.mu.Lock()
		p.now--
		p.mu.Unlock()
		return nil, transport.ErrUnreachable
	})
}

// answered puts an answered question on record for which one node owes a proof.
func (w *world) answered(t *testing.T, i int) {
	t.Helper()
	r := w.trial.MeanBySex()
	r.Analysis.Variable.High += float64(i + 1) // another question each
	id := w.put(t, r, time.Minute)
	w.propose(t, registry.FinishQuestion{Result: query.Result{
		Query: id, Trial: r.Trial, State: query.Complete, Answered: []query.Answered{{Node: w.sites[0].Key.DID()}},
	}})
}

// TestMissingProofsKeepNoQuestionWaiting: as many proofs as there are places for
// questions do not come, and a question is answered as if there were none.
func TestMissingProofsKeepNoQuestionWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(3)...)
		const owed = 70
		for i := range owed {
			w.answered(t, i)
		}
		p := &proofless{asked: make(map[query.ID]bool)}
		p.at(w, 0)
		d, err := dispatch.New(dispatch.Config{Registry: w.reader, Log: w.log, Network: w.end, Policy: w.policy})
		require.NoError(t, err)
		w.drive(t, d)
		time.Sleep(time.Second) // of the bubble: all that has a place is under way
		id := w.put(t, w.trial.CountBySex(), 10*time.Second)
		d.Wake()
		begun := time.Now()
		require.Equal(t, query.Complete, w.result(t, id).State)
		require.Less(t, time.Since(begun), time.Second, "it waited for a proof")

		require.Eventually(t, func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.asked) == owed+1
		}, 6*time.Minute, time.Second, "some are never asked for their proof")
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Equal(t, 16, p.most)
	})
}
