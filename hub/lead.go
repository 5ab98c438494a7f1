package hub

import (
	"context"
	"time"
)

// takeOver makes this replica the hub: it leads, its tables hold all that was acknowledged
// and, from then on, nodes find it.
func (h *Hub) takeOver(ctx context.Context) error {
	if err := h.replica.Barrier(ctx); err != nil {
		return err
	}
	if _, err := h.admitted.refresh(ctx); err != nil {
		return err
	}
	if err := h.host.Offer(); err != nil {
		return err
	}
	h.log.leads.Store(true)
	h.cfg.Logger.InfoContext(ctx, "this replica leads")
	h.notify()
	return nil
}

// stepDown sends nodes and clients to whoever leads now.
func (h *Hub) stepDown(ctx context.Context) error {
	h.log.leads.Store(false)
	h.cfg.Logger.InfoContext(ctx, "this replica leads no more")
	h.dispatch.Wake()
	h.entrance.clear()
	return h.host.Withdraw()
}

// followLeader takes over when this replica is elected, and steps down when another is: then
// clients that were served here while nobody led come again too.
func (h *Hub) followLeader(ctx context.Context) error {
	if h.between == nil {
		return nil // nobody else can be
	}
	for {
		changed := h.replica.Changed()
		var err error
		switch leads := h.replica.IsLeader(); {
		case leads && !h.log.leads.Load():
			err = h.takeOver(ctx)
		case !leads && h.log.leads.Load():
			err = h.stepDown(ctx)
		case !leads && h.replica.Leader() != "":
			h.entrance.clear()
		}
		if ctx.Err() != nil {
			return nil
		}
		var again <-chan time.Time
		if err != nil {
			h.cfg.Logger.WarnContext(ctx, "change of leader not completed; it is tried again", "err", err)
			again = time.After(leaderPause)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-again:
		}
	}
}
