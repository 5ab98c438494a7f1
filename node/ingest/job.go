package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// State is how far a job is.
type State string

// The states. Dead and cancelled jobs wait for [Service.Retry].
const (
	Queued       State = "queued"
	Running      State = "running"
	Completed    State = "completed"
	WithProblems State = "completed with problems"
	Failed       State = "failed" // and will be tried again
	Dead         State = "dead"
	Cancelled    State = "cancelled" // by [Service.Cancel]; what was committed stays
)

// Ended reports whether nothing more happens by itself.
func (s State) Ended() bool {
	return s == Completed || s == WithProblems || s == Dead || s == Cancelled
}

// ErrJob says that there is no such job.
var ErrJob = problem.New(problem.NotFound, "no such job")

// Counts are what a job has committed so far. They name types, rules and
// vocabularies, never a value.
type Counts struct {
	BytesRead  int64 `json:"bytesRead"`  // of the raw copy
	Records    int64 `json:"records"`    // that could be read
	Stored     int64 `json:"stored"`     // rows that were new
	Replaced   int64 `json:"replaced"`   // rows that were known with another content
	Duplicates int64 `json:"duplicates"` // rows that were known
	Removed    int64 `json:"removed"`    // rows that an earlier mapper made of the file and this one does not
	Rejected   int64 `json:"rejected"`   // problems: records or parts that were not stored

	Strangers int64 `json:"strangers,omitempty"` // of the problems, rows of persons who were not there

	ByType   map[string]int64 `json:"byType"`   // records by FHIR type or CDM table, at most 200 types, the rest as "other"
	Unmapped map[string]int64 `json:"unmapped"` // codes without a standard concept, such as "SNOMED code"
	Findings map[string]int64 `json:"findings"` // of the checks, by rule, or "rule column" of a CDM
}

// Job is one load of one file.
type Job struct {
	ID   JobID
	File raw.Digest
	Name string

	State      State
	Attempt    int // 0 before the first
	BytesTotal int64
	Counts     Counts
	Mapper     string // mapper and vocabulary
	Error      string // of the last attempt that failed

	Accepted       time.Time
	Started, Ended time.Time // zero if not yet
}

const jobColumns = `job_id, file, name, state, attempt, bytes_total, counts, mapper, error, accepted_at, started_at, ended_at`

func scanJob(row interface{ Scan(...any) error }) (Job, error) {
	var j Job
	var id int64
	var file, state, counts string
	var started, ended *time.Time
	if err := row.Scan(&id, &file, &j.Name, &state, &j.Attempt, &j.BytesTotal, &counts, &j.Mapper, &j.Error, &j.Accepted, &started, &ended); err != nil {
		return Job{}, err
	}
	j.ID, j.State = JobID(id), State(state)
	if started != nil {
		j.Started = *started
	}
	if ended != nil {
		j.Ended = *ended
	}
	var err error
	if j.File, err = raw.ParseDigest(file); err != nil {
		return Job{}, err
	}
	return j, json.Unmarshal([]byte(counts), &j.Counts)
}

// Job returns a job, or [ErrJob].
func (s *Service) Job(ctx context.Context, id JobID) (Job, error) {
	var list []Job
	err := s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		j, err := scanJob(tx.QueryRow(ctx, `SELECT `+jobColumns+` FROM ingest_job WHERE job_id = ?`, int64(id)))
		if errors.Is(err, sqldb.ErrNoRows) {
			return ErrJob
		}
		list = []Job{j}
		return err
	})
	if err == nil {
		err = s.bury(ctx, list)
	}
	if err != nil {
		return Job{}, fmt.Errorf("job %d: %w", id, err)
	}
	return list[0], nil
}

// Jobs returns up to limit jobs (1 to 1,000) accepted before the job before, 0
// for all, newest first; of only the given states, if any is given. Of dead jobs the
// 1,000 that died last are found by their state.
func (s *Service) Jobs(ctx context.Context, before JobID, limit int, only ...State) ([]Job, error) {
	if limit < 1 || limit > 1000 {
		return nil, problem.New(problem.Invalid, "a page has 1 to 1,000 jobs")
	}
	where, args, err := s.inState(ctx, only)
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	var list []Job
	err = s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT `+jobColumns+` FROM ingest_job WHERE (? = 0 OR job_id < ?)`+where+` ORDER BY job_id DESC LIMIT ?`, slices.Concat([]any{int64(before), int64(before)}, args, []any{limit}), func(rows *sqldb.Rows) error {
			j, err := scanJob(rows)
			if err != nil {
				return err
			}
			list = append(list, j)
			return nil
		})
	})
	if err == nil {
		err = s.bury(ctx, list)
	}
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return list, nil
}

// inState returns the condition that a job is in one of some states, "" if none is
// given. A dead job is one of the queue's dead that the table has as still open.
func (s *Service) inState(ctx context.Context, only []State) (where string, args []any, err error) {
	if len(only) == 0 {
		return "", nil, nil
	}
	dead, err := s.cfg.Jobs.Dead(ctx, 1000)
	if err != nil {
		return "", nil, err
	}
	ids := make([]int64, 0, len(dead))
	for _, d := range dead {
		ids = append(ids, d.ID)
	}
	among, arg := s.cfg.DB.Dialect().Among("job_id", ids)
	over := []any{string(Completed), string(WithProblems), string(Cancelled)}
	isDead := "(" + among + " AND state NOT IN (" + sqldb.Placeholders(len(over)) + "))"

	states := make([]any, 0, len(only))
	for _, state := range only {
		states = append(states, string(state))
	}
	where = " AND (state IN (" + sqldb.Placeholders(len(states)) + ") AND NOT " + isDead
	args = slices.Concat(states, []any{arg}, over)
	if slices.Contains(only, Dead) {
		where, args = where+" OR "+isDead, slices.Concat(args, []any{arg}, over)
	}
	return where + ")", args, nil
}

// bury marks the jobs that the queue has given up: only it knows, as a process that
// dies in the last attempt cannot say so itself.
func (s *Service) bury(ctx context.Context, list []Job) error {
	open := false
	for _, j := range list {
		open = open || !j.State.Ended()
	}
	if !open {
		return nil
	}
	dead, err := s.cfg.Jobs.Dead(ctx, 1000)
	if err != nil {
		return err
	}
	for _, d := range dead {
		for i := range list {
			if j := &list[i]; j.ID == JobID(d.ID) && !j.State.Ended() {
				j.State, j.Error, j.Ended = Dead, strings.TrimPrefix(d.Error, "JobCancelError: "), d.At
				j.Attempt = max(j.Attempt, d.Attempts) // which may have begun after list was read
			}
		}
	}
	return nil
}

// Retry makes a job that is dead or cancelled, or waits for its next attempt,
// available at once. It goes on where its last batch ended.
func (s *Service) Retry(ctx context.Context, id JobID) error {
	j, err := s.Job(ctx, id)
	if err != nil {
		return err
	}
	if j.State != Dead && j.State != Failed && j.State != Cancelled {
		return problem.New(problem.Conflict, "the job has neither failed nor been cancelled")
	}
	// The state goes first: a worker may take the job at once.
	if err := s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE ingest_job SET state = ?, error = '', ended_at = NULL WHERE job_id = ?`, string(Queued), int64(id))
		return err
	}); err != nil {
		return err
	}
	err = s.cfg.Jobs.Retry(ctx, int64(id))
	var conflict *problem.Error
	switch {
	case j.State != Cancelled || err == nil:
		return err
	case errors.Is(err, jobs.ErrUnderWay): // its attempt has not noticed yet
		conflict = problem.New(problem.Conflict, "the job is still ending; try again in a moment")
	case errors.Is(err, jobs.ErrNotFound): // the queue keeps what is over for a day
		conflict = problem.New(problem.Conflict, "the job was cancelled too long ago; load the file again")
	default:
		return err
	}
	return errors.Join(conflict, s.Cancel(ctx, id))
}

// errCancelled ends the attempt at a job that was cancelled meanwhile.
var errCancelled = errors.New("the job was cancelled")

// Cancel ends a job that is not over. When it returns, nothing more of the file is
// stored; what was stored before stays.
func (s *Service) Cancel(ctx context.Context, id JobID) error {
	j, err := s.Job(ctx, id)
	if err != nil {
		return err
	}
	over := problem.New(problem.Conflict, "the job is over")
	if j.State.Ended() {
		return over
	}
	return s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE ingest_job SET state = ?, ended_at = ?, error = '' WHERE job_id = ? AND state IN (?, ?, ?)`,
			string(Cancelled), s.cfg.Now(), int64(id), string(Queued), string(Running), string(Failed))
		if err == nil && n == 0 {
			return over // it ended just now
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, id, j.File.String(), Cancelled)
	})
}

// setState says how an attempt ended that a cancelled job does not wait for.
func setState(ctx context.Context, tx *sqldb.Tx, id JobID, state State, reason string) error {
	_, err := tx.Exec(ctx, `UPDATE ingest_job SET state = ?, error = ? WHERE job_id = ? AND state <> ?`, string(state), reason, int64(id), string(Cancelled))
	return err
}

// latest returns the job that makes another one for the same file needless, or 0.
func latest(ctx context.Context, tx *sqldb.Tx, file raw.Digest, mapper string) (JobID, error) {
	var id int64
	var state, used string
	err := tx.QueryRow(ctx, `SELECT job_id, state, mapper FROM ingest_job WHERE file = ? ORDER BY job_id DESC LIMIT 1`, file.String()).Scan(&id, &state, &used)
	switch {
	case errors.Is(err, sqldb.ErrNoRows):
		return 0, nil
	case err != nil:
		return 0, err
	case State(state) == WithProblems, State(state) == Cancelled, State(state) == Completed && used != mapper:
		return 0, nil
	}
	return JobID(id), nil
}

// printable is what of a name can be shown.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, name)
}
