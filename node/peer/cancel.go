package peer

import (
	"context"
	"encoding/json"

	"github.com/trialmesh/trialmesh/node/approval"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// cancel takes the word of who may cancel a question, and ends what is being done for it
// here. It does not wait for its turn: that is what it ends. A question that never came is
// none of this node's business.
func (p *Peer) cancel(ctx context.Context, task protocol.Task) error {
	var body protocol.Cancel
	if err := json.Unmarshal(task.Body, &body); err != nil || body.Request.Digest() != task.Query {
		return ErrTask
	}
	by, err := body.Open()
	if err != nil {
		return refused("query.cancel", err)
	}
	known, err := p.cfg.Approvals.Cancel(ctx, task.Query, by, p.underWay(task.Query))
	if err != nil {
		return err
	}
	p.stop(task.Query, approval.ErrCancelled)
	if !known {
		return ErrUnasked
	}
	return nil
}
