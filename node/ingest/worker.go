package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
)

// sayWait bounds how long a job that ends badly may take to say so.
const sayWait = 5 * time.Second

// refreshRows is how many rows a load has stored that is worth a look at how the tables
// have grown.
const refreshRows = 1000

// work is one attempt at a job.
func (s *Service) work(ctx context.Context, j *jobs.Job[args]) error {
	id := JobID(j.ID)
	err := s.load(ctx, j)
	if err == nil || errors.Is(err, errCancelled) { // nothing is left to do
		return nil
	}
	hopeless := errors.Is(err, raw.ErrNotFound) || errors.Is(err, raw.ErrDamaged)
	if hopeless {
		err = jobs.Permanent(err)
	}
	state := Failed // that it is dead is the queue's to say, see bury
	if ctx.Err() != nil {
		state = Queued // the process is being stopped, or the attempt took too long
	}
	say, cancel := context.WithTimeout(context.WithoutCancel(ctx), sayWait)
	defer cancel()
	if serr := s.cfg.DB.Write(say, func(tx *sqldb.Tx) error {
		if state == Failed && (hopeless || j.Last && !jobs.Passing(err)) {
			if err := s.record(say, tx, id, j.Args.File, Dead); err != nil {
				return err
			}
		}
		return setState(say, tx, id, state, err.Error())
	}); serr != nil && !jobs.Passing(serr) { // of which the queue tells
		s.cfg.Log.ErrorContext(ctx, "state of a job could not be written", "job", id, "err", serr)
	}
	return err
}

// record puts the end of a job on the trail, in the transaction that ends it.
func (s *Service) record(ctx context.Context, tx *sqldb.Tx, id JobID, file string, outcome State) error {
	if s.cfg.Trail == nil {
		return nil
	}
	return s.cfg.Trail.Add(ctx, tx, audit.Record{At: s.cfg.Now(), Event: audit.JobFinished, Subject: file, Rule: string(outcome), Job: int64(id)})
}

// load reads the raw copy and stores what is in it.
func (s *Service) load(ctx context.Context, j *jobs.Job[args]) error {
	file, err := raw.ParseDigest(j.Args.File)
	if err != nil {
		return err
	}
	by, err := s.meaning(ctx)
	if err != nil {
		return err
	}
	l, err := s.begin(ctx, j, file, by)
	if err != nil {
		return err
	}
	// Batches are committed before the end of the file is seen, so it is checked first.
	if err := s.cfg.Raw.Verify(ctx, file); err != nil {
		return err
	}
	src, err := s.cfg.Raw.Open(ctx, file)
	if err != nil {
		return err
	}
	defer src.Close()
	l.src = &counter{r: src}
	for rec, err := range source.Read(ctx, l.src, s.cfg.Tables, s.cfg.Reader) {
		if err := l.step(ctx, rec, err); err != nil {
			return err
		}
	}
	if err := l.finish(ctx); err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	if l.counts.Stored >= refreshRows {
		if err := s.cfg.Store.Refresh(ctx); err != nil && ctx.Err() == nil { // the job is over all the same
			s.cfg.Log.WarnContext(ctx, "statistics of tables were not taken; questions may be slow", "job", l.job.ID, "err", err)
		}
	}
	return nil
}
