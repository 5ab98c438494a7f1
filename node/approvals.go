package node

import (
	"context"

	"github.com/trialmesh/trialmesh/node/approval"
	"github.com/trialmesh/trialmesh/node/query"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// approvals is the desk with what its people see of a question: by the site's vocabulary,
// with its size, and with what would leave at the gate before the release.
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

// Size returns the band of how many persons a question would use, now. Nothing of it is
// released or kept but that it was asked for.
func (a approvals) Size(ctx context.Context, item approval.Item) (approval.Band, error) {
	if a.peer == nil {
		return "", errNotHere
	}
	return a.approvals.Size(ctx, item, a.peer.Size)
}

// Shown returns what a person who decides sees of a question.
func (a approvals) Shown(ctx context.Context, item approval.Item) (shown approval.Shown, err error) {
	if shown.Reading, err = approval.Read(ctx, query.Concepts{Store: a.vocab}, item.Request); err != nil {
		return shown, err
	}
	if shown.History, err = a.approvals.History(ctx, item); err != nil {
		return shown, err
	}
	shown.Cells, err = a.cells(ctx, item)
	return shown, err
}

// cells returns what would leave the site by itself, before it is masked, for the site's
// own people. There are none at the gate before the run.
func (a approvals) cells(ctx context.Context, item approval.Item) ([]approval.Cell, error) {
	if item.Gate != approval.Release {
		return nil, nil
	}
	released, found, err := a.gate.Recall(ctx, item.Input.Query)
	if err != nil || !found || released.Digest() != item.Numbers {
		return nil, err
	}
	return approval.Cells(item.Request, released.Words(), item.Decision.Bands, item.Input.Limits.Noise != "")
}
