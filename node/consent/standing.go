package consent

import (
	"context"

	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Published returns the number of a trial's newest epoch on the ledger, 0 for
// none, and whether it holds every consent that is on record now.
func (b *Book) Published(ctx context.Context, id trial.ID) (number uint64, current bool, err error) {
	last, err := b.lastEpoch(ctx, id)
	if err != nil {
		return 0, false, err
	}
	open, err := b.shards(ctx, id)
	switch {
	case err != nil:
		return 0, false, err
	case last == nil:
		return 0, len(open.Shards) == 0, nil
	case !last.recorded: // on its way
		return last.epoch.Number - 1, false, nil
	case len(open.Shards) != len(last.opening.Shards):
		return last.epoch.Number, false, nil
	}
	for i := range open.Shards {
		if !equal(open.Shards[i].Slots, last.opening.Shards[i].Slots) {
			return last.epoch.Number, false, nil
		}
	}
	return last.epoch.Number, true, nil
}
