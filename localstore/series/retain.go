package series

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Retain applies the retention of the configuration as of now: points that are
// older than Raw become aggregates of a minute, those that are older than Minute
// aggregates of an hour, and those that are older than Hour go. A tier moves by
// whole partitions, so its rows stay up to a partition longer. Points of a time
// that was closed so are refused by later appends, because a repetition could not
// be told any more. Invalid points go into no aggregate.
//
// It merges what has landed first, works in short steps, and takes up what an
// earlier call did not finish.
func (s *Store) Retain(ctx context.Context, now time.Time) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.retain(ctx, now); err != nil {
		return fmt.Errorf("series: retain: %w", err)
	}
	return nil
}

func (s *Store) retain(ctx context.Context, now time.Time) error {
	keep := s.cfg.Retention
	if keep.Raw == 0 {
		return nil
	}
	if err := s.close(ctx, s.limit(now, keep.Raw)); err != nil {
		return err
	}
	if err := s.repeat(ctx, s.reducePoints); err != nil || keep.Minute == 0 {
		return err
	}
	if err := s.repeat(ctx, func(ctx context.Context, tx *sqldb.Tx, st *state, from int64) (reduction, error) {
		return s.reduceMinutes(ctx, tx, min(st.closed, s.limit(now, keep.Minute)), from)
	}); err != nil || keep.Hour == 0 {
		return err
	}
	return s.repeat(ctx, func(ctx context.Context, tx *sqldb.Tx, st *state, from int64) (reduction, error) {
		return s.oldHours(ctx, tx, min(st.closed, s.limit(now, keep.Hour)), from)
	})
}

// limit is the end of the last partition that is older than keep.
func (s *Store) limit(now time.Time, keep time.Duration) int64 {
	return floor(now.Add(-keep).UnixMilli(), s.cfg.Partition.Milliseconds())
}

// close lets no more points before limit in, once those that have landed are merged.
func (s *Store) close(ctx context.Context, limit int64) error {
	for {
		var st *state
		var waits bool
		look := func(tx *sqldb.Tx) (err error) {
			if st, err = readState(ctx, tx); err != nil {
				return err
			}
			return tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM series_landed WHERE first_ms < ?)", limit).Scan(&waits)
		}
		if err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
			if err := look(tx); err != nil || waits || st.closed >= limit {
				return err
			}
			st.closed = limit
			return st.advance(ctx, tx)
		}); err != nil || !waits {
			return err
		}
		if _, err := s.compact(ctx); err != nil {
			return err
		}
	}
}

// reduction is a step of Retain: rows that go and aggregates that take their place.
type reduction struct {
	chunks, aggregates []int64
	insert             []aggregateRow
	// last is the series of the last row; there is nothing left before it.
	last int64
}

// aggregateRow is aggregates of a series and a partition, as one row of
// series_aggregate or several.
type aggregateRow struct {
	series, width, partition int64
	list                     []Aggregate
}

// repeat prepares and makes reductions, from one series on, until there is nothing
// to reduce.
func (s *Store) repeat(ctx context.Context, prepare func(context.Context, *sqldb.Tx, *state, int64) (reduction, error)) error {
	from := int64(0)
	for {
		var st *state
		var r reduction
		if err := s.db.Read(ctx, func(tx *sqldb.Tx) (err error) {
			if st, err = readState(ctx, tx); err != nil {
				return err
			}
			r, err = prepare(ctx, tx, st, from)
			return err
		}); err != nil {
			return err
		}
		if len(r.chunks) == 0 && len(r.aggregates) == 0 {
			return nil
		}
		if err := s.change(ctx, st, func(tx *sqldb.Tx) error { return r.apply(ctx, tx, s.limits.chunkPoints) }); err != nil {
			return err
		}
		from = r.last
	}
}

func (r *reduction) apply(ctx context.Context, tx *sqldb.Tx, size int) error {
	if err := removeChunks(ctx, tx, r.chunks); err != nil {
		return err
	}
	if len(r.aggregates) > 0 {
		condition, arg := tx.Dialect().Among("aggregate_id", r.aggregates)
		if _, err := tx.Exec(ctx, "DELETE FROM series_aggregate WHERE "+condition, arg); err != nil {
			return err
		}
	}
	if len(r.insert) == 0 {
		return nil
	}
	_, err := tx.Insert(ctx, "series_aggregate", []string{"series_id", "width_ms", "first_ms", "last_ms", "aggregates", "body"}, func(yield func([]any) bool) {
		for _, row := range r.insert {
			for list := range slices.Chunk(row.list, size) {
				if !yield([]any{row.series, row.width, list[0].Time, list[len(list)-1].Time, int64(len(list)), encodeAggregates(list)}) {
					return
				}
			}
		}
	})
	return err
}

// add puts aggregates of a series and a partition, which come in the order of
// time, into those of a greater width.
func (r *reduction) add(series, width, partition int64, parts []Aggregate) {
	if len(parts) == 0 {
		return
	}
	n := len(r.insert)
	if n == 0 || r.insert[n-1].series != series || r.insert[n-1].partition != partition {
		r.insert = append(r.insert, aggregateRow{series: series, width: width, partition: partition})
		n++
	}
	r.insert[n-1].list = fold(r.insert[n-1].list, width, parts)
}

// reducePoints prepares aggregates of a minute from chunks of a closed time.
func (s *Store) reducePoints(ctx context.Context, tx *sqldb.Tx, st *state, from int64) (reduction, error) {
	var r reduction
	rows, err := tx.Query(ctx, `SELECT chunk_id, series_id, first_ms, last_ms, points FROM series_chunk
		WHERE series_id >= ? AND last_ms < ? ORDER BY series_id, first_ms LIMIT ?`, from, st.closed, s.limits.retainRows)
	if err != nil {
		return r, err
	}
	list, err := appendStretches(nil, rows)
	if err != nil {
		return r, err
	}
	for _, c := range list {
		r.chunks, r.last = append(r.chunks, c.id), c.series
	}
	bodies, err := bodiesOf(ctx, tx, "series_chunk", "chunk_id", r.chunks)
	if err != nil {
		return r, err
	}
	for _, c := range list {
		points, err := decodeChunk(nil, bodies[c.id], 0)
		if err != nil {
			return r, err
		}
		parts := make([]Aggregate, 0, len(points))
		for i := range points {
			if points[i].Flags&Invalid == 0 {
				parts = append(parts, aggregateOf(&points[i]))
			}
		}
		r.add(c.series, minute, s.partition(c.first), parts)
	}
	return r, nil
}

// reduceMinutes prepares aggregates of an hour from those of a minute.
func (s *Store) reduceMinutes(ctx context.Context, tx *sqldb.Tx, limit, from int64) (reduction, error) {
	var r reduction
	err := tx.Each(ctx, `SELECT aggregate_id, series_id, body FROM series_aggregate
		WHERE series_id >= ? AND width_ms = ? AND last_ms < ? ORDER BY series_id, first_ms, aggregate_id LIMIT ?`,
		[]any{from, minute, limit, s.limits.retainRows}, func(rows *sqldb.Rows) error {
			var id, series int64
			var body []byte
			if err := rows.Scan(&id, &series, &body); err != nil {
				return err
			}
			parts, err := decodeAggregates(nil, body, minute, 0)
			if err != nil {
				return err
			}
			r.aggregates, r.last = append(r.aggregates, id), series
			r.add(series, hour, s.partition(parts[0].Time), parts)
			return nil
		})
	return r, err
}

// oldHours lists aggregates of an hour that go.
func (s *Store) oldHours(ctx context.Context, tx *sqldb.Tx, limit, from int64) (reduction, error) {
	var r reduction
	err := tx.Each(ctx, `SELECT aggregate_id, series_id FROM series_aggregate
		WHERE series_id >= ? AND width_ms = ? AND last_ms < ? ORDER BY series_id LIMIT ?`,
		[]any{from, hour, limit, s.limits.retainRows}, func(rows *sqldb.Rows) error {
			var id int64
			err := rows.Scan(&id, &r.last)
			r.aggregates = append(r.aggregates, id)
			return err
		})
	return r, err
}
