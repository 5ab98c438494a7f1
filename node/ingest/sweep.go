package ingest

import (
	"context"
	"errors"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// sweep removes the rows that an earlier mapper made of the file and this one did not, in
// the transaction of the job's outcome. Files that make some of them too are loaded again.
//
// A pass without a record removes nothing: then the reader of the file is gone, for
// example the mapping of a table, and not what the file says.
func (l *load) sweep(ctx context.Context, tx *sqldb.Tx) error {
	if l.counts.Records == 0 {
		return nil
	}
	again := l.job.ID != l.batch.Position // the file was loaded before
	if again {
		// Of two that end at once one sees the other as over.
		if err := tx.Lock(ctx, "ingest/again"); err != nil {
			return err
		}
	}
	swept, err := l.s.cfg.Store.Sweep(ctx, tx, omop.Pass{Raw: l.batch.Raw, Mapper: l.mapper, Position: l.batch.Position}, l.s.concerned)
	if err != nil {
		return err
	}
	l.counts.Removed = swept.Rows
	var files []raw.Digest
	if again {
		if files, err = l.early(ctx, tx); err != nil {
			return err
		}
	}
	for _, file := range swept.Files {
		files = append(files, file)
	}
	for _, file := range files {
		if err := l.s.again(ctx, tx, file); err != nil {
			return err
		}
	}
	return nil
}

// early returns the files that came too early: files that are mapped again side by side
// may come before their persons, who may have other keys now. Those are the job's own
// file, if it met strangers and a job that was enqueued before it ended meanwhile; and the
// files of jobs that were enqueued after it, have met strangers and have ended, perhaps
// before it began: the queue keeps no order among those that wait.
func (l *load) early(ctx context.Context, tx *sqldb.Tx) ([]raw.Digest, error) {
	var began *time.Time
	if err := tx.QueryRow(ctx, `SELECT started_at FROM ingest_job WHERE job_id = ?`, l.job.ID).Scan(&began); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT job_id, file, state, counts LIKE '%"strangers":%' FROM ingest_job
		WHERE ended_at >= ? OR job_id > ? AND ended_at IS NOT NULL`, began, l.job.ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var files []raw.Digest
	own := false
	for rows.Next() {
		var id int64
		var text, state string
		var strangers bool
		if err := rows.Scan(&id, &text, &state, &strangers); err != nil {
			return nil, err
		}
		own = own || id < l.job.ID && l.counts.Strangers > 0 && State(state) != Cancelled
		if id > l.job.ID && strangers && State(state) == WithProblems {
			file, err := raw.ParseDigest(text)
			if err != nil {
				return nil, err
			}
			files = append(files, file)
		}
	}
	if own {
		files = append(files, raw.Digest(l.batch.Raw))
	}
	return files, rows.Err()
}

// concerned returns those of persons whom more than the tables of the CDM name.
func (s *Service) concerned(ctx context.Context, tx *sqldb.Tx, persons []omop.PersonID) ([]omop.PersonID, error) {
	found, err := s.cfg.Series.Concerned(ctx, tx, persons)
	if err != nil || s.cfg.Concerned == nil {
		return found, err
	}
	more, err := s.cfg.Concerned(ctx, tx, persons)
	return append(found, more...), err
}

// again enqueues the load of a file that was loaded before, unless one waits that has not
// begun.
func (s *Service) again(ctx context.Context, tx *sqldb.Tx, file raw.Digest) error {
	last, err := lastOf(ctx, tx, file)
	if err != nil || last.State == Queued {
		return err
	}
	_, err = s.enqueue(ctx, tx, file, last.BytesTotal, last.Name)
	return err
}

// lastOf returns the newest job of a file, or [ErrFile].
func lastOf(ctx context.Context, tx *sqldb.Tx, file raw.Digest) (Job, error) {
	j, err := scanJob(tx.QueryRow(ctx, `SELECT `+jobColumns+` FROM ingest_job WHERE file = ? ORDER BY job_id DESC LIMIT 1`, file.String()))
	if errors.Is(err, sqldb.ErrNoRows) {
		return Job{}, ErrFile
	}
	return j, err
}
