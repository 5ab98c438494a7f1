package series

import (
	"context"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// landed is a row of series_landed.
type landed struct {
	load   LoadID
	source SourceID
	points int64
	body   []byte
}

// eachLanded gives the landed batches that fulfil a condition to fn, in the order
// of their loads.
func eachLanded(ctx context.Context, tx *sqldb.Tx, condition string, args []any, fn func(landed) error) error {
	return tx.Each(ctx, "SELECT load_id, source_id, points, body FROM series_landed WHERE "+condition+" ORDER BY load_id", args, func(rows *sqldb.Rows) error {
		var l landed
		if err := rows.Scan(&l.load, &l.source, &l.points, &l.body); err != nil {
			return err
		}
		return fn(l)
	})
}

// landedOf reports whether something of a person has landed.
func landedOf(ctx context.Context, tx *sqldb.Tx, who omop.PersonID) (some bool, err error) {
	person, err := number(who)
	if err != nil {
		return false, err
	}
	err = eachLanded(ctx, tx, "low_person <= ? AND high_person >= ?", []any{person, person}, func(l landed) error {
		b, err := newBlockReader(&l)
		if err != nil {
			return err
		}
		for r, ok := b.next(); ok && !some && r.key.person <= person; r, ok = b.next() {
			some = r.key.person == person
		}
		return b.err()
	})
	return some, err
}

// landedPoints returns what has landed of a variable of a person, from <= time <
// to, in the order of the loads; of one load in the order of time.
func landedPoints(ctx context.Context, tx *sqldb.Tx, person int64, variable VariableID, from, to int64) ([]Point, error) {
	var points []Point
	err := eachLanded(ctx, tx, "low_person <= ? AND high_person >= ? AND first_ms < ? AND last_ms >= ?",
		[]any{person, person, to, from}, func(l landed) error {
			b, err := newBlockReader(&l)
			if err != nil {
				return err
			}
			for r, ok := b.next(); ok && r.key.person <= person; r, ok = b.next() {
				if r.key.person == person && r.key.variable == variable {
					points, err = r.points(points)
					return err
				}
			}
			return b.err()
		})
	if err != nil {
		return nil, err
	}
	kept := points[:0]
	for _, p := range points {
		if p.Time >= from && p.Time < to {
			kept = append(kept, p)
		}
	}
	return kept, nil
}
