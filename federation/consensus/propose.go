package consensus

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// MaxCommandBytes is the largest command, 8 MiB.
const MaxCommandBytes = 8 << 20

// ErrNotLeader reports that this replica did not take the command because it
// does not lead. Send it to Leader, or wait if that is empty.
type ErrNotLeader struct {
	Leader identity.DID // empty during an election
}

func (e ErrNotLeader) Error() string {
	if e.Leader == "" {
		return "no leader is elected"
	}
	return "the leader is " + string(e.Leader)
}

// ErrUncertain reports that a command may or may not have been applied, or may
// yet be: the leadership was lost, the replica failed or closed, or ctx ended
// while it was under way. Propose it again only if applying it twice does no harm.
var ErrUncertain = problem.New(problem.Unavailable, "the outcome of the command is not known")

// Propose appends a command to the log and returns what the FSM's Apply
// returned for it, after it is on the disks of a majority. An error of the FSM
// is returned as it is; otherwise the error matches [ErrNotLeader] if the
// command is certain never to be applied, or [ErrUncertain].
func (r *Replica) Propose(ctx context.Context, command []byte) (any, error) {
	if len(command) > MaxCommandBytes {
		return nil, problem.New(problem.TooLarge, "the command is larger than 8 MiB")
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("consensus: propose: %w", err)
	}
	var result outcome
	err := r.await(ctx, func() error {
		future := r.raft.Apply(command, 0)
		if err := future.Error(); err != nil {
			return err
		}
		result, _ = future.Response().(outcome) // none if the replica failed
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("consensus: propose: %w", r.translate(err))
	}
	return result.value, result.err
}

// Barrier returns once the FSM here has applied every command acknowledged
// before the call. Only the leader can tell; others get [ErrNotLeader].
func (r *Replica) Barrier(ctx context.Context) error {
	if err := r.await(ctx, func() error { return r.raft.Barrier(0).Error() }); err != nil {
		return fmt.Errorf("consensus: barrier: %w", r.translate(err))
	}
	return nil
}

// Snapshot writes a snapshot now, for a backup or before an upgrade. With
// nothing new since the last one it does nothing.
func (r *Replica) Snapshot(ctx context.Context) error {
	err := r.await(ctx, func() error { return r.raft.Snapshot().Error() })
	if err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return fmt.Errorf("consensus: snapshot: %w", err)
	}
	return nil
}

// await runs ask, which waits for raft's answer. That comes at the latest when
// the leadership is lost, so nothing waits for ever even if ctx ends first and
// nobody listens any more; Close shuts raft down only after it.
func (r *Replica) await(ctx context.Context, ask func() error) error {
	done := make(chan error, 1)
	r.mu.Lock()
	select {
	case <-r.closing:
		r.mu.Unlock()
		return raft.ErrRaftShutdown
	default:
	}
	r.asks.Go(func() { done <- ask() })
	r.mu.Unlock()
	select {
	case err := <-done:
		return cmp.Or(r.failure.cause(), err)
	case <-r.failure.done:
		return r.failure.cause()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// translate turns raft's errors into this package's. Whatever is not a plain
// refusal, a full disk for example, may have happened after the command was
// written somewhere.
func (r *Replica) translate(err error) error {
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		return ErrNotLeader{Leader: r.Leader()}
	}
	return fmt.Errorf("%w: %w", ErrUncertain, err)
}
