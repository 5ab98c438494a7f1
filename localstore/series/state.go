package series

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// ErrBusy says that another process compacts or retains at the same time. What
// was done so far stands; call again later, or leave it to the other one.
var ErrBusy = errors.New("another process works on the series")

// limits are what is done at once. Tests make them small, so that little data
// meets every boundary.
type limits struct {
	chunkPoints int // in a chunk, at most chunkPoints
	openPoints  int // in a chunk that any number of points is added to
	stepPoints  int // in a step of a merge
	stepSeries  int // in a step of a merge
	readRows    int // decoded together by a reader
	retainRows  int // in a step of Retain
}

// defaults hold the writer of SQLite for some 20 ms a step, and some 2 MB for a
// reader.
var defaults = limits{chunkPoints: chunkPoints, openPoints: 128, stepPoints: 16_384, stepSeries: 256, readRows: 64, retainRows: 256}

// biteLoads is how many loads one merge takes on, so that its state stays small.
const biteLoads = 4_096

// state is the row of series_state. Whoever changes chunks reads it, prepares the
// change without holding up writers, and then makes it in a transaction that
// begins with advance, which fails if anybody else was faster.
type state struct {
	generation int64
	closed     int64
	nextSeries int64
	merge      *merging // nil when none is in progress
}

// merging is a merge in progress.
type merging struct {
	Loads []LoadID
	Tally []tally // of each load so far
	Done  *position
}

// position is a point in the order of a merge: everything up to it is in chunks.
type position struct {
	Person   int64
	Variable VariableID
	Source   SourceID
	Time     int64
}

func (p *position) key() key { return key{p.Person, p.Variable, p.Source} }

// tally counts what became of the points of a load.
type tally struct{ Stored, Replaced, Duplicates, Expired int64 }

func readState(ctx context.Context, tx *sqldb.Tx) (*state, error) {
	st := &state{}
	var merge *string
	if err := tx.QueryRow(ctx, "SELECT generation, closed_ms, next_series, merge FROM series_state").
		Scan(&st.generation, &st.closed, &st.nextSeries, &merge); err != nil {
		return nil, err
	}
	if merge == nil {
		return st, nil
	}
	st.merge = &merging{}
	if err := json.Unmarshal([]byte(*merge), st.merge); err != nil || len(st.merge.Tally) != len(st.merge.Loads) {
		return nil, fmt.Errorf("series_state: %w", errDamaged)
	}
	return st, nil
}

// advance writes st as the successor of the state it was read as. On PostgreSQL
// it also makes others wait until tx ends.
func (st *state) advance(ctx context.Context, tx *sqldb.Tx) error {
	var merge *string
	if st.merge != nil {
		text, err := json.Marshal(st.merge)
		if err != nil {
			return err
		}
		s := string(text)
		merge = &s
	}
	n, err := tx.Exec(ctx, `UPDATE series_state SET generation = generation + 1, closed_ms = ?, next_series = ?, merge = ?
		WHERE generation = ?`, st.closed, st.nextSeries, merge, st.generation)
	if err != nil {
		return err
	}
	if n != 1 {
		return ErrBusy
	}
	return nil
}

// change runs fn in a write transaction that advances st.
func (s *Store) change(ctx context.Context, st *state, fn func(*sqldb.Tx) error) error {
	if err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
		if err := st.advance(ctx, tx); err != nil {
			return err
		}
		return fn(tx)
	}); err != nil {
		return err
	}
	st.generation++
	return nil
}

// fixPartition writes the partition of a new store and compares that of an old one.
func (s *Store) fixPartition(ctx context.Context, tx *sqldb.Tx) error {
	var have int64
	want := s.cfg.Partition.Milliseconds()
	if _, err := tx.Exec(ctx, "UPDATE series_state SET partition_ms = ? WHERE partition_ms = 0", want); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, "SELECT partition_ms FROM series_state").Scan(&have); err != nil {
		return err
	}
	if have != want {
		return fmt.Errorf("the store was made with a partition of %s; configure that", time.Duration(have)*time.Millisecond)
	}
	return nil
}

// partition returns the number of the partition that t is in.
func (s *Store) partition(t int64) int64 {
	span := s.cfg.Partition.Milliseconds()
	p := t / span
	if t%span < 0 {
		p--
	}
	return p
}
