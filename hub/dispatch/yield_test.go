package dispatch_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/dispatch"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestProofsWaitForOpenQuestions: while a node is at work on a question, nobody is asked for
// the proof of another that is answered, up to a minute.
func TestProofsWaitForOpenQuestions(t *testing.T) {
	for name, c := range map[string]struct {
		work  time.Duration
		asked bool // before the work is done
	}{
		"a short one": {30 * time.Second, false},
		"a long one":  {90 * time.Second, true},
	} {
		inBubbleNamed(t, name, func(t *testing.T) {
			w := newWorld(t, alike(3)...)
			p := &proofless{asked: make(map[query.ID]bool)}
			p.at(w, 0)
			asked := func() int {
				p.mu.Lock()
				defer p.mu.Unlock()
				return len(p.asked)
			}
			at, done := make(chan struct{}, 1), make(chan struct{})
			take := w.sites[1].Peer.Take
			w.ends[1].HandleCall(query.TaskProtocol, func(ctx context.Context, from identity.DID, raw []byte) ([]byte, error) {
				var task query.Task
				if json.Unmarshal(raw, &task) == nil && task.Step == query.StepAsk {
					at <- struct{}{}
					<-done
				}
				return take(ctx, from, raw)
			})
			id := w.put(t, w.trial.CountBySex(), 10*time.Minute)
			d, err := dispatch.New(dispatch.Config{Registry: w.reader, Log: w.log, Network: w.end, Policy: w.policy})
			require.NoError(t, err)
			w.drive(t, d)
			<-at
			w.answered(t, 0)
			d.Wake()
			time.Sleep(c.work)
			synctest.Wait()
			require.Equal(t, c.asked, asked() > 0)
			close(done)
			require.Equal(t, query.Complete, w.result(t, id).State)
			require.Eventually(t, func() bool { return asked() == 2 }, time.Minute, 10*time.Millisecond, "proofs are not asked for when there is time")
		})
	}
}
