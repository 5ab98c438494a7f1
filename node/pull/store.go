package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// open adds a run of a pull that has none under way.
func (p *Puller) open(ctx context.Context, s Settings) (Run, error) {
	r := Run{Pull: s.Name, State: Waiting, Asked: p.cfg.Now(), asks: s.asks(), Findings: map[string]int64{}}
	err := p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := tx.Lock(ctx, "pull/"+s.Name); err != nil {
			return err
		}
		var open int
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM pull_run WHERE pull = ? AND ended_at IS NULL`, s.Name).Scan(&open); err != nil {
			return err
		}
		if open > 0 {
			return errUnderWay
		}
		r.Since = s.Export.Since
		if !s.Whole {
			var last *time.Time
			err := tx.QueryRow(ctx, `SELECT until FROM pull_run WHERE pull = ? AND asks = ? AND state IN (?, ?) ORDER BY run_id DESC LIMIT 1`,
				s.Name, r.asks, string(Completed), string(WithProblems)).Scan(&last)
			if err != nil && !errors.Is(err, sqldb.ErrNoRows) {
				return err
			}
			if last != nil {
				r.Since = *last
			}
		}
		return tx.QueryRow(ctx, `INSERT INTO pull_run (pull, asks, state, asked_at, since) VALUES (?, ?, ?, ?, ?) RETURNING run_id`,
			r.Pull, r.asks, string(r.State), r.Asked, optional(r.Since)).Scan(&r.ID)
	})
	return r, err
}

// lastAsked is when the newest run of a pull was asked for, zero for never.
func (p *Puller) lastAsked(ctx context.Context, name string) (time.Time, error) {
	runs, err := p.runs(ctx, name, 1)
	if err != nil || len(runs) == 0 {
		return time.Time{}, err
	}
	return runs[0].Asked, nil
}

const runColumns = `run_id, pull, asks, state, asked_at, ended_at, since, until, place, progress, findings, error`

func scanRun(row interface{ Scan(...any) error }) (Run, error) {
	var r Run
	var state, findings string
	var ended, since, until *time.Time
	if err := row.Scan(&r.ID, &r.Pull, &r.asks, &state, &r.Asked, &ended, &since, &until, &r.place, &r.Progress, &findings, &r.Error); err != nil {
		return Run{}, err
	}
	r.State = State(state)
	for _, t := range []struct {
		from *time.Time
		to   *time.Time
	}{{ended, &r.Ended}, {since, &r.Since}, {until, &r.Until}} {
		if t.from != nil {
			*t.to = *t.from
		}
	}
	return r, json.Unmarshal([]byte(findings), &r.Findings)
}

// runs returns the newest runs of a pull without their files.
func (p *Puller) runs(ctx context.Context, name string, limit int) ([]Run, error) {
	return p.query(ctx, `SELECT `+runColumns+` FROM pull_run WHERE pull = ? ORDER BY run_id DESC LIMIT ?`, name, limit)
}

// openRuns returns all runs that are not over, in the order in which they were asked for.
func (p *Puller) openRuns(ctx context.Context) ([]Run, error) {
	return p.query(ctx, `SELECT `+runColumns+` FROM pull_run WHERE ended_at IS NULL ORDER BY run_id`)
}

func (p *Puller) query(ctx context.Context, statement string, args ...any) ([]Run, error) {
	var list []Run
	err := p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, statement, args, func(rows *sqldb.Rows) error {
			r, err := scanRun(rows)
			if err != nil {
				return err
			}
			list = append(list, r)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("runs of pulls: %w", err)
	}
	return list, nil
}

// files returns the files of a run in the order in which they are fetched.
func (p *Puller) files(ctx context.Context, run int64) ([]File, error) {
	var list []File
	err := p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT number, stage, kind, type, url, token, fetched_at, digest, job_id FROM pull_file WHERE run_id = ? ORDER BY stage, number`, []any{run}, func(rows *sqldb.Rows) error {
			var f File
			var kind string
			var token int
			var fetched *time.Time
			var job *int64
			if err := rows.Scan(&f.number, &f.stage, &kind, &f.Type, &f.url, &token, &fetched, &f.Digest, &job); err != nil {
				return err
			}
			f.Kind, f.token, f.Fetched = FileKind(kind), token != 0, fetched != nil
			if job != nil {
				f.Job = ingest.JobID(*job)
			}
			list = append(list, f)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("files of a pull: %w", err)
	}
	return list, nil
}

// optional is nil for a time that is not set.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// update changes an open run. It returns [errCancelled] if the run is over.
func (p *Puller) update(ctx context.Context, run int64, set string, args ...any) error {
	return p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error { return update(ctx, tx, run, set, args...) })
}

func update(ctx context.Context, tx *sqldb.Tx, run int64, set string, args ...any) error {
	n, err := tx.Exec(ctx, `UPDATE pull_run SET `+set+` WHERE run_id = ? AND ended_at IS NULL`, append(args, run)...)
	if err == nil && n == 0 {
		err = errCancelled
	}
	return err
}

// addFile writes a file that a run is to fetch.
func addFile(ctx context.Context, tx *sqldb.Tx, run int64, f File) error {
	token := 0
	if f.token {
		token = 1
	}
	_, err := tx.Exec(ctx, `INSERT INTO pull_file (run_id, number, stage, kind, type, url, token) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		run, f.number, f.stage, string(f.Kind), f.Type, f.url, token)
	return err
}
