package consensus

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// FSM is the state that every replica keeps. Apply, Snapshot and Restore are
// never called at the same time.
type FSM interface {
	// Apply carries out the command at index and returns what Propose returns.
	// Indexes grow but skip numbers. The outcome must depend on the state and the
	// command alone. An error of package problem refuses the command and is part
	// of the outcome; an error leaves the state as it was. After a restart the commands since the last snapshot are applied
	// again to the state that Restore gave (or to the empty state), so a state
	// that is itself on disk has to be emptied or to skip what it has seen.
	// Any other error, for a command that it cannot decode (from a newer version)
	// or cannot store (disk full), ends the replica, see [Replica.Failed]: going on
	// would fork the state. The command comes again after a restart.
	Apply(index uint64, command []byte) (any, error)

	// Snapshot captures the state as it is. It should be quick, because no
	// command is applied meanwhile; the result is read afterwards, while
	// commands are applied, and closed.
	Snapshot() (io.ReadCloser, error)

	// Restore replaces the whole state by one that Snapshot gave.
	Restore(snapshot io.Reader) error
}

// machine is an FSM in raft's terms. After a failure it applies and captures
// nothing: raft would take the state for one with the command in it.
type machine struct {
	fsm     FSM
	failure *failure
}

// outcome is what a command's Apply returned.
type outcome struct {
	value any
	err   error
}

func (m machine) Apply(l *raft.Log) any {
	if m.failure.cause() != nil {
		return nil
	}
	value, err := m.fsm.Apply(l.Index, l.Data)
	var refused *problem.Error
	if err != nil && !errors.As(err, &refused) {
		_ = m.failure.set(fmt.Errorf("command %d cannot be applied: %w", l.Index, err))
		return nil
	}
	return outcome{value, err}
}

func (m machine) Snapshot() (raft.FSMSnapshot, error) {
	if err := m.failure.cause(); err != nil {
		return nil, err
	}
	state, err := m.fsm.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("capture state: %w", err)
	}
	return snapshot{state}, nil
}

func (m machine) Restore(state io.ReadCloser) error {
	err := m.fsm.Restore(state)
	if closeErr := state.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("restore state: %w", err)
	}
	return nil
}

type snapshot struct{ state io.ReadCloser }

// Persist writes the state to disk; closing the sink syncs it.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := io.Copy(sink, s.state); err != nil {
		_ = sink.Cancel()
		return fmt.Errorf("write snapshot: %w", err)
	}
	return sink.Close()
}

func (s snapshot) Release() { _ = s.state.Close() }
