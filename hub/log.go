package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/trialmesh/trialmesh/federation/consensus"
	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// log proposes commands and tells whoever waits that something changed.
type log struct {
	replica *consensus.Replica
	now     func() time.Time
	changed func(registry.Body) // told what was committed
	leads   atomic.Bool         // and its tables hold all that was acknowledged before
}

// Propose commits a command and returns what it did.
func (l *log) Propose(ctx context.Context, body registry.Body) (registry.Outcome, error) {
	data, err := registry.Encode(body, l.now())
	if err != nil {
		return registry.Outcome{}, err
	}
	outcome, err := l.propose(ctx, data)
	if err == nil {
		l.changed(body)
	}
	return outcome, err
}

func (l *log) propose(ctx context.Context, data []byte) (registry.Outcome, error) {
	value, err := l.replica.Propose(ctx, data)
	if err != nil {
		return registry.Outcome{}, err
	}
	outcome, ok := value.(registry.Outcome)
	if !ok {
		return registry.Outcome{}, errors.New("hub: the state machine returned something else than an outcome")
	}
	return outcome, nil
}

// Leading reports whether this replica may propose.
func (l *log) Leading() bool { return l.leads.Load() && l.replica.IsLeader() }

// What replicas ask the leader.
const (
	proposeProtocol = "/trialmesh/replica/propose/1" // to commit a command
	caughtProtocol  = "/trialmesh/replica/caught/1"  // how far it has come
)

// errNotLeading is what a replica says that was taken for the leader. It did nothing.
var errNotLeading = problem.New(problem.Unavailable, "the hub elects a leader: try again")

// anyLog proposes from every replica: what another leads goes there. Parts that act for the
// leader use log, so that they stop with it.
type anyLog struct {
	*log
	between *transport.Host // nil of a hub alone
}

const (
	leaderPause  = 100 * time.Millisecond // before a replica looks again for word of a leader
	electionTime = 20 * time.Second       // that a proposal waits for a leader
)

// Propose commits a command, here or at the leader, and returns what it did. It waits a while
// for a leader; what may have been committed is not proposed again.
func (l anyLog) Propose(ctx context.Context, body registry.Body) (registry.Outcome, error) {
	data, err := registry.Encode(body, l.now())
	if err != nil {
		return registry.Outcome{}, err
	}
	end := time.Now().Add(electionTime)
	for {
		changed := l.replica.Changed()
		outcome, err := l.propose(ctx, data)
		if err == nil {
			l.changed(body)
		}
		var not consensus.ErrNotLeader
		if !errors.As(err, &not) {
			return outcome, err
		}
		if l.between != nil && not.Leader != "" && not.Leader != l.between.DID() {
			if outcome, err = l.ask(ctx, not.Leader, data); !errors.Is(err, errNotLeading) {
				return outcome, err
			}
		}
		if time.Now().After(end) {
			return registry.Outcome{}, errNotLeading
		}
		select {
		case <-changed:
		case <-time.After(leaderPause):
		case <-ctx.Done():
			return registry.Outcome{}, errNotLeading
		}
	}
}

// ask has the leader commit a command.
func (l anyLog) ask(ctx context.Context, leader identity.DID, data []byte) (outcome registry.Outcome, err error) {
	raw, err := l.between.Call(ctx, leader, proposeProtocol, data)
	if errors.Is(err, transport.ErrUnreachable) {
		return outcome, fmt.Errorf("%w: %w", consensus.ErrUncertain, err)
	}
	if err != nil {
		return outcome, err
	}
	if err := json.Unmarshal(raw, &outcome); err != nil {
		return outcome, fmt.Errorf("the leader's outcome: %w", err)
	}
	return outcome, nil
}

// serveReplicas answers what the other replicas ask this one if it leads.
func (h *Hub) serveReplicas() {
	h.between.HandleCall(proposeProtocol, func(ctx context.Context, _ identity.DID, data []byte) ([]byte, error) {
		if err := registry.CheckForwarded(data, h.cfg.Now()); err != nil {
			return nil, err
		}
		outcome, err := h.log.propose(ctx, data)
		if errors.As(err, new(consensus.ErrNotLeader)) {
			return nil, errNotLeading
		}
		if err != nil {
			return nil, err
		}
		h.notify()
		return json.Marshal(outcome)
	})
	h.between.HandleCall(caughtProtocol, func(ctx context.Context, _ identity.DID, _ []byte) ([]byte, error) {
		if h.replica.Barrier(ctx) != nil {
			return nil, errNotLeading
		}
		return json.Marshal(h.replica.Status().Applied)
	})
}

// catchUp returns once the tables hold what was acknowledged before: a replica that was away,
// or whose disk is from an earlier day, gets the rest from the others.
func (h *Hub) catchUp(ctx context.Context) error {
	var least uint64 // what the leader had when it was asked; it grows with every question
	for {
		leader, err := h.replica.WaitLeader(ctx)
		if err != nil {
			return err
		}
		if leader == h.self.DID() {
			return nil // WaitLeader waited for it
		}
		if least == 0 {
			if raw, err := h.between.Call(ctx, leader, caughtProtocol, nil); err != nil {
				h.cfg.Logger.DebugContext(ctx, "the leader does not answer; it is asked again", "leader", leader, "err", err)
			} else if err := json.Unmarshal(raw, &least); err != nil {
				return fmt.Errorf("how far the leader is: %w", err)
			}
		}
		if least > 0 && h.replica.Status().Applied >= least {
			return nil
		}
		select {
		case <-time.After(leaderPause):
		case <-ctx.Done():
			return ctx.Err()
		case <-h.replica.Failed():
			return h.replica.Err()
		}
	}
}

// errLogLost reports a state without its log.
var errLogLost = errors.New("the state holds commands that the replicated log does not: restore both from one backup")

// sameLog fails if the state is ahead of the replicated log, as when only one
// of the two was lost or restored. Commands under the numbers that the state
// has already would be taken for repetitions: acknowledged, and never applied.
func sameLog(ctx context.Context, state *registry.Reader, replica *consensus.Replica) error {
	applied, err := state.AppliedIndex(ctx)
	if err != nil {
		return err
	}
	if last := replica.Status().Last; applied > last {
		return fmt.Errorf("%w (%d and %d)", errLogLost, applied, last)
	}
	return nil
}
