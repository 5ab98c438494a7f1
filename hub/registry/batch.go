package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/federation/consensus"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Apply runs the command at a log index, or none if the database holds that index
// already. A refused command changes nothing but the applied index, and its error says
// why, the same on every replica. An error that is not a [problem.Error] means that the
// replica is broken and must stop.
func (m *Machine) Apply(ctx context.Context, index uint64, data []byte) (Outcome, error) {
	applied, err := m.applyAll(ctx, []consensus.Committed{{Index: index, Command: data}})
	if err != nil {
		return Outcome{}, err
	}
	return applied[0].Value.(Outcome), applied[0].Err
}

// applyAll runs commands in one transaction, which holds all of them or, with an error, none.
func (m *Machine) applyAll(ctx context.Context, commands []consensus.Committed) ([]consensus.Applied, error) {
	b := batch{Machine: m, commands: commands, applied: make([]consensus.Applied, len(commands)), refused: len(commands)}
	err := m.db.Write(ctx, func(tx *sqldb.Tx) error { return b.apply(ctx, tx) })
	if errors.Is(err, errAnew) {
		err = m.db.Write(ctx, func(tx *sqldb.Tx) error { return b.apply(ctx, tx) })
	}
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return b.applied, nil
}

// batch is the commands of one transaction. They are mostly not refused, and a way back for
// each costs as much as a small one. So they are applied without, and at the first refusal
// the transaction is begun anew: with that command left out and a way back for those after it.
type batch struct {
	*Machine
	commands []consensus.Committed
	applied  []consensus.Applied
	refused  int // place of the first refused one, as far as it is known
}

// errAnew ends a transaction in which a command was refused and may have left something.
var errAnew = errors.New("a command is refused: the transaction is begun anew")

func (b *batch) apply(ctx context.Context, tx *sqldb.Tx) error {
	last, err := appliedIndex(ctx, tx)
	if err != nil {
		return err
	}
	s := step{Machine: b.Machine, ctx: ctx, tx: tx, leaves: new(leaves)}
	for i, c := range b.commands {
		if c.Index <= last {
			b.applied[i].Value = silent(true)
			continue
		}
		last = c.Index
		if i == b.refused {
			continue
		}
		apply := s.apply
		if i > b.refused {
			apply = s.applyOrNothing
		}
		out, err := apply(c.Command)
		var refused *problem.Error
		if err != nil && !errors.As(err, &refused) {
			return fmt.Errorf("command %d: %w", c.Index, err)
		}
		if err != nil {
			out = Outcome{}
		}
		b.applied[i] = consensus.Applied{Value: out, Err: err}
		if err != nil && i < b.refused {
			b.refused = i
			return errAnew
		}
	}
	if err := s.leaves.write(ctx, tx); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE registry_applied SET log_index = ?, entry_at = max(entry_at, ?)`, int64(last), s.leaves.last)
	return err
}

// applyOrNothing runs a command of which nothing is left if it is refused.
func (s step) applyOrNothing(data []byte) (Outcome, error) {
	if _, err := s.tx.Exec(s.ctx, `SAVEPOINT command`); err != nil {
		return Outcome{}, err
	}
	before := *s.leaves
	out, err := s.apply(data)
	if err != nil {
		*s.leaves = before
		if _, failed := s.tx.Exec(s.ctx, `ROLLBACK TO command`); failed != nil {
			return Outcome{}, fmt.Errorf("take back a refused command: %w", failed)
		}
	}
	if _, failed := s.tx.Exec(s.ctx, `RELEASE command`); failed != nil {
		return Outcome{}, failed
	}
	return out, err
}

// appliedIndex returns how far the replicated log has been applied.
func appliedIndex(ctx context.Context, tx *sqldb.Tx) (uint64, error) {
	var index int64
	err := tx.QueryRow(ctx, `SELECT log_index FROM registry_applied`).Scan(&index)
	return uint64(index), err
}

// leaves are what the commands of a transaction append to the ledger. They are written at
// its end: the last tiles of the tree change once for all of them.
type leaves struct {
	first int64 // index of the first, once there is one
	last  int64 // time of the last entry, in seconds since 1970
	added [][]byte
}

// add appends an entry and returns its index. An entry is of no earlier time than the one before
// it: replicas that lead one after the other may have clocks that differ.
func (l *leaves) add(ctx context.Context, tx *sqldb.Tx, e entry.Entry) (index int64, err error) {
	if len(l.added) == 0 {
		if l.first, err = ledger.Size(ctx, tx); err != nil {
			return 0, err
		}
		if err := tx.QueryRow(ctx, `SELECT entry_at FROM registry_applied`).Scan(&l.last); err != nil {
			return 0, err
		}
	}
	if e.At.Unix() < l.last {
		e.At = time.Unix(l.last, 0).UTC()
	}
	leaf, err := e.Marshal()
	if err != nil {
		return 0, err
	}
	l.last = e.At.Unix()
	l.added = append(l.added, leaf)
	return l.first + int64(len(l.added)) - 1, nil
}

func (l *leaves) write(ctx context.Context, tx *sqldb.Tx) error {
	if len(l.added) == 0 {
		return nil
	}
	_, err := ledger.Append(ctx, tx, l.added)
	return err
}
