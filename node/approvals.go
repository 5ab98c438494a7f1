package node

import (
	"context"

	"github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// approvals is the desk with what would leave at the gate before the release.
type approvals struct{ *Node }

// Items returns the newest requests for approval: those that wait, or all.
func (a approvals) Items(ctx context.Context, all bool) ([]approval.Item, error) {
	return a.approvals.Items(ctx, all)
}

// Item returns the request for approval whose id begins with a prefix.
func (a approvals) Item(ctx context.Context, prefix string) (approval.Item, error) {
	return a.approvals.Item(ctx, prefix)
}

// Record takes a signed verdict.
func (a approvals) Record(ctx context.Context, id message.Digest, e message.Envelope) (approval.Item, error) {
	return a.approvals.Record(ctx, id, e)
}

// Shown returns the cells that would leave the site by themselves, before they are
// masked, for the site's own people. There are none at the gate before the run.
func (a approvals) Shown(ctx context.Context, item approval.Item) ([]approval.Cell, error) {
	if item.Gate != approval.Release {
		return nil, nil
	}
	released, found, err := a.gate.Recall(ctx, item.Input.Query)
	if err != nil || !found || released.Digest() != item.Numbers {
		return nil, err
	}
	return approval.Cells(item.Request, released.Words())
}
