package consensus

import (
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// FSM is the state that every replica keeps. Apply, Snapshot and Restore are
// never called at the same time.
type FSM interface {
	// Apply carries out the command at index and returns what Propose returns.
	// Indexes grow but skip numbers. The outcome, errors included, must depend
	// on the state and the command alone, and an error leaves the state as it
	// was. After a restart the commands since the last snapshot are applied
	// again to the state that Restore gave (or to the empty state), so a state
	// that is itself on disk has to be emptied or to skip what it has seen.
	// A command it cannot decode (from a newer version) or cannot store (disk
	// full) must panic: going on would fork the state.
	Apply(index uint64, command []byte) (any, error)

	// Snapshot captures the state as it is. It should be quick, because no
	// command is applied meanwhile; the result is read afterwards, while
	// commands are applied, and closed.
	Snapshot() (io.ReadCloser, error)

	// Restore replaces the whole state by one that Snapshot gave.
	Restore(snapshot io.Reader) error
}

// machine is an FSM in raft's terms.
type machine struct{ fsm FSM }

// outcome is what a command's Apply returned.
type outcome struct {
	value any
	err   error
}

func (m machine) Apply(l *raft.Log) any {
	value, err := m.fsm.Apply(l.Index, l.Data)
	return outcome{value, err}
}

func (m machine) Snapshot() (raft.FSMSnapshot, error) {
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
