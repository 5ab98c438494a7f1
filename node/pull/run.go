package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// State is how far a run is.
type State string

// The states.
const (
	Waiting      State = "waiting"   // to begin
	Exporting    State = "exporting" // the server works on it
	Fetching     State = "fetching"  // files, and loading them
	Completed    State = "completed"
	WithProblems State = "completed with problems" // of the server, or of a load
	Failed       State = "failed"
	Cancelled    State = "cancelled"
)

// Run is one fetch of what a server has.
type Run struct {
	ID    int64
	Pull  string
	State State

	Asked time.Time
	Ended time.Time // zero while it goes on
	Since time.Time // only what changed from then on was asked for; zero for all
	Until time.Time // as of when the data are, by the server's clock; zero if not known yet

	Progress string           // as the server puts it
	Findings map[string]int64 // what was seen and not stored, such as "deleted Observation"
	Error    string           // of the last attempt that failed
	Files    []File

	asks  string
	place string // URL of the export's status
}

// File is a file that a run fetches.
type File struct {
	Kind    FileKind
	Type    string // of FHIR, empty for several
	Fetched bool
	Digest  string       // of the raw copy, empty if there is none
	Job     ingest.JobID // that loads it, 0 for none

	number, stage int
	url           string
	token         bool
}

// FileKind is what a file of a run holds.
type FileKind string

// The kinds of files.
const (
	Output   FileKind = "output"  // resources of an export
	Deleted  FileKind = "deleted" // bundles that say what is gone
	Errors   FileKind = "error"   // OperationOutcomes of an export
	Searched FileKind = "search"  // resources of a search's pages
)

// What the site's requests meet.
var (
	errUnknown  = problem.New(problem.NotFound, "no such pull: its settings are NAME.yaml in the folder pulls of the node")
	errUnderWay = problem.New(problem.Conflict, "a run of this pull is under way")
	errNoRun    = problem.New(problem.Conflict, "no run of this pull is under way")

	// errCancelled ends what is done for a run that was cancelled meanwhile.
	errCancelled = errors.New("the run was cancelled")
)

// Listed is a pull with how it stands.
type Listed struct {
	Entry
	Next time.Time // when it falls due, zero for never
	Last *Run      // nil if it never ran; without its files
}

// List returns all pulls, by name.
func (p *Puller) List(ctx context.Context) ([]Listed, error) {
	pulls, err := ReadAll(p.cfg.Dir)
	if err != nil {
		return nil, err
	}
	list := make([]Listed, 0, len(pulls))
	for _, pull := range pulls {
		one := Listed{Entry: pull}
		runs, err := p.runs(ctx, pull.Name, 1)
		if err != nil {
			return nil, err
		}
		if len(runs) > 0 {
			one.Last = &runs[0]
		}
		if pull.Err == nil {
			if one.Next, err = p.next(ctx, pull.Settings); err != nil {
				return nil, err
			}
		}
		list = append(list, one)
	}
	return list, nil
}

// Start opens a run of a pull. It is durable when Start returns.
func (p *Puller) Start(ctx context.Context, name string) (Run, error) {
	s, err := Read(p.cfg.Dir, name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrName):
		return Run{}, errUnknown
	case err != nil:
		return Run{}, problem.New(problem.Invalid, "the settings of the pull: "+err.Error())
	}
	r, err := p.open(ctx, s)
	if err != nil {
		return Run{}, fmt.Errorf("pull %s: %w", name, err)
	}
	p.rouse()
	return r, nil
}

// Runs returns the newest runs of a pull with their files, at most limit (1 to 100), newest
// first.
func (p *Puller) Runs(ctx context.Context, name string, limit int) ([]Run, error) {
	if limit < 1 || limit > 100 {
		return nil, problem.New(problem.Invalid, "a page has 1 to 100 runs")
	}
	runs, err := p.runs(ctx, name, limit)
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		if _, err := Read(p.cfg.Dir, name); errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrName) {
			return nil, errUnknown
		}
	}
	for i := range runs {
		if runs[i].Files, err = p.files(ctx, runs[i].ID); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// Cancel ends the run of a pull that is under way. What was fetched is loaded all the same.
func (p *Puller) Cancel(ctx context.Context, name string) (Run, error) {
	var r Run
	err := p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		var err error
		r, err = scanRun(tx.QueryRow(ctx, `SELECT `+runColumns+` FROM pull_run WHERE pull = ? AND ended_at IS NULL`, name))
		if errors.Is(err, sqldb.ErrNoRows) {
			return errNoRun
		}
		if err != nil {
			return err
		}
		r.State, r.Ended = Cancelled, p.cfg.Now()
		_, err = tx.Exec(ctx, `UPDATE pull_run SET state = ?, ended_at = ? WHERE run_id = ?`, string(Cancelled), r.Ended, r.ID)
		return err
	})
	if err != nil {
		return Run{}, fmt.Errorf("pull %s: %w", name, err)
	}
	p.ended.WithLabelValues(string(Cancelled)).Inc()
	p.mu.Lock()
	defer p.mu.Unlock()
	if cancel := p.running[r.ID]; cancel != nil {
		cancel(errCancelled)
	}
	return r, nil
}

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
		rows, err := tx.Query(ctx, statement, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			r, err := scanRun(rows)
			if err != nil {
				return err
			}
			list = append(list, r)
		}
		return rows.Err()
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
		rows, err := tx.Query(ctx, `SELECT number, stage, kind, type, url, token, fetched_at, digest, job_id FROM pull_file WHERE run_id = ? ORDER BY stage, number`, run)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
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
		}
		return rows.Err()
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
