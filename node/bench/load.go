package bench

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/node/ingest"
)

// upload brings a file to the API and returns its job and when the last byte of
// it was given away.
func (s *site) upload(ctx context.Context, file io.Reader) (ingest.JobID, time.Time, error) {
	last := &lastByte{r: file}
	up, err := s.client.Upload(ctx, "bench.ndjson", last)
	if err != nil {
		return 0, time.Time{}, err
	}
	id, err := strconv.ParseInt(up.Job, 10, 64)
	return ingest.JobID(id), last.at, err
}

// lastByte notes when its reader has ended.
type lastByte struct {
	r  io.Reader
	at time.Time
}

func (l *lastByte) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if err != nil {
		l.at = time.Now()
	}
	return n, err
}

// jobPause is how often a job is looked at.
const jobPause = 3 * time.Millisecond

// await returns a job when it has ended well, with nothing left out. seen is told how far it
// is meanwhile.
func (s *site) await(ctx context.Context, id ingest.JobID, seen func(ingest.Job)) (ingest.Job, error) {
	for {
		job, err := s.loads.Job(ctx, id)
		if err == nil {
			seen(job)
		}
		switch {
		case err != nil:
			return job, err
		case job.State == ingest.Completed:
			return job, nil
		case job.State.Ended(), job.State == ingest.Failed:
			return job, fmt.Errorf("job %d is %s with %d records rejected: %s", id, job.State, job.Counts.Rejected, job.Error)
		}
		select {
		case <-ctx.Done():
			return job, ctx.Err()
		case <-time.After(jobPause):
		}
	}
}

// load uploads a file and waits until all of it can be asked for.
func (s *site) load(ctx context.Context, file io.Reader) (ingest.Job, time.Time, error) {
	id, last, err := s.upload(ctx, file)
	if err != nil {
		return ingest.Job{}, last, err
	}
	job, err := s.await(ctx, id, func(ingest.Job) {})
	return job, last, err
}
