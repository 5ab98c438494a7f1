package omop

import (
	"context"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Fence is where the values of a variable end that are near to others: a number below
// Low or above High is an outlier.
type Fence struct {
	Variable
	Low, High float64
}

// Marked is what [Store.MarkOutliers] has changed.
type Marked struct {
	Set     int64 // rows that are outliers now and were not
	Cleared int64 // rows that were outliers by an earlier run only
}

// markRows bounds the rows that one transaction of MarkOutliers changes.
const markRows = 10_000

// MarkOutliers makes every valid measurement outside the fence of its variable an
// outlier, and takes that mark from those that an earlier run has set and that are
// inside now or have no fence any more. What a load has marked stays as it is, and a
// second run with the same fences changes nothing.
//
// It works in transactions of its own, each of up to 10,000 rows, so that loads go on
// meanwhile. A row that a load replaces loses its mark until the next run. If it fails,
// run it again: it goes on where it was.
func (s *Store) MarkOutliers(ctx context.Context, fences []Fence) (Marked, error) {
	var m Marked
	of := make(map[Variable]Fence, len(fences))
	for _, f := range fences {
		of[f.Variable] = f
	}
	for after, more := int64(0), true; more; {
		err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
			page, err := markedAfter(ctx, tx, after)
			if err != nil || len(page) == 0 {
				more = false
				return err
			}
			after = page[len(page)-1].row
			n, err := clearMarks(ctx, tx, page, of)
			m.Cleared += n
			return err
		})
		if err != nil {
			return m, fmt.Errorf("omop: clear outliers: %w", err)
		}
	}
	for _, f := range fences {
		n, err := s.mark(ctx, f)
		m.Set += n
		if err != nil {
			return m, fmt.Errorf("omop: mark outliers: %w", err)
		}
	}
	return m, nil
}

// mark is a row that an earlier run has marked; number is nil if it has none any more.
type mark struct {
	row      int64
	variable Variable
	number   *float64
}

func markedAfter(ctx context.Context, tx *sqldb.Tx, after int64) ([]mark, error) {
	rows, err := tx.Query(ctx, `SELECT q.row_id, coalesce(m.measurement_concept_id, 0), coalesce(m.unit_concept_id, 0), CAST(m.value_as_number AS DOUBLE PRECISION)
		FROM quality q LEFT JOIN measurement m ON m.measurement_id = q.row_id
		WHERE q.row_id > ? AND q.by_distribution ORDER BY q.row_id LIMIT ?`, after, markRows)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []mark
	for rows.Next() {
		var k mark
		if err := rows.Scan(&k.row, &k.variable.Concept, &k.variable.Unit, &k.number); err != nil {
			return nil, err
		}
		page = append(page, k)
	}
	return page, rows.Err()
}

func clearMarks(ctx context.Context, tx *sqldb.Tx, page []mark, of map[Variable]Fence) (int64, error) {
	var stale []int64
	for _, k := range page {
		f, fenced := of[k.variable]
		if !fenced || k.number == nil || *k.number >= f.Low && *k.number <= f.High {
			stale = append(stale, k.row)
		}
	}
	if len(stale) == 0 {
		return 0, nil
	}
	among, arg := tx.Dialect().Among("row_id", stale)
	return tx.Exec(ctx, "DELETE FROM quality WHERE by_distribution AND "+among, arg)
}

// outside is the condition that m is outside of a fence and has no mark.
func (f Fence) outside() (string, []any) {
	var w where
	w.add("m.measurement_concept_id = ?", f.Concept)
	if f.Unit == 0 {
		w.add("m.unit_concept_id IS NULL")
	} else {
		w.add("m.unit_concept_id = ?", f.Unit)
	}
	w.add("(m.value_as_number < ? OR m.value_as_number > ?)", f.Low, f.High)
	w.add("NOT EXISTS (SELECT 1 FROM quality q WHERE q.row_id = m.measurement_id)")
	return w.text(), w.args
}

// mark marks what is outside of f. The rows are found first, in a read: only changes
// keep others from writing.
func (s *Store) mark(ctx context.Context, f Fence) (set int64, err error) {
	condition, args := f.outside()
	var found []int64
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		for id, err := range scanAll(ctx, tx, "SELECT m.measurement_id FROM measurement m WHERE "+condition, args, func(rows *sqldb.Rows) (id int64, err error) {
			err = rows.Scan(&id)
			return id, err
		}) {
			if err != nil {
				return err
			}
			found = append(found, id)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	slices.Sort(found)
	for chunk := range slices.Chunk(found, markRows) {
		err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
			among, arg := tx.Dialect().Among("m.measurement_id", chunk)
			n, err := tx.Exec(ctx, `INSERT INTO quality (row_id, is_valid, is_outlier, by_distribution)
				SELECT m.measurement_id, TRUE, TRUE, TRUE FROM measurement m WHERE `+among+" AND "+condition+" ON CONFLICT DO NOTHING",
				append([]any{arg}, args...)...)
			set += n
			return err
		})
		if err != nil {
			return set, err
		}
	}
	return set, nil
}
