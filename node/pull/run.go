package pull

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
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
	Overdue      State = "overdue" // took longer than it may; the next run goes on with it
)

// Run is one fetch of what a server has.
type Run struct {
	ID    int64
	Pull  string
	State State

	Asked time.Time
	Ended time.Time // zero while it goes on
	Since time.Time // only what changed from then on was asked for; zero for all
	Until time.Time // as of when the data are, by the server's clock, which the next run does not rely on; zero if not known yet

	Progress string           // as the server puts it
	Findings map[string]int64 // what was seen and not stored, such as "deleted Observation"
	Error    string           // of the last attempt that failed
	Files    []File

	asks  string
	place string // URL of the export's status

	resumed time.Time // when it was taken up after it was overdue, zero for never

	led fhirserver.Links
}

// begun is from when its deadline counts.
func (r Run) begun() time.Time {
	if r.resumed.IsZero() {
		return r.Asked
	}
	return r.resumed
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

	// errOverdue ends what is done for a run that takes too long.
	errOverdue = errors.New("the run took longer than its deadline lets it: run it again and it goes on from there")

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
