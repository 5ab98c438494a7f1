package dispatch_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// ledLog is the log of a replica that leads or does not.
type ledLog struct {
	*fakeLog
	leads atomic.Bool
}

func (l *ledLog) Leading() bool { return l.leads.Load() }

// TestWhoLeadsNoMoreLetsGo: a dispatcher that lost the lead ends what it does for a question,
// which another replica drives from then on, and goes on with it once it leads again.
func TestWhoLeadsNoMoreLetsGo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, alike(3)...)
		begun, ended := make(chan struct{}), make(chan struct{})
		var first sync.Once
		take := w.sites[0].Peer.Take
		w.ends[0].HandleCall(query.TaskProtocol, func(ctx context.Context, from identity.DID, raw []byte) ([]byte, error) {
			held := false
			first.Do(func() {
				held = true
				close(begun)
				<-ctx.Done()
				close(ended)
			})
			if held {
				return nil, transport.ErrUnreachable
			}
			return take(ctx, from, raw)
		})
		log := &ledLog{fakeLog: w.log}
		log.leads.Store(true)
		w.drive(t, w.dispatcher(t, log))
		id := w.put(t, w.trial.CountBySex(), time.Hour)
		<-begun
		lost := time.Now()
		log.leads.Store(false)
		<-ended
		require.LessOrEqual(t, time.Since(lost), time.Second, "at the next look, not when the node's time is over")
		q, err := w.reader.Question(t.Context(), id)
		require.NoError(t, err)
		require.Nil(t, q.Result)
		log.leads.Store(true)
		require.Equal(t, query.Complete, w.result(t, id).State)
	})
}
