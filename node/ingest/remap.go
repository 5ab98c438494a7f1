package ingest

import (
	"context"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// ErrFile says that no load has brought such a file.
var ErrFile = problem.New(problem.NotFound, "no such file was loaded")

// Remapped is what [Service.Remap] enqueued.
type Remapped struct {
	Files int     // that will be loaded again
	Jobs  []JobID // of the first 1,000 of them
}

// maxListed bounds Remapped.Jobs.
const maxListed = 1000

// remapChunk is how many loads are enqueued in one transaction.
const remapChunk = 500

// RemapFile loads the raw copy of a file again with the mapper and the reference data of
// now, or returns [ErrFile].
func (s *Service) RemapFile(ctx context.Context, file raw.Digest) (Remapped, error) {
	mapper, err := s.mapperName(ctx)
	if err != nil {
		return Remapped{}, fmt.Errorf("remap file %s: %w", file, err)
	}
	var done Remapped
	if err := s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		id, err := s.remap(ctx, tx, file, mapper, func(Job) bool { return true })
		done = Remapped{1, []JobID{id}}
		return err
	}); err != nil {
		return Remapped{}, fmt.Errorf("remap file %s: %w", file, err)
	}
	j, err := s.Job(ctx, done.Jobs[0])
	if err == nil && j.State == Dead {
		err = s.Retry(ctx, j.ID)
	}
	return done, err
}

// Remap loads the raw copies of files again with the mapper and the reference data of now,
// in the order in which they came: of all files whose load is over, or with outdated only
// of those that another mapper has loaded, or is loading. What is waiting already is left
// as it is. Called again after an error it goes on with the files that are left.
//
// Each load is a job of its own. When it ends, the rows that the earlier mapper made of
// its file and this one does not are gone.
func (s *Service) Remap(ctx context.Context, outdated bool) (Remapped, error) {
	mapper, err := s.mapperName(ctx)
	if err != nil {
		return Remapped{}, fmt.Errorf("remap: %w", err)
	}
	wanted := func(j Job) bool {
		other := j.Mapper != mapper
		return (j.State == Completed || j.State == WithProblems) && (other || !outdated) || j.State == Running && other
	}
	last, err := s.lastJobs(ctx)
	if err != nil {
		return Remapped{}, fmt.Errorf("remap: %w", err)
	}
	var done Remapped
	for chunk := range slices.Chunk(last, remapChunk) {
		ids, err := s.remapAll(ctx, chunk, mapper, wanted)
		if err != nil {
			return done, fmt.Errorf("remap: %w", err)
		}
		done.Files += len(ids)
		done.Jobs = append(done.Jobs, ids[:min(len(ids), maxListed-len(done.Jobs))]...)
	}
	return done, nil
}

// lastJobs returns the newest job of every file, by when the file came first.
func (s *Service) lastJobs(ctx context.Context) (last []int64, err error) {
	err = s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(ctx, `SELECT max(job_id) FROM ingest_job GROUP BY file ORDER BY min(job_id)`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return err
			}
			last = append(last, id)
		}
		return rows.Err()
	})
	return last, err
}

// remapAll enqueues the loads of the files of jobs, if they are wanted, in one transaction.
func (s *Service) remapAll(ctx context.Context, of []int64, mapper string, wanted func(Job) bool) (ids []JobID, err error) {
	err = s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		ids = nil
		for _, id := range of {
			j, err := scanJob(tx.QueryRow(ctx, `SELECT `+jobColumns+` FROM ingest_job WHERE job_id = ?`, id))
			if err != nil {
				return err
			}
			if !wanted(j) {
				continue
			}
			fresh, err := s.remap(ctx, tx, j.File, mapper, wanted)
			if err != nil {
				return err
			}
			if fresh != 0 {
				ids = append(ids, fresh)
			}
		}
		return nil
	})
	return ids, err
}

// remap enqueues the load of a file if its newest job is wanted, and returns the job; 0 if
// it is not. One that is waiting is the job itself, as it has no mapper yet. One that goes
// on with another mapper is cancelled.
func (s *Service) remap(ctx context.Context, tx *sqldb.Tx, file raw.Digest, mapper string, wanted func(Job) bool) (JobID, error) {
	if err := tx.Lock(ctx, "ingest/"+file.String()); err != nil { // as Accept does
		return 0, err
	}
	last, err := lastOf(ctx, tx, file)
	switch {
	case err != nil:
		return 0, err
	case !wanted(last):
		return 0, nil
	case last.State == Queued, last.State == Failed, last.State == Running && last.Mapper == mapper:
		return last.ID, nil
	case last.State == Running:
		if _, err := tx.Exec(ctx, `UPDATE ingest_job SET state = ?, ended_at = ?, error = '' WHERE job_id = ?`,
			string(Cancelled), s.cfg.Now(), int64(last.ID)); err != nil {
			return 0, err
		}
		if err := s.record(ctx, tx, last.ID, file.String(), Cancelled); err != nil {
			return 0, err
		}
	}
	return s.enqueue(ctx, tx, file, last.BytesTotal, last.Name)
}
