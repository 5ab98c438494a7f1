package series

import (
	"context"
	"fmt"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Summary is what is stored of a variable in chunks: without what waits for
// Compact and without aggregates.
type Summary struct {
	Variable VariableID
	Persons  int64
	Series   int64 // one for each person and source
	Points   int64
	Bytes    int64 // of the encoded points
	First    int64 // milliseconds since 1970 UTC
	Last     int64
}

// Summaries returns a summary of every variable with points, by variable. It
// reads a row for each chunk.
func (s *Store) Summaries(ctx context.Context, tx *sqldb.Tx) ([]Summary, error) {
	var out []Summary
	err := tx.Each(ctx, `SELECT s.variable_id, count(DISTINCT s.person_id), count(DISTINCT s.series_id),
		CAST(sum(c.points) AS BIGINT), CAST(sum(length(c.body)) AS BIGINT), min(c.first_ms), max(c.last_ms)
		FROM series_chunk c JOIN series s ON s.series_id = c.series_id GROUP BY s.variable_id ORDER BY s.variable_id`, nil, func(rows *sqldb.Rows) error {
		var v Summary
		err := rows.Scan(&v.Variable, &v.Persons, &v.Series, &v.Points, &v.Bytes, &v.First, &v.Last)
		out = append(out, v)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("series: summaries: %w", err)
	}
	return out, nil
}

// Count returns how many points there are of a variable of a person with from <=
// time < to, the invalid ones included. Where nothing has landed it decodes only
// the chunks at both ends.
func (s *Store) Count(ctx context.Context, tx *sqldb.Tx, person omop.PersonID, variable VariableID, from, to int64) (int64, error) {
	n, err := s.count(ctx, tx, person, variable, from, to)
	if err != nil {
		return 0, fmt.Errorf("series: count: %w", err)
	}
	return n, nil
}

func (s *Store) count(ctx context.Context, tx *sqldb.Tx, person omop.PersonID, variable VariableID, from, to int64) (n int64, err error) {
	id, err := number(person)
	if err != nil {
		return 0, err
	}
	recent, err := landedPoints(ctx, tx, id, variable, from, to)
	if err != nil {
		return 0, err
	}
	if len(recent) > 0 {
		err = s.points(ctx, tx, person, variable, from, to, func(Point) bool { n++; return true })
		return n, err
	}
	sources, err := seriesOf(ctx, tx, id, variable)
	if err != nil {
		return 0, err
	}
	list, err := stretchesOf(ctx, tx, sources, from, to)
	if err != nil {
		return 0, err
	}
	var ends []stretch
	for _, c := range list {
		if c.first >= from && c.last < to {
			n += c.points
		} else {
			ends = append(ends, c)
		}
	}
	points, err := decodeStretches(ctx, tx, ends, sources)
	for i := range points {
		if points[i].Time >= from && points[i].Time < to {
			n++
		}
	}
	return n, err
}

// Last returns the latest point of a variable of a person, of several at one time
// that of the last source, or [sqldb.ErrNoRows]. Points that became aggregates do
// not count.
func (s *Store) Last(ctx context.Context, tx *sqldb.Tx, person omop.PersonID, variable VariableID) (Point, error) {
	p, err := s.last(ctx, tx, person, variable)
	if err != nil {
		return Point{}, fmt.Errorf("series: last: %w", err)
	}
	return p, nil
}

func (s *Store) last(ctx context.Context, tx *sqldb.Tx, person omop.PersonID, variable VariableID) (Point, error) {
	id, err := number(person)
	if err != nil {
		return Point{}, err
	}
	st, err := readState(ctx, tx)
	if err != nil {
		return Point{}, err
	}
	recent, err := landedPoints(ctx, tx, id, variable, st.closed, lastTime+1)
	if err != nil {
		return Point{}, err
	}
	sources, err := seriesOf(ctx, tx, id, variable)
	if err != nil {
		return Point{}, err
	}
	var tails []stretch
	for series := range sources {
		rows, err := tx.Query(ctx, `SELECT chunk_id, series_id, first_ms, last_ms, points FROM series_chunk
			WHERE series_id = ? ORDER BY first_ms DESC LIMIT 1`, series)
		if err != nil {
			return Point{}, err
		}
		if tails, err = appendStretches(tails, rows); err != nil {
			return Point{}, err
		}
	}
	points, err := decodeStretches(ctx, tx, tails, sources)
	if err != nil {
		return Point{}, err
	}
	points = append(points, recent...)
	if len(points) == 0 {
		return Point{}, sqldb.ErrNoRows
	}
	best := points[0]
	for _, p := range points[1:] {
		if byTimeAndSource(p, best) >= 0 {
			best = p
		}
	}
	return best, nil
}
