package fsck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Named returns the digests of all raw copies that the jobs and rows of a node's
// database need, ascending. They take 32 bytes of memory each.
func Named(ctx context.Context, tx *sqldb.Tx) ([]raw.Digest, error) {
	file := "unhex(file)"
	if tx.Dialect() == sqldb.Postgres {
		file = "decode(file, 'hex')"
	}
	var names []raw.Digest
	err := tx.Each(ctx, `SELECT raw FROM load UNION SELECT raw FROM series_load UNION SELECT `+file+` FROM ingest_job`, nil, func(rows *sqldb.Rows) error {
		var d []byte
		if err := rows.Scan(&d); err != nil {
			return err
		}
		if len(d) != len(raw.Digest{}) {
			return errors.New("a job or a load names no digest of a file")
		}
		names = append(names, raw.Digest(d))
		return nil
	})
	slices.SortFunc(names, compare)
	return names, err
}

func compare(a, b raw.Digest) int { return bytes.Compare(a[:], b[:]) }

// raw reads every raw copy that is named to its end.
func (c *checker) raw(ctx context.Context) error {
	if err := c.unnamed(ctx); err != nil {
		return err
	}
	v := &verifying{checker: c, bad: map[Rule]int{}}
	group, ctx := errgroup.WithContext(ctx)
	work := make(chan raw.Digest)
	group.Go(func() error {
		defer close(work)
		for _, d := range c.names {
			select {
			case work <- d:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range c.cfg.Workers {
		group.Go(func() error {
			for d := range work {
				if err := v.verify(ctx, d); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for rule, n := range v.bad {
		if n > mostRaw {
			c.add(Finding{Rule: rule, Place: "raw, not listed", Count: int64(n - mostRaw)})
		}
	}
	return nil
}

// unnamed counts the files that nothing names.
func (c *checker) unnamed(ctx context.Context) error {
	for d, err := range c.cfg.Raw.Digests(ctx) {
		if err != nil {
			return err
		}
		if _, named := slices.BinarySearchFunc(c.names, d, compare); !named {
			c.report.Unnamed++
		}
	}
	return nil
}

// verifying is the reading of raw copies by several goroutines.
type verifying struct {
	*checker

	mu  sync.Mutex // guards report and bad
	bad map[Rule]int
}

func (v *verifying) verify(ctx context.Context, d raw.Digest) error {
	n, err := read(ctx, v.cfg.Raw, d)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.RawFiles++
	v.report.RawBytes += n
	v.cfg.Progress(Progress{Doing: "raw copies", Done: v.report.RawFiles, Total: int64(len(v.names)), Bytes: v.report.RawBytes})
	var rule Rule
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raw.ErrNotFound):
		rule = RawMissing
	case errors.Is(err, raw.ErrDamaged):
		rule = RawDamaged
	default:
		rule = RawUnread
	}
	if v.bad[rule]++; v.bad[rule] > mostRaw {
		return nil
	}
	f := Finding{Rule: rule, Place: "raw " + d.String()}
	if err := v.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error { return f.needs(ctx, tx, d) }); err != nil && !errors.Is(err, sqldb.ErrDamaged) {
		return err
	}
	v.add(f)
	return nil
}

// needs counts who needs a raw copy and lists the jobs.
func (f *Finding) needs(ctx context.Context, tx *sqldb.Tx, d raw.Digest) error {
	if err := tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM ingest_job WHERE file = ?) + (SELECT count(*) FROM load WHERE raw = ?)
		+ (SELECT count(*) FROM series_load WHERE raw = ?)`, d.String(), d[:], d[:]).Scan(&f.Count); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, "SELECT job_id FROM ingest_job WHERE file = ? ORDER BY job_id LIMIT ?", d.String(), mostRows)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		f.Jobs = append(f.Jobs, id)
	}
	return rows.Err()
}

// read reads a raw copy to its end and returns its size.
func read(ctx context.Context, store *raw.Store, d raw.Digest) (int64, error) {
	f, err := store.Open(ctx, d)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		read, err := f.Read(buf)
		n += int64(read)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("read: %w", err)
		}
	}
}
