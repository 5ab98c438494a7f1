package series

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Fault is what is wrong with a stored row.
type Fault string

// The faults.
const (
	DamagedBody Fault = "damaged-body"  // cannot be decoded, or is not what its row says
	UnknownLoad Fault = "point-no-load" // a point is of a load that is not there
)

// Check decodes every body of db and gives what is wrong to found: table and key of
// the row. Every point has to be of a load that is there. It returns how many points
// there are, aggregates included, and uses 8 bytes of memory for each load.
func Check(ctx context.Context, tx *sqldb.Tx, found func(f Fault, table string, key int64)) (points int64, err error) {
	c := &checker{found: found}
	for _, step := range []func(context.Context, *sqldb.Tx) error{c.readLoads, c.chunks, c.landed, c.aggregates} {
		if err := step(ctx, tx); err != nil {
			return c.points, fmt.Errorf("series: check: %w", err)
		}
	}
	return c.points, nil
}

type checker struct {
	found  func(Fault, string, int64)
	loads  []int64 // ascending
	points int64
}

func (c *checker) readLoads(ctx context.Context, tx *sqldb.Tx) error {
	return tx.Each(ctx, "SELECT load_id FROM series_load ORDER BY load_id", nil, func(rows *sqldb.Rows) error {
		var id int64
		err := rows.Scan(&id)
		c.loads = append(c.loads, id)
		return err
	})
}

// known reports whether all points are of loads that are there.
func (c *checker) known(points []Point) bool {
	for i := range points {
		if i > 0 && points[i].Load == points[i-1].Load {
			continue
		}
		if _, ok := slices.BinarySearch(c.loads, int64(points[i].Load)); !ok {
			return false
		}
	}
	return true
}

// judge notes what is wrong with a row whose body gave points, or err.
func (c *checker) judge(table string, key int64, points []Point, count int64, err error) {
	c.points += int64(len(points))
	switch {
	case err != nil || int64(len(points)) != count:
		c.found(DamagedBody, table, key)
	case !c.known(points):
		c.found(UnknownLoad, table, key)
	}
}

func (c *checker) chunks(ctx context.Context, tx *sqldb.Tx) error {
	var points []Point
	return tx.Each(ctx, "SELECT chunk_id, first_ms, last_ms, points, body FROM series_chunk", nil, func(rows *sqldb.Rows) error {
		var key, first, last, count int64
		var body []byte
		if err := rows.Scan(&key, &first, &last, &count, &body); err != nil {
			return err
		}
		var err error
		if points, err = decodeChunk(points[:0], body, 0); err != nil {
			points = points[:0]
		} else if points[0].Time != first || points[len(points)-1].Time != last {
			err = errDamaged
		}
		c.judge("series_chunk", key, points, count, err)
		return nil
	})
}

func (c *checker) landed(ctx context.Context, tx *sqldb.Tx) error {
	var points []Point
	return eachLanded(ctx, tx, "1 = 1", nil, func(l landed) error {
		b, err := newBlockReader(&l)
		points = points[:0]
		if err == nil {
			for r, ok := b.next(); ok && err == nil; r, ok = b.next() {
				points, err = r.points(points)
			}
			err = errors.Join(err, b.err())
		}
		c.judge("series_landed", int64(l.load), points, l.points, err)
		return nil
	})
}

func (c *checker) aggregates(ctx context.Context, tx *sqldb.Tx) error {
	var list []Aggregate
	return tx.Each(ctx, "SELECT aggregate_id, width_ms, aggregates, body FROM series_aggregate", nil, func(rows *sqldb.Rows) error {
		var key, width, count int64
		var body []byte
		if err := rows.Scan(&key, &width, &count, &body); err != nil {
			return err
		}
		var err error
		if list, err = decodeAggregates(list[:0], body, width, 0); err != nil || int64(len(list)) != count {
			c.found(DamagedBody, "series_aggregate", key)
			list = list[:0]
		}
		c.points += int64(len(list))
		return nil
	})
}
