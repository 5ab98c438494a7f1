package peer

import (
	"context"
	"math"

	protocol "github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Size counts how many persons a question would use at this node under the consents of now,
// for the site's own people: nothing of it is released. The question was judged sound before.
// It fails with members.ErrWork after a minute.
func (p *Peer) Size(ctx context.Context, r protocol.Request) (int, error) {
	return p.size(ctx, question{
		request: r, design: trial.Design{ID: r.Trial},
		ask: protocol.Ask{LedgerIndex: math.MaxInt64}, // under the newest consents there are
	})
}
