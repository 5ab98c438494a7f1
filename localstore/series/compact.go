package series

import (
	"context"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Compact merges up to Config.Bite landed points, the oldest loads first, into
// chunks, settles the outcome of their loads, and returns how many points that
// were; 0 when nothing waits. It reads without holding up writers and writes in
// short steps. A merge that was interrupted is taken up where it was.
func (s *Store) Compact(ctx context.Context) (int64, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	n, err := s.compact(ctx)
	if err != nil {
		return 0, fmt.Errorf("series: compact: %w", err)
	}
	return n, nil
}

func (s *Store) compact(ctx context.Context) (int64, error) {
	m := &merger{store: s, index: map[LoadID]int{}}
	if err := s.db.Read(ctx, func(tx *sqldb.Tx) error { return m.begin(ctx, tx) }); err != nil {
		return 0, err
	}
	if m.state.merge == nil {
		return 0, nil
	}
	if err := m.run(ctx); err != nil {
		return 0, err
	}
	return m.points, nil
}

// merger is one merge.
type merger struct {
	store *Store
	state *state
	index map[LoadID]int // of a load in merging.Loads
	queue queue
	// points is the number of landed points of the merge.
	points int64

	step step
	// last is the load that was counted last and its tally.
	last   LoadID
	lastAt *tally
}

// begin reads the state, chooses the loads unless a merge is in progress, and
// queues their runs.
func (m *merger) begin(ctx context.Context, tx *sqldb.Tx) (err error) {
	if m.state, err = readState(ctx, tx); err != nil {
		return err
	}
	if m.state.merge == nil {
		loads, err := m.choose(ctx, tx)
		if err != nil || len(loads) == 0 {
			return err
		}
		m.state.merge = &merging{Loads: loads, Tally: make([]tally, len(loads))}
	}
	ids := make([]int64, len(m.state.merge.Loads))
	for i, id := range m.state.merge.Loads {
		m.index[id], ids[i] = i, int64(id)
	}
	condition, arg := tx.Dialect().Among("load_id", ids)
	return eachLanded(ctx, tx, condition, []any{arg}, func(l landed) error {
		m.points += l.points
		b, err := newBlockReader(&l)
		if err != nil {
			return err
		}
		return m.queue.add(b)
	})
}

// choose returns the oldest loads that wait, up to a bite.
func (m *merger) choose(ctx context.Context, tx *sqldb.Tx) ([]LoadID, error) {
	rows, err := tx.Query(ctx, "SELECT load_id, points FROM series_landed ORDER BY load_id LIMIT ?", biteLoads)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var loads []LoadID
	for left := int64(m.store.cfg.Bite); rows.Next(); {
		var id LoadID
		var points int64
		if err := rows.Scan(&id, &points); err != nil {
			return nil, err
		}
		if left -= points; left < 0 && len(loads) > 0 {
			break
		}
		loads = append(loads, id)
	}
	return loads, rows.Err()
}

// run takes the landed points series by series and writes a step whenever it is full.
func (m *merger) run(ctx context.Context) error {
	limits := m.store.limits
	for m.queue.Len() > 0 {
		k, points, err := m.queue.series(nil)
		if err != nil {
			return err
		}
		for points = m.undone(k, points); len(points) > 0; {
			n := min(len(points), limits.stepPoints-m.step.size)
			for n < len(points) && points[n].Time == points[n-1].Time { // all values of a point together
				n++
			}
			m.step.add(k, points[:n])
			points = points[n:]
			if m.step.size >= limits.stepPoints || len(m.step.parts) >= limits.stepSeries {
				if err := m.write(ctx, false); err != nil {
					return err
				}
			}
		}
	}
	return m.write(ctx, true)
}

// undone puts the points of a series in the order of time and returns those that
// are not merged yet.
func (m *merger) undone(k key, points []Point) []Point {
	done, c := m.state.merge.Done, 1
	if done != nil {
		c = k.compare(done.key())
	}
	if c < 0 {
		return nil
	}
	if !slices.IsSortedFunc(points, byTime) {
		slices.SortStableFunc(points, byTime)
	}
	if c == 0 {
		n, _ := slices.BinarySearchFunc(points, done.Time+1, func(p Point, t int64) int { return order(p.Time < t) })
		points = points[n:]
	}
	return points
}

func byTime(a, b Point) int {
	switch {
	case a.Time < b.Time:
		return -1
	case a.Time > b.Time:
		return 1
	default:
		return 0
	}
}

// count is the tally of a load, given to what happened.
func (m *merger) count(load LoadID, happened func(*tally)) {
	if m.lastAt == nil || m.last != load {
		m.last, m.lastAt = load, &m.state.merge.Tally[m.index[load]]
	}
	happened(m.lastAt)
}

// write makes the changes of a step, durably. After the last one the loads are
// settled and nothing of them is landed any more.
func (m *merger) write(ctx context.Context, final bool) error {
	var c changes
	if err := m.store.db.Read(ctx, func(tx *sqldb.Tx) (err error) {
		c, err = m.prepare(ctx, tx)
		return err
	}); err != nil {
		return err
	}
	done := m.state.merge
	if n := len(m.step.parts); n > 0 {
		p := m.step.parts[n-1]
		done.Done = &position{p.key.person, p.key.variable, p.key.source, p.points[len(p.points)-1].Time}
	}
	if final {
		m.state.merge = nil
	}
	m.step = step{}
	return m.store.change(ctx, m.state, func(tx *sqldb.Tx) error {
		if err := c.apply(ctx, tx); err != nil || !final {
			return err
		}
		return settle(ctx, tx, done)
	})
}

func settle(ctx context.Context, tx *sqldb.Tx, m *merging) error {
	rows, ids := make([][5]int64, len(m.Loads)), make([]int64, len(m.Loads))
	for i, id := range m.Loads {
		t := m.Tally[i]
		rows[i], ids[i] = [5]int64{int64(id), t.Stored, t.Replaced, t.Duplicates, t.Expired}, int64(id)
	}
	table, arg, err := tuples(tx.Dialect(), rows, "id", "stored", "replaced", "duplicates", "expired")
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE series_load SET settled = TRUE, stored = w.stored, replaced = w.replaced,
		duplicates = w.duplicates, expired = w.expired FROM `+table+` AS w WHERE load_id = w.id`, arg); err != nil {
		return err
	}
	condition, among := tx.Dialect().Among("load_id", ids)
	_, err = tx.Exec(ctx, "DELETE FROM series_landed WHERE "+condition, among)
	return err
}
