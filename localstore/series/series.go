// Package series holds dense time series of people: what wearables and monitors
// send, up to some points a second.
//
// Start from [Store]. [Store.Append] lands a [Batch] durably as one row, in the
// caller's transaction; [Store.Compact] later merges what has landed into chunks
// of consecutive points, one row each; [Store.Points] reads both. A point is known
// by its person, variable, source and time: the same point again changes nothing,
// another value for it replaces the earlier one. Which of the two happened is
// settled by Compact and read with [Store.Outcome]. [Store.Retain] turns old
// points into aggregates.
//
// Times are milliseconds since 1970 UTC, values finite float64 that come back bit
// for bit. Points, aggregates and batches neither print nor marshal. DESIGN.md has
// the layout, its reasons and the measurements.
package series

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

//go:embed migrations
var migrations embed.FS

// Config configures a [Store]. The zero value keeps every point for ever.
type Config struct {
	// Partition is the span of time that no chunk reaches over, and so the step in
	// which Retain works: whole hours, 1 h to 366 days. Defaults to 28 days. It is
	// fixed when the store is first opened.
	Partition time.Duration

	// Bite is how many landed points one Compact takes on, 1,000 to 10,000,000; it
	// uses some 50 bytes of memory for each. A larger bite rewrites each chunk less
	// often. Defaults to 1,000,000.
	Bite int

	// Retention says how long points are kept.
	Retention Retention
}

// Retention says how long points and aggregates are kept, counted from the time
// that a point was observed. 0 means for ever; the times that are set must grow
// from Raw to Hour, and a tier needs those before it.
type Retention struct {
	Raw    time.Duration // points; then aggregates of one minute
	Minute time.Duration // aggregates of one minute; then of one hour
	Hour   time.Duration // aggregates of one hour; then nothing
}

func (c Config) withDefaults() Config {
	if c.Partition == 0 {
		c.Partition = 28 * 24 * time.Hour
	}
	if c.Bite == 0 {
		c.Bite = 1_000_000
	}
	return c
}

func (c Config) validate() error {
	if c.Partition < time.Hour || c.Partition > 366*24*time.Hour || c.Partition%time.Hour != 0 {
		return errors.New("partition must be whole hours, 1 h to 366 days")
	}
	if c.Bite < 1_000 || c.Bite > 10_000_000 {
		return errors.New("bite must be 1,000 to 10,000,000 points")
	}
	return c.Retention.validate()
}

func (r Retention) validate() error {
	before := r.Raw
	for _, keep := range []time.Duration{r.Raw, r.Minute, r.Hour} {
		switch {
		case keep < 0:
			return errors.New("retention must not be negative")
		case keep > 0 && before == 0:
			return errors.New("retention of a tier needs that of the tiers before it")
		case keep > 0 && keep < before:
			return errors.New("retention must grow from raw to hour")
		}
		before = keep
	}
	return nil
}

// Store reads and writes series. It is safe for concurrent use, also by several
// processes on one database.
type Store struct {
	db     *sqldb.DB
	cfg    Config
	limits limits

	// changing is held by Compact and Retain, so that those of one process take
	// turns; several processes are kept apart by the table series_state.
	changing sync.Mutex
}

// Open brings the tables of db up to date and returns a Store over them. It fails
// if the store was made with another partition.
func Open(ctx context.Context, db *sqldb.DB, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("series: %w", err)
	}
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("series: %w", err)
	}
	if err := sqldb.Migrate(ctx, db, "series", sub); err != nil {
		return nil, fmt.Errorf("series: %w", err)
	}
	s := &Store{db: db, cfg: cfg, limits: defaults}
	if err := db.Write(ctx, func(tx *sqldb.Tx) error { return s.fixPartition(ctx, tx) }); err != nil {
		return nil, fmt.Errorf("series: open: %w", err)
	}
	return s, nil
}
