package pull

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// pauses are those after trouble that may pass; the last one repeats.
var pauses = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// farewell bounds what a run that is over still tells the server and the database.
const farewell = 30 * time.Second

// carry does a run to its end, through trouble that passes, unless ctx ends first.
func (p *Puller) carry(ctx context.Context, r Run) {
	for try := 0; ; try++ {
		err := p.perform(ctx, &r)
		switch {
		case err == nil:
			return
		case errors.Is(err, errCancelled) || errors.Is(context.Cause(ctx), errCancelled):
			p.dismiss(ctx, r)
			return
		case ctx.Err() != nil:
			return // the next Run takes it up
		case errors.Is(err, errOverdue):
			p.cfg.Log.WarnContext(ctx, "pull is overdue", "pull", r.Pull, "run", r.ID)
			if err := p.end(ctx, r, Overdue, err.Error()); err != nil && ctx.Err() == nil && !errors.Is(err, errCancelled) {
				p.cfg.Log.ErrorContext(ctx, "end of a pull could not be written", "pull", r.Pull, "run", r.ID, "err", err)
			}
			return // the export stays for who goes on with it
		case passing(err) && p.cfg.Now().Sub(r.begun()) < p.cfg.Patience:
			p.cfg.Log.WarnContext(ctx, "pull is in trouble and will be tried again", "pull", r.Pull, "run", r.ID, "err", err)
			p.note(ctx, r, err)
			if p.cfg.Wait(ctx, pauses[min(try, len(pauses)-1)]) != nil && !errors.Is(context.Cause(ctx), errCancelled) {
				return
			}
		default:
			p.cfg.Log.ErrorContext(ctx, "pull failed", "pull", r.Pull, "run", r.ID, "err", err)
			if err := p.end(ctx, r, Failed, err.Error()); err != nil && ctx.Err() == nil && !errors.Is(err, errCancelled) {
				p.cfg.Log.ErrorContext(ctx, "end of a pull could not be written", "pull", r.Pull, "run", r.ID, "err", err)
				return // it is open still, and done again
			}
			p.dismiss(ctx, r)
			return
		}
	}
}

// passing reports whether trouble may be gone in a while.
func passing(err error) bool {
	return fhirserver.Passing(err) || jobs.Passing(err) || errors.Is(err, fhirserver.ErrChanged)
}

// note writes why a run waits. Where that fails the log has it.
func (p *Puller) note(ctx context.Context, r Run, why error) {
	if err := p.update(ctx, r.ID, `error = ?`, why.Error()); err != nil && ctx.Err() == nil {
		p.cfg.Log.WarnContext(ctx, "trouble of a pull could not be written", "pull", r.Pull, "run", r.ID, "err", err)
	}
}

// end writes the outcome of a run.
func (p *Puller) end(ctx context.Context, r Run, state State, why string) error {
	if err := p.update(ctx, r.ID, `state = ?, error = ?, ended_at = ?, progress = ''`, string(state), why, p.cfg.Now()); err != nil {
		return err
	}
	p.ended.WithLabelValues(string(state)).Inc()
	return nil
}

// dismiss tells the server that nobody wants the export any more, also when ctx has ended.
func (p *Puller) dismiss(ctx context.Context, r Run) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := p.deleteExport(ctx, r.ID); err != nil {
		p.cfg.Log.WarnContext(ctx, "the server was not told that an export is over; it will find out", "pull", r.Pull, "run", r.ID, "err", err)
	}
}

func (p *Puller) deleteExport(ctx context.Context, run int64) error {
	runs, err := p.query(ctx, `SELECT `+runColumns+` FROM pull_run WHERE run_id = ?`, run)
	if err != nil || len(runs) == 0 || runs[0].place == "" {
		return err
	}
	s, err := Read(p.cfg.Dir, runs[0].Pull)
	if err != nil {
		return err
	}
	client, err := p.client(s)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Delete(ctx, runs[0].place)
}

// client returns a client of the server of a pull.
func (p *Puller) client(s Settings) (*fhirserver.Client, error) {
	cfg := s.server
	cfg.Now, cfg.Wait = p.cfg.Now, p.cfg.Wait
	return fhirserver.New(cfg)
}

// perform does what a run lacks, within its deadline.
func (p *Puller) perform(ctx context.Context, r *Run) error {
	s, err := Read(p.cfg.Dir, r.Pull)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	left := s.Deadline - p.cfg.Now().Sub(r.begun())
	if left <= 0 {
		return errOverdue
	}
	timed, cancel := context.WithTimeoutCause(ctx, left, errOverdue)
	defer cancel()
	err = p.performAs(timed, s, r)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(timed), errOverdue) {
		return errOverdue // whatever it ended
	}
	return err
}

func (p *Puller) performAs(ctx context.Context, s Settings, r *Run) error {
	if s.asks() != r.asks {
		return errors.New("the settings ask for something else than when the run began: run it again")
	}
	client, err := p.client(s)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := p.plan(ctx, client, s, r); err != nil {
		return err
	}
	files, err := p.files(ctx, r.ID)
	if err != nil {
		return err
	}
	r.led = fhirserver.Links{} // what broke off is fetched again
	for _, f := range files {
		r.led.Add(f.url)
	}
	ended := make(map[ingest.JobID]bool)
	for i := 0; i < len(files); i++ { // a search adds files on the way
		if files[i].Fetched {
			continue
		}
		if err := p.loaded(ctx, files[:i], files[i].stage, ended); err != nil {
			return err
		}
		more, err := p.fetch(ctx, client, s, r, &files[i], len(files)+1)
		if err != nil {
			return err
		}
		files = slices.Insert(files, i+1, more...)
	}
	if err := p.loaded(ctx, files, afterAll, ended); err != nil {
		return err
	}
	return p.finish(ctx, *r, files)
}
