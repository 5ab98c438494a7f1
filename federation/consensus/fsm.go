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

// Batcher is an FSM that carries out commands that were committed together at less cost
// than one by one.
type Batcher interface {
	// ApplyBatch does what [FSM.Apply] does for each command in turn. An error is that of
	// the batch, of which nothing may be in the state then, and ends the replica.
	ApplyBatch(commands []Committed) ([]Applied, error)
}

// Committed is a command with its index.
type Committed struct {
	Index   uint64
	Command []byte
}

// Applied is what Apply returns for a command that does not end the replica.
type Applied struct {
	Value any
	Err   error // of package problem, or nil
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

// ApplyBatch applies what was committed together.
func (m machine) ApplyBatch(logs []*raft.Log) []any {
	out := make([]any, len(logs))
	batcher, is := m.fsm.(Batcher)
	if !is || len(logs) == 1 {
		for i, l := range logs {
			if l.Type == raft.LogCommand {
				out[i] = m.Apply(l)
			}
		}
		return out
	}
	if m.failure.cause() != nil {
		return out
	}
	var commands []Committed
	var places []int
	for i, l := range logs {
		if l.Type == raft.LogCommand {
			commands, places = append(commands, Committed{l.Index, l.Data}), append(places, i)
		}
	}
	applied, err := batcher.ApplyBatch(commands)
	if err != nil {
		_ = m.failure.set(fmt.Errorf("commands from %d on cannot be applied: %w", logs[0].Index, err))
		return out
	}
	for i, a := range applied {
		out[places[i]] = outcome{a.Value, a.Err}
	}
	return out
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
