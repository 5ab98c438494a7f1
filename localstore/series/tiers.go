package series

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Aggregates yields what [Store.Retain] has left of a variable of a person, from
// <= time < to, in the order of time and source. Where Retain was not yet, there
// are points instead: the two never tell of the same observation. An error is the
// last thing that is yielded.
func (s *Store) Aggregates(ctx context.Context, tx *sqldb.Tx, person omop.PersonID, variable VariableID, from, to int64) iter.Seq2[Aggregate, error] {
	return func(yield func(Aggregate, error) bool) {
		if err := s.aggregates(ctx, tx, person, variable, from, to, func(a Aggregate) bool { return yield(a, nil) }); err != nil {
			yield(Aggregate{}, fmt.Errorf("series: aggregates: %w", err))
		}
	}
}

// tierRow is a row of series_aggregate without its body.
type tierRow struct{ id, series, width, first int64 }

func (s *Store) aggregates(ctx context.Context, tx *sqldb.Tx, person omop.PersonID, variable VariableID, from, to int64, yield func(Aggregate) bool) error {
	id, err := number(person)
	if err != nil {
		return err
	}
	sources, err := seriesOf(ctx, tx, id, variable)
	if err != nil {
		return err
	}
	list, err := tierRows(ctx, tx, sources, from, to)
	if err != nil {
		return err
	}
	var merged []Aggregate
	for len(list) > 0 {
		n := min(s.limits.readRows, len(list))
		if merged, err = decodeTier(ctx, tx, merged, list[:n], sources); err != nil {
			return err
		}
		list = list[n:]
		horizon := to
		if len(list) > 0 {
			horizon = min(to, list[0].first)
		}
		slices.SortStableFunc(merged, byBegin)
		merged = unite(merged)
		for len(merged) > 0 && merged[0].Time < horizon {
			if merged[0].Time >= from && !yield(merged[0]) {
				return nil
			}
			merged = merged[1:]
		}
	}
	return nil
}

func byBegin(a, b Aggregate) int {
	switch {
	case a.Time != b.Time:
		return order(a.Time < b.Time)
	case a.Source != b.Source:
		return order(a.Source < b.Source)
	case a.Width != b.Width:
		return order(a.Width < b.Width)
	default:
		return 0
	}
}

// unite joins the parts of one aggregate.
func unite(list []Aggregate) []Aggregate {
	out := list[:0]
	for i := range list {
		if n := len(out); n > 0 && byBegin(out[n-1], list[i]) == 0 {
			out[n-1].join(&list[i])
			continue
		}
		out = append(out, list[i])
	}
	return out
}

// tierRows returns the rows of some series with aggregates from <= time < to, in
// the order of time and, for parts of one aggregate, of their making.
func tierRows(ctx context.Context, tx *sqldb.Tx, series map[int64]SourceID, from, to int64) ([]tierRow, error) {
	ids := make([]int64, 0, len(series))
	for id := range series {
		ids = append(ids, id)
	}
	condition, arg := tx.Dialect().Among("series_id", ids)
	var list []tierRow
	err := tx.Each(ctx, "SELECT aggregate_id, series_id, width_ms, first_ms FROM series_aggregate WHERE first_ms < ? AND last_ms >= ? AND "+
		condition+" ORDER BY first_ms, aggregate_id", []any{to, from, arg}, func(rows *sqldb.Rows) error {
		var t tierRow
		err := rows.Scan(&t.id, &t.series, &t.width, &t.first)
		list = append(list, t)
		return err
	})
	return list, err
}

// decodeTier adds the aggregates of rows to dst.
func decodeTier(ctx context.Context, tx *sqldb.Tx, dst []Aggregate, list []tierRow, sources map[int64]SourceID) ([]Aggregate, error) {
	ids := make([]int64, len(list))
	for i, t := range list {
		ids[i] = t.id
	}
	bodies, err := bodiesOf(ctx, tx, "series_aggregate", "aggregate_id", ids)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		body, ok := bodies[t.id]
		if !ok {
			return nil, sqldb.ErrLocked
		}
		if dst, err = decodeAggregates(dst, body, t.width, sources[t.series]); err != nil {
			return nil, err
		}
	}
	return dst, nil
}
