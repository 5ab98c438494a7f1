package consensus

import (
	"context"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Status is what a replica knows of the group, for a status page.
type Status struct {
	Leader  identity.DID // empty during an election
	Leads   bool         // whether this replica does
	Term    uint64       // elections so far, about
	Last    uint64       // index of the newest entry on this disk
	Applied uint64       // index of the newest entry the FSM here has applied
}

// Status returns the present state of the replica.
func (r *Replica) Status() Status {
	return Status{
		Leader:  r.Leader(),
		Leads:   r.IsLeader(),
		Term:    r.raft.CurrentTerm(),
		Last:    r.raft.LastIndex(),
		Applied: r.raft.AppliedIndex(),
	}
}

// IsLeader reports whether this replica leads as far as it knows; another may
// have been elected a moment ago. [Replica.Barrier] makes certain.
func (r *Replica) IsLeader() bool { return r.raft.State() == raft.Leader }

// Leader returns the replica that leads, empty if none is known.
func (r *Replica) Leader() identity.DID {
	_, id := r.raft.LeaderWithID()
	return identity.DID(id)
}

// Changed returns a channel that is closed when the leader changes.
func (r *Replica) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// WaitLeader waits until a leader is known. If it is this replica, every
// command acknowledged in an earlier life has then been applied.
func (r *Replica) WaitLeader(ctx context.Context) (identity.DID, error) {
	for {
		changed := r.Changed()
		leader := r.Leader()
		if leader != "" && leader != r.cfg.ID {
			return leader, nil
		}
		if leader == r.cfg.ID && r.Barrier(ctx) == nil {
			return leader, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("consensus: wait for a leader: %w", ctx.Err())
		case <-r.failure.done:
			return "", r.Err()
		case <-r.closing:
			return "", fmt.Errorf("consensus: wait for a leader: %w", raft.ErrRaftShutdown)
		}
	}
}

// followLeader wakes those in WaitLeader.
func (r *Replica) followLeader() {
	for {
		select {
		case <-r.closing:
			return
		case <-r.leaders:
			r.mu.Lock()
			close(r.changed)
			r.changed = make(chan struct{})
			r.mu.Unlock()
		}
	}
}
