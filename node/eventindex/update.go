package eventindex

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

const (
	// rebuildShare is the part of all persons, one in so many, from which on making the
	// index anew is quicker than reading those who changed one by one.
	rebuildShare = 4

	// rebuildLeast is how many persons an update always reads.
	rebuildLeast = 20_000

	// askPersons is how many persons one statement reads.
	askPersons = 1000
)

// Snapshot brings the index up to date with all that was committed before the call, and
// returns that state. If nothing changed it costs two look-ups. The caller closes the
// snapshot. [ErrUnavailable] wraps why there is none, such as [sqldb.ErrFull]: an index
// that is older than the store answers no question.
func (x *Index) Snapshot(ctx context.Context) (*Snapshot, error) {
	if err := x.take(ctx); err != nil {
		return nil, err
	}
	defer x.give()
	if x.harmed.Swap(false) {
		x.reset()
	}
	s, err := x.snapshot(ctx)
	if errors.Is(err, ErrDamaged) {
		x.cfg.Log.WarnContext(ctx, "the event index is damaged and is made anew", "err", err)
		x.reset()
		s, err = x.snapshot(ctx)
	}
	if err != nil && ctx.Err() == nil {
		x.cfg.Log.ErrorContext(ctx, "the event index cannot be brought up to date", "err", err)
		err = fmt.Errorf("%w: %w", ErrUnavailable, full(err))
	}
	return s, err
}

func (x *Index) snapshot(ctx context.Context) (*Snapshot, error) {
	if err := x.follow(ctx); err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.current == nil {
		s, err := newSnapshot(x.segments, x.man)
		if err != nil {
			return nil, err
		}
		s.harmed, s.memory = &x.harmed, x.cfg.Memory
		x.current = s
	}
	x.current.retain()
	return x.current, nil
}

// reset forgets an index that cannot be used. The caller has the turn.
func (x *Index) reset() {
	x.mu.Lock()
	defer x.mu.Unlock()
	releaseAll(x.segments)
	x.segments, x.man = nil, manifest{Next: x.man.Next}
	x.drop()
}

// Rebuild makes the index anew.
func (x *Index) Rebuild(ctx context.Context) error {
	if err := x.take(ctx); err != nil {
		return err
	}
	defer x.give()
	x.reset()
	return x.follow(ctx)
}

// follow builds or updates. The caller has the turn.
func (x *Index) follow(ctx context.Context) error {
	if x.man.Format != 0 {
		version, hierarchy, err := x.vocabulary(ctx)
		if err != nil {
			return err
		}
		if version != x.man.Vocabulary || hierarchy != x.man.DrugEras {
			x.cfg.Log.InfoContext(ctx, "other vocabularies were loaded: the event index is made anew")
			x.reset()
		}
	}
	fresh := x.man.Format == 0
	if fresh {
		defer x.enter("building")()
		if err := x.build(ctx); err != nil {
			return err
		}
	}
	err := x.update(ctx, !fresh)
	if errors.Is(err, omop.ErrForeign) || errors.Is(err, errMany) {
		x.cfg.Log.WarnContext(ctx, "the event index is made anew", "err", err)
		x.reset()
		defer x.enter("building")()
		if err = x.build(ctx); err == nil {
			err = x.update(ctx, false)
		}
	}
	return err
}

// errMany says that a build is quicker.
var errMany = errors.New("many persons have changed")

// update writes those who changed into one more segment. It fails with errMany rather than
// write very many, if it may.
func (x *Index) update(ctx context.Context, mayFail bool) error {
	m := x.man
	var changed []int64
	var p *persons
	loaded := make([]*rows, len(domains))
	err := x.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		state, ids, err := x.cfg.Store.ChangedSince(ctx, tx, x.man.State)
		if err != nil || len(ids) == 0 {
			m.State = state
			return err
		}
		defer x.enter("updating")()
		if mayFail && len(ids) > max(rebuildLeast, x.basePersons()/rebuildShare) {
			return errMany
		}
		m.State, changed, p = state, ids, newPersons(ids)
		return readPersons(ctx, tx, x.cfg.Store, p, loaded)
	})
	if err != nil {
		return err
	}
	if len(changed) == 0 {
		// The manifest may stay as it is: nothing has changed since its state either.
		x.mu.Lock()
		x.man.State = m.State
		x.mu.Unlock()
		return nil
	}
	defer x.enter("updating")()
	name := segmentName(m.Next)
	m.Next++
	m.Segments = append(slices.Clone(m.Segments), name)
	if err := x.writeSegment(ctx, name, p, newDrugs(x.cfg.Vocabulary, m.DrugEras), func(place int) (*rows, error) { return loaded[place], nil }); err != nil {
		return err
	}
	if err := x.install(m); err != nil {
		return err
	}
	x.cfg.Log.DebugContext(ctx, "event index updated", "persons", len(changed), "segments", len(m.Segments))
	select {
	case x.wake <- struct{}{}:
	default:
	}
	return nil
}

func (x *Index) basePersons() int {
	n := 0
	for _, s := range x.segments[:x.man.Base] {
		n += s.dir.Persons
	}
	return n
}

// readPersons reads all that is stored of persons into p and, by place in domains, loaded.
func readPersons(ctx context.Context, tx *sqldb.Tx, store *omop.Store, p *persons, loaded []*rows) error {
	read := func(t omop.Table, fn func([]omop.Vector) error) error {
		columns := make([]omop.Vector, len(omop.Fields(t)))
		for chunk := range slices.Chunk(p.id, askPersons) {
			if _, _, err := store.Scan(ctx, tx, t, omop.Rows{Persons: chunk}, columns); err != nil {
				return err
			}
			if err := fn(columns); err != nil {
				return err
			}
		}
		return nil
	}
	if err := read(omop.PersonTable, func(scanned []omop.Vector) error { p.addPersons(scanned); return nil }); err != nil {
		return err
	}
	if err := read(omop.PeriodTable, func(scanned []omop.Vector) error { p.addPeriods(scanned); return nil }); err != nil {
		return err
	}
	p.sortPeriods()
	named := newCare()
	for i := range domains {
		if domains[i].table == 0 {
			continue
		}
		loaded[i] = newRows(&domains[i])
		if err := read(domains[i].table, func(scanned []omop.Vector) error {
			if err := named.read(ctx, tx, store, &sources[i], scanned); err != nil {
				return err
			}
			for row, id := range scanned[sources[i].person].Whole {
				if at, known := p.ordinal(id); known && !p.gone[at] {
					loaded[i].take(&sources[i], scanned, row, at, named)
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// full says of an error of the disk that it is full, as the store does.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", sqldb.ErrFull, err)
	}
	return err
}
