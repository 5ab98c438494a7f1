package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/ingest"
)

// fetch brings one file to the loads and notes that it is there. If a search goes on after it,
// it returns what comes next, numbered next.
func (p *Puller) fetch(ctx context.Context, client *fhirserver.Client, s Settings, r *Run, f *File, next int) ([]File, error) {
	var err error
	var findings map[string]int64
	var more []File
	name, until := fileName(*r, *f), r.Until
	ctx = ingest.SentBy(ctx, "pull "+r.Pull, "fhir")
	switch f.Kind {
	case Output:
		body := client.Open(ctx, fhirserver.File{Type: f.Type, URL: f.url, Token: f.token}, true)
		err = errors.Join(p.accept(ctx, name, body, f), body.Close())
	case Deleted:
		body, c := client.Open(ctx, fhirserver.File{URL: f.url, Token: f.token}, false), new(counter)
		err = errors.Join(p.accept(ctx, name, io.TeeReader(body, c.lines(c.deleted)), f), body.Close())
		findings = c.end()
	case Errors:
		body, c := client.Open(ctx, fhirserver.File{URL: f.url, Token: f.token}, false), new(counter)
		_, err = io.Copy(c.lines(c.outcome), body)
		err = errors.Join(err, body.Close())
		findings = c.end()
	case Searched:
		pages := newPages(client.Search(ctx, f.url, &r.led), p.cfg.Chunk)
		err = p.accept(ctx, name, pages, f)
		pages.close()
		findings = pages.findings()
		if pages.more != "" {
			more = []File{{Kind: f.Kind, Type: f.Type, url: pages.more, token: f.token, stage: f.stage, number: next}}
		}
		if until.IsZero() && !pages.first.IsZero() {
			until = pages.first.Add(-overlap)
		}
	}
	if err != nil {
		return nil, err
	}
	f.Fetched = true
	return more, p.fetched(ctx, r, *f, until, more, findings)
}

// fileName is what people see of a file among the loads.
func fileName(r Run, f File) string {
	what := f.Type
	if what == "" {
		what = string(f.Kind)
	}
	return fmt.Sprintf("%s-%d-%d-%s", r.Pull, r.ID, f.number, what)
}

// overlap is how far before a search began the next one looks back: what was written while
// it went on may have an earlier time.
const overlap = time.Minute

// accept hands a file to the loads. An empty one has no load.
func (p *Puller) accept(ctx context.Context, name string, src io.Reader, f *File) error {
	digest, job, err := p.cfg.Loads.Accept(ctx, name, src)
	if errors.Is(err, ingest.ErrEmpty) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("file %d: %w", f.number, err)
	}
	f.Digest, f.Job = digest.String(), job
	return nil
}

// fetched notes in one transaction that a file is there, what was seen in it, and what a
// search goes on with.
func (p *Puller) fetched(ctx context.Context, r *Run, f File, until time.Time, more []File, findings map[string]int64) error {
	all := make(map[string]int64, len(r.Findings)+len(findings))
	for _, m := range []map[string]int64{r.Findings, findings} {
		for what, n := range m {
			all[what] += n
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	err = p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		var job *int64
		if f.Job != 0 {
			id := int64(f.Job)
			job = &id
		}
		if _, err := tx.Exec(ctx, `UPDATE pull_file SET fetched_at = ?, digest = ?, job_id = ? WHERE run_id = ? AND number = ?`,
			p.cfg.Now(), f.Digest, job, r.ID, f.number); err != nil {
			return err
		}
		for _, next := range more {
			if err := addFile(ctx, tx, r.ID, next); err != nil {
				return err
			}
		}
		return update(ctx, tx, r.ID, `findings = ?, until = ?, error = ''`, string(text), optional(until))
	})
	if err == nil {
		r.Findings, r.Until = all, until
	}
	return err
}

// Pauses between looks at a load.
const (
	firstLook = 20 * time.Millisecond
	maxLook   = time.Second
)

// loaded waits for the loads of the files of stages before one. It fails if a load did. ended
// remembers those that need no second look.
func (p *Puller) loaded(ctx context.Context, files []File, before int, ended map[ingest.JobID]bool) error {
	for _, f := range files {
		if f.Job == 0 || f.stage >= before || ended[f.Job] {
			continue
		}
		for look := firstLook; !ended[f.Job]; look = min(2*look, maxLook) {
			job, err := p.cfg.Loads.Job(ctx, f.Job)
			if err != nil {
				return err
			}
			if job.State == ingest.Dead || job.State == ingest.Cancelled {
				return fmt.Errorf("load %d of a file is %s: see trialmesh node jobs show %d", f.Job, job.State, f.Job)
			}
			if ended[f.Job] = job.State.Ended(); ended[f.Job] {
				break
			}
			if err := p.cfg.Wait(ctx, look); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish ends a run that has fetched and loaded everything.
func (p *Puller) finish(ctx context.Context, r Run, files []File) error {
	state := Completed
	if len(r.Findings) > 0 {
		state = WithProblems
	}
	for _, f := range files {
		if f.Job == 0 {
			continue
		}
		job, err := p.cfg.Loads.Job(ctx, f.Job)
		if err != nil {
			return err
		}
		if job.State == ingest.WithProblems {
			state = WithProblems
		}
	}
	if err := p.end(ctx, r, state, ""); err != nil {
		return err
	}
	p.cfg.Log.InfoContext(ctx, "pull is complete", "pull", r.Pull, "run", r.ID, "files", len(files), "outcome", state)
	p.dismiss(ctx, r)
	return nil
}
