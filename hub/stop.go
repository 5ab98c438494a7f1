package hub

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// watch ends the hub when its replicated state cannot go on.
func (h *Hub) watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-h.replica.Failed():
		h.cfg.Logger.ErrorContext(ctx, "the replicated state cannot go on", "err", h.replica.Err())
		return h.stopped()
	}
}

// stopped says in one sentence why the replicated state cannot go on and what
// to do about it, nil if it can.
func (h *Hub) stopped() error {
	if h.replica == nil || h.replica.Err() == nil {
		return nil
	}
	err := h.replica.Err()
	switch {
	case errors.Is(err, sqldb.ErrFull), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("hub: the disk under %s is full, so the hub stops rather than fork: free space and start it again; nothing acknowledged is lost", h.cfg.Dir)
	case errors.Is(err, sqldb.ErrLocked):
		return fmt.Errorf("hub: another program holds the database in %s, so the hub stops rather than fork: end that and start the hub again; nothing acknowledged is lost", h.cfg.Dir)
	}
	return fmt.Errorf("hub: the state in %s cannot be written, so the hub stops rather than fork; nothing acknowledged is lost: %w", h.cfg.Dir, err)
}

// end closes the hub and returns why it ends: with a state that cannot go on
// that alone, as everything else follows from it.
func (h *Hub) end(ctx context.Context, err error) error {
	stopped := h.stopped()
	if err = errors.Join(err, h.Close()); stopped == nil {
		return err
	}
	h.cfg.Logger.DebugContext(ctx, "the hub stopped", "err", err)
	return stopped
}
