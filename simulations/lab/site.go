package main

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// load is what loading gave at one hospital.
type load struct {
	files                                 int
	records, stored, duplicates, rejected int64
	patients, observations                int64
}

// load sends the hospital's files to its node and waits until they are in.
func (s *site) load(ctx context.Context) (load, error) {
	var l load
	var jobs []string
	for f, err := range s.hospital.Files(ctx) {
		if err != nil {
			return l, err
		}
		u, err := s.client.Upload(ctx, f.Name, bytes.NewReader(f.Data))
		if err != nil {
			return l, fmt.Errorf("%s: %w", f.Name, err)
		}
		jobs = append(jobs, u.Job)
	}
	for _, id := range jobs {
		job, err := s.client.Wait(ctx, id)
		if err != nil {
			return l, err
		}
		if job.State == "failed" {
			return l, fmt.Errorf("%s was not loaded", job.Name)
		}
		l.files++
		l.records += job.Records
		l.stored += job.Stored
		l.duplicates += job.Duplicates
		l.rejected += job.Rejected
		l.patients += job.ByType["Patient"]
		l.observations += job.ByType["Observation"]
	}
	return l, nil
}

// epochTime bounds the wait for a consent epoch; its proofs take seconds.
const epochTime = 2 * time.Minute

// waitForEpoch returns the number of the consent epoch that holds everything
// recorded, once it is on the ledger.
func (s *site) waitForEpoch(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, epochTime)
	defer cancel()
	for {
		status, err := s.client.Status(ctx)
		if err != nil {
			return 0, err
		}
		for _, c := range status.Consents {
			if c.Trial == trialID && c.Current && c.Epoch > 0 {
				return c.Epoch, nil
			}
		}
		timer := time.NewTimer(100 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return 0, fmt.Errorf("no consent epoch on the ledger: %w", ctx.Err())
		case <-timer.C:
		}
	}
}
