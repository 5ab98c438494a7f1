package series

import (
	"context"
	"iter"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// step is a stretch of a merge that is written at once.
type step struct {
	parts []part
	size  int // points
}

// part is what a step has of one series, in the order of time.
type part struct {
	key    key
	points []Point
	series int64
}

func (s *step) add(k key, points []Point) {
	s.parts = append(s.parts, part{key: k, points: points})
	s.size += len(points)
}

// changes are what a step changes in the tables.
type changes struct {
	series []part // new ones
	remove []int64
	insert []chunk
}

// chunk is a row of series_chunk.
type chunk struct {
	series      int64
	first, last int64
	points      int
	body        []byte
}

// stretch is a row of series_chunk without its body.
type stretch struct {
	id, series, first, last, points int64
}

// prepare works out the changes of the step.
func (m *merger) prepare(ctx context.Context, tx *sqldb.Tx) (changes, error) {
	var c changes
	m.expire()
	if err := m.identify(ctx, tx, &c); err != nil {
		return c, err
	}
	stretches, err := m.neighbors(ctx, tx)
	if err != nil {
		return c, err
	}
	var groups []group
	for i := range m.step.parts {
		p := &m.step.parts[i]
		groups = m.store.group(groups, p, stretches[p.series])
	}
	bodies, err := readBodies(ctx, tx, groups)
	if err != nil {
		return c, err
	}
	for _, g := range groups {
		var old []Point
		if g.into != nil {
			if old, err = decodeChunk(nil, bodies[g.into.id], g.part.key.source); err != nil {
				return c, err
			}
			c.remove = append(c.remove, g.into.id)
		}
		behind := len(old) == 0 || old[len(old)-1].Time < g.points[0].Time
		for _, piece := range cut(merge(old, g.points, m.count), m.store.limits.chunkPoints, behind) {
			c.insert = append(c.insert, newChunk(g.part.series, piece))
		}
	}
	return c, nil
}

func newChunk(series int64, points []Point) chunk {
	return chunk{series: series, first: points[0].Time, last: points[len(points)-1].Time, points: len(points), body: encodeChunk(points)}
}

// expire drops and counts points of a time that was closed after they landed.
func (m *merger) expire() {
	for i := range m.step.parts {
		p := &m.step.parts[i]
		for len(p.points) > 0 && p.points[0].Time < m.state.closed {
			m.count(p.points[0].Load, expired)
			p.points = p.points[1:]
		}
	}
	m.step.parts = slices.DeleteFunc(m.step.parts, func(p part) bool { return len(p.points) == 0 })
}

// identify finds the numbers of the step's series and gives out new ones.
func (m *merger) identify(ctx context.Context, tx *sqldb.Tx, c *changes) error {
	var persons []int64
	for _, p := range m.step.parts {
		if n := len(persons); n == 0 || persons[n-1] != p.key.person {
			persons = append(persons, p.key.person)
		}
	}
	condition, arg := tx.Dialect().Among("person_id", persons)
	known := make(map[key]int64, len(m.step.parts))
	err := tx.Each(ctx, "SELECT series_id, person_id, variable_id, source_id FROM series WHERE "+condition, []any{arg}, func(rows *sqldb.Rows) error {
		var id int64
		var k key
		err := rows.Scan(&id, &k.person, &k.variable, &k.source)
		known[k] = id
		return err
	})
	if err != nil {
		return err
	}
	for i := range m.step.parts {
		p := &m.step.parts[i]
		id, ok := known[p.key]
		if !ok {
			id = m.state.nextSeries
			m.state.nextSeries++
			c.series = append(c.series, part{key: p.key, series: id})
		}
		p.series = id
	}
	return nil
}

// neighbors returns, by series and in the order of time, the stretches that a
// point of the step may belong to: those that begin between its first and last
// point, and the one before.
func (m *merger) neighbors(ctx context.Context, tx *sqldb.Tx) (map[int64][]stretch, error) {
	wanted := make([][3]int64, len(m.step.parts))
	for i, p := range m.step.parts {
		wanted[i] = [3]int64{p.series, p.points[0].Time, p.points[len(p.points)-1].Time}
	}
	table, arg, err := tuples(tx.Dialect(), wanted, "series", "low", "high")
	if err != nil {
		return nil, err
	}
	// One look into the index for each series, whatever a planner thinks of it.
	join := "CROSS JOIN series_chunk c WHERE "
	end := ""
	if tx.Dialect() == sqldb.Postgres {
		join, end = "CROSS JOIN LATERAL (SELECT * FROM series_chunk c WHERE ", " OFFSET 0) AS c"
	}
	found := map[int64][]stretch{}
	err = tx.Each(ctx, `SELECT c.chunk_id, c.series_id, c.first_ms, c.last_ms, c.points FROM `+table+` AS w `+join+`
		c.series_id = w.series AND c.first_ms <= w.high AND c.first_ms >= coalesce(
			(SELECT max(p.first_ms) FROM series_chunk p WHERE p.series_id = w.series AND p.first_ms <= w.low), w.low)`+end, []any{arg}, func(rows *sqldb.Rows) error {
		var c stretch
		err := rows.Scan(&c.id, &c.series, &c.first, &c.last, &c.points)
		found[c.series] = append(found[c.series], c)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, list := range found {
		slices.SortFunc(list, func(a, b stretch) int { return order(a.first < b.first) })
	}
	return found, nil
}

// group is points that go into one stretch, or into new ones.
type group struct {
	part   *part
	into   *stretch // nil: none
	points []Point
}

// group divides the points of p by the stretch that each belongs to: the last one
// that begins no later, in the same partition.
func (s *Store) group(groups []group, p *part, list []stretch) []group {
	for points := p.points; len(points) > 0; {
		for len(list) > 1 && list[1].first <= points[0].Time {
			list = list[1:]
		}
		partition := s.partition(points[0].Time)
		end := (partition + 1) * s.cfg.Partition.Milliseconds()
		var floor *stretch
		for i := range min(2, len(list)) {
			switch c := &list[i]; {
			case c.first > points[0].Time:
				end = min(end, c.first)
			case s.partition(c.first) == partition:
				floor = c
			}
		}
		n := 1
		for n < len(points) && points[n].Time < end {
			n++
		}
		g := group{part: p, points: points[:n]}
		if floor != nil && (points[0].Time <= floor.last || s.open(floor, n)) {
			g.into = floor
		}
		groups, points = append(groups, g), points[n:]
	}
	return groups
}

// open reports whether n points that come behind a stretch are added to it. To
// write 1,000 points again for each 20 new ones would cost more than it saves; so
// the chunks of a series become as large as its points come in.
func (s *Store) open(c *stretch, n int) bool {
	return c.points < int64(min(s.limits.chunkPoints, max(s.limits.openPoints, 8*n)))
}

func readBodies(ctx context.Context, tx *sqldb.Tx, groups []group) (map[int64][]byte, error) {
	var ids []int64
	for _, g := range groups {
		if g.into != nil {
			ids = append(ids, g.into.id)
		}
	}
	return bodiesOf(ctx, tx, "series_chunk", "chunk_id", ids)
}

func (c *changes) apply(ctx context.Context, tx *sqldb.Tx) error {
	if len(c.series) > 0 {
		if _, err := tx.Insert(ctx, "series", []string{"series_id", "person_id", "variable_id", "source_id"}, func(yield func([]any) bool) {
			for _, p := range c.series {
				if !yield([]any{p.series, p.key.person, int64(p.key.variable), int64(p.key.source)}) {
					return
				}
			}
		}); err != nil {
			return err
		}
	}
	if err := removeChunks(ctx, tx, c.remove); err != nil || len(c.insert) == 0 {
		return err
	}
	_, err := tx.Insert(ctx, "series_chunk", []string{"series_id", "first_ms", "last_ms", "points", "body"}, chunkRows(c.insert))
	return err
}

func removeChunks(ctx context.Context, tx *sqldb.Tx, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	condition, arg := tx.Dialect().Among("chunk_id", ids)
	_, err := tx.Exec(ctx, "DELETE FROM series_chunk WHERE "+condition, arg)
	return err
}

func chunkRows(chunks []chunk) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for i := range chunks {
			c := &chunks[i]
			if !yield([]any{c.series, c.first, c.last, int64(c.points), c.body}) {
				return
			}
		}
	}
}
