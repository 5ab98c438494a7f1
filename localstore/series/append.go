package series

import (
	"context"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Append lands a batch as part of tx: when tx is committed its points are durable
// and are seen by readers. Points that cannot be kept are listed in the result and
// do not keep the others out. An error is about the batch as a whole, and then tx
// must be rolled back.
//
// Batches take effect in the order of their loads. On PostgreSQL several may be
// appended at once; of two that give different values for one point either may win.
func (s *Store) Append(ctx context.Context, tx *sqldb.Tx, b Batch) (Result, error) {
	r, err := s.land(ctx, tx, &b)
	if err != nil {
		return Result{}, fmt.Errorf("series: append: %w", err)
	}
	return r, nil
}

func (s *Store) land(ctx context.Context, tx *sqldb.Tx, b *Batch) (Result, error) {
	if err := b.check(); err != nil {
		return Result{}, err
	}
	var closed int64
	if err := tx.QueryRow(ctx, "SELECT closed_ms FROM series_state").Scan(&closed); err != nil {
		return Result{}, err
	}
	sorted, refused, err := b.sorted(closed)
	if err != nil {
		return Result{}, err
	}
	r := Result{Landed: len(sorted), Refused: refused}
	if err := tx.QueryRow(ctx, `INSERT INTO series_load (raw, mapper, pointer, landed_at, points, settled)
		VALUES (?, ?, ?, ?, ?, ?) RETURNING load_id`, b.Origin.Raw[:], b.Origin.Mapper, b.Origin.Pointer, b.At,
		r.Landed, r.Landed == 0).Scan(&r.Load); err != nil {
		return Result{}, err
	}
	if r.Landed == 0 {
		return r, nil
	}
	first, last := sorted[0].point.Time, sorted[0].point.Time
	for i := range sorted {
		first, last = min(first, sorted[i].point.Time), max(last, sorted[i].point.Time)
	}
	_, err = tx.Exec(ctx, `INSERT INTO series_landed
		(load_id, source_id, points, first_ms, last_ms, low_person, high_person, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		r.Load, b.Source, r.Landed, first, last, sorted[0].person, sorted[len(sorted)-1].person, block(sorted))
	return r, err
}

// placed is a point of a batch with its person and variable.
type placed struct {
	person   int64
	variable VariableID
	point    Point
}

func (a *placed) compare(b *placed) int {
	switch {
	case a.person != b.person:
		return order(a.person < b.person)
	case a.variable != b.variable:
		return order(a.variable < b.variable)
	case a.point.Time != b.point.Time:
		return order(a.point.Time < b.point.Time)
	default:
		return 0
	}
}

// sorted returns the points that can be kept in the order of a block; those of
// one time stay in the order of the batch.
func (b *Batch) sorted(closed int64) ([]placed, []Refusal, error) {
	persons := make([]int64, len(b.Persons))
	for i, p := range b.Persons {
		var err error
		if persons[i], err = number(p); err != nil {
			return nil, nil, err
		}
	}
	var refused []Refusal
	out := make([]placed, 0, len(b.Times))
	ordered := true
	for i := range b.Times {
		if rule, bad := b.rule(i, closed); bad {
			refused = append(refused, Refusal{Index: i, Rule: rule})
			continue
		}
		p := placed{
			person: persons[b.Person[i]], variable: b.Variables[b.Variable[i]],
			point: Point{Time: b.Times[i], Value: b.Values[i]},
		}
		if b.Flags != nil {
			p.point.Flags = b.Flags[i]
		}
		out = append(out, p)
		n := len(out)
		ordered = ordered && (n == 1 || out[n-2].compare(&out[n-1]) <= 0)
	}
	if !ordered {
		slices.SortStableFunc(out, func(a, b placed) int { return a.compare(&b) })
	}
	return out, refused, nil
}

// block encodes points that are sorted.
func block(sorted []placed) []byte {
	var w blockWriter
	points := make([]Point, 0, len(sorted))
	for i := range sorted {
		points = append(points, sorted[i].point)
	}
	for from := 0; from < len(sorted); {
		head, to := &sorted[from], from+1
		for to < len(sorted) && sorted[to].person == head.person && sorted[to].variable == head.variable {
			to++
		}
		w.add(head.person, head.variable, points[from:to])
		from = to
	}
	return seal(w.body)
}
