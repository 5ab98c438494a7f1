package series

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Points yields the points of a variable of a person with from <= time < to, in
// the order of time, those of one time in the order of their sources. It includes
// invalid ones. An error is the last thing that is yielded. Memory does not grow
// with the number of points, except with what has landed. In a Write on PostgreSQL,
// which has no snapshot, it can end with [sqldb.ErrLocked]; run it again.
func (s *Store) Points(ctx context.Context, tx *sqldb.Tx, person omop.PersonID, variable VariableID, from, to int64) iter.Seq2[Point, error] {
	return func(yield func(Point, error) bool) {
		if err := s.points(ctx, tx, person, variable, from, to, func(p Point) bool { return yield(p, nil) }); err != nil {
			yield(Point{}, fmt.Errorf("series: points: %w", err))
		}
	}
}

func (s *Store) points(ctx context.Context, tx *sqldb.Tx, person omop.PersonID, variable VariableID, from, to int64, yield func(Point) bool) error {
	id, err := number(person)
	if err != nil {
		return err
	}
	st, err := readState(ctx, tx)
	if err != nil {
		return err
	}
	// What has landed comes first: if a merge is committed in between, points are
	// seen twice, which does no harm.
	recent, err := landedPoints(ctx, tx, id, variable, max(from, st.closed), to)
	if err != nil {
		return err
	}
	sources, err := seriesOf(ctx, tx, id, variable)
	if err != nil {
		return err
	}
	list, err := stretchesOf(ctx, tx, sources, from, to)
	if err != nil {
		return err
	}
	merged := recent // of those of one time and source the last one counts
	for len(list) > 0 {
		n := min(s.limits.readRows, len(list))
		older, err := decodeStretches(ctx, tx, list[:n], sources)
		if err != nil {
			return err
		}
		merged = append(older, merged...)
		list = list[n:]
		horizon := to
		if len(list) > 0 {
			horizon = list[0].first
		}
		inOrder(merged)
		if merged, n = emit(merged, from, horizon, yield); n < 0 {
			return nil
		}
	}
	inOrder(merged)
	emit(merged, from, to, yield)
	return nil
}

// inOrder sorts by time and source and leaves the order of what was given else.
func inOrder(points []Point) {
	if !slices.IsSortedFunc(points, byTimeAndSource) {
		slices.SortStableFunc(points, byTimeAndSource)
	}
}

func byTimeAndSource(a, b Point) int {
	if c := byTime(a, b); c != 0 || a.Source == b.Source {
		return c
	}
	return order(a.Source < b.Source)
}

// emit yields the points before horizon, of several of one time and source the
// last one, and returns the others; n is negative when yield wants no more.
func emit(points []Point, from, horizon int64, yield func(Point) bool) (rest []Point, n int) {
	for i := range points {
		p := points[i]
		if p.Time >= horizon {
			return points[i:], i
		}
		if p.Time < from || i+1 < len(points) && byTimeAndSource(p, points[i+1]) == 0 {
			continue
		}
		if !yield(p) {
			return nil, -1
		}
	}
	return nil, len(points)
}

// seriesOf returns the series of a variable of a person with their sources.
func seriesOf(ctx context.Context, tx *sqldb.Tx, person int64, variable VariableID) (map[int64]SourceID, error) {
	rows, err := tx.Query(ctx, "SELECT series_id, source_id FROM series WHERE person_id = ? AND variable_id = ?", person, variable)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[int64]SourceID{}
	for rows.Next() {
		var id int64
		var source SourceID
		if err := rows.Scan(&id, &source); err != nil {
			return nil, err
		}
		found[id] = source
	}
	return found, rows.Err()
}

// stretchesOf returns the stretches of some series with points from <= time < to,
// in the order of their first points.
func stretchesOf(ctx context.Context, tx *sqldb.Tx, series map[int64]SourceID, from, to int64) ([]stretch, error) {
	var list []stretch
	for id := range series {
		rows, err := tx.Query(ctx, `SELECT chunk_id, series_id, first_ms, last_ms, points FROM series_chunk
			WHERE series_id = ? AND first_ms < ? AND last_ms >= ? AND first_ms >= coalesce(
				(SELECT max(first_ms) FROM series_chunk WHERE series_id = ? AND first_ms <= ?), ?)`,
			id, to, from, id, from, int64(math.MinInt64))
		if err != nil {
			return nil, err
		}
		if list, err = appendStretches(list, rows); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b stretch) int { return order(a.first < b.first) })
	return list, nil
}

func appendStretches(list []stretch, rows *sqldb.Rows) ([]stretch, error) {
	defer rows.Close()
	for rows.Next() {
		var c stretch
		if err := rows.Scan(&c.id, &c.series, &c.first, &c.last, &c.points); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

func decodeStretches(ctx context.Context, tx *sqldb.Tx, list []stretch, sources map[int64]SourceID) ([]Point, error) {
	ids, size := make([]int64, len(list)), int64(0)
	for i, c := range list {
		ids[i] = c.id
		size += c.points
	}
	bodies, err := bodiesOf(ctx, tx, "series_chunk", "chunk_id", ids)
	if err != nil {
		return nil, err
	}
	points := make([]Point, 0, size)
	for _, c := range list {
		body, ok := bodies[c.id]
		if !ok { // no snapshot: a merge was committed between two statements
			return nil, sqldb.ErrLocked
		}
		if points, err = decodeChunk(points, body, sources[c.series]); err != nil {
			return nil, err
		}
	}
	return points, nil
}

// bodiesOf returns the bodies of rows by their keys; keys that are gone are missing.
func bodiesOf(ctx context.Context, tx *sqldb.Tx, table, column string, ids []int64) (map[int64][]byte, error) {
	bodies := make(map[int64][]byte, len(ids))
	if len(ids) == 0 {
		return bodies, nil
	}
	condition, arg := tx.Dialect().Among(column, ids)
	rows, err := tx.Query(ctx, "SELECT "+column+", body FROM "+table+" WHERE "+condition, arg)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var body []byte
		if err := rows.Scan(&id, &body); err != nil {
			return nil, err
		}
		bodies[id] = body
	}
	return bodies, rows.Err()
}
