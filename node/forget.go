package node

import (
	"context"
	"time"
)

// keepValues is how long the values behind a question's sums are kept: longer than any
// question may take.
const keepValues = 30 * 24 * time.Hour

// forgetEvery is how often those that are older are deleted.
const forgetEvery = 24 * time.Hour

// forgetValues deletes the values behind old answers when the node starts and once a day,
// until ctx ends. What fails is tried again the next day.
func (n *Node) forgetValues(ctx context.Context) error {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		questions, err := n.gate.Forget(ctx, n.cfg.Now().Add(-keepValues))
		if err != nil && ctx.Err() == nil {
			n.cfg.Logger.WarnContext(ctx, "values behind old answers were not deleted", "err", err)
		}
		if questions > 0 {
			n.cfg.Logger.InfoContext(ctx, "values behind old answers were deleted", "questions", questions)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
