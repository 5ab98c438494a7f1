package series

import (
	"context"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Outcome is what became of the points of a load. While Settled is false the
// counts below Points are zero: its points are durable and readable, but not yet
// compared with those that were there.
type Outcome struct {
	Origin  Origin
	At      time.Time
	Points  int64 // landed
	Settled bool

	Stored     int64 // new
	Replaced   int64 // known, with another value or other flags
	Duplicates int64 // known, unchanged
	Expired    int64 // of a time that was closed by Retain in between
}

// Outcome returns what became of a load, or [sqldb.ErrNoRows]. Of a load that
// [Point.Load] names it is the lineage of the point.
func (s *Store) Outcome(ctx context.Context, tx *sqldb.Tx, id LoadID) (Outcome, error) {
	var o Outcome
	var raw []byte
	if err := tx.QueryRow(ctx, `SELECT raw, mapper, pointer, landed_at, points, settled, stored, replaced, duplicates, expired
		FROM series_load WHERE load_id = ?`, id).Scan(&raw, &o.Origin.Mapper, &o.Origin.Pointer, &o.At, &o.Points, &o.Settled,
		&o.Stored, &o.Replaced, &o.Duplicates, &o.Expired); err != nil {
		return Outcome{}, fmt.Errorf("series: outcome of load %d: %w", id, err)
	}
	if len(raw) != len(o.Origin.Raw) {
		return Outcome{}, fmt.Errorf("series: outcome of load %d: digest of the wrong length", id)
	}
	o.Origin.Raw = [32]byte(raw)
	return o, nil
}

// Backlog is what has landed and waits for [Store.Compact].
type Backlog struct {
	Loads  int64
	Points int64
	Bytes  int64
}

// Backlog returns what waits. Readers of a person look through all of it, so a
// node compacts when some hundred thousand points wait and at idle times, and
// slows its senders when Compact does not keep up.
func (s *Store) Backlog(ctx context.Context, tx *sqldb.Tx) (Backlog, error) {
	var b Backlog
	if err := tx.QueryRow(ctx, `SELECT count(*), coalesce(CAST(sum(points) AS BIGINT), 0),
		coalesce(CAST(sum(length(body)) AS BIGINT), 0) FROM series_landed`).Scan(&b.Loads, &b.Points, &b.Bytes); err != nil {
		return Backlog{}, fmt.Errorf("series: backlog: %w", err)
	}
	return b, nil
}
