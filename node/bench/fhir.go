package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

const fhirText = `FHIR R4 resources as NDJSON, uploaded to POST /v1/ingest/files over HTTP on loopback, until
their job has ended and all rows of OMOP can be asked for: raw copy, mapping with a small
vocabulary, checks and store. ingest-fhir: resources a second from the first byte, at
least 15,000 (reference: encoding/json decoding the same lines on one core, and nothing
else). ingest-fhir-latency: seconds from the last byte of a file of 10,000 resources
until they can be asked for, at most 1.`

// Bars of ingest-fhir.
const (
	fhirBar        = 15_000
	fhirLatencyBar = 1
)

// latencyResources are those of the file whose latency is measured.
const latencyResources = 10_000

// Resources of a file: of the first one, and at most, as it is made in memory before.
const (
	fhirWarm = 2000
	fhirMost = 100_000
)

func fhir(ctx context.Context, cfg Config) ([]Figure, error) {
	var figures []Figure
	err := with(ctx, cfg, func(ctx context.Context, s *site) error {
		patients := 0
		cfg.Progress("warming up")
		begun := time.Now()
		if _, err := s.file(ctx, &patients, fhirWarm); err != nil {
			return err
		}
		n := min(cfg.share(fhirWarm, time.Since(begun), fhirWarm), fhirMost)
		var rates, waits, decoded []float64
		for i := range rounds {
			cfg.Progress(fmt.Sprintf("round %d of %d: %d resources", i+1, rounds, n))
			loaded, err := s.file(ctx, &patients, n)
			if err != nil {
				return err
			}
			rates = append(rates, float64(n)/loaded.all.Seconds())
			decoded = append(decoded, loaded.decoded)
			n = min(cfg.share(n, loaded.all, fhirWarm), fhirMost)
		}
		small := min(latencyResources, n)
		for i := range rounds {
			cfg.Progress(fmt.Sprintf("latency, round %d of %d: %d resources", i+1, rounds, small))
			loaded, err := s.file(ctx, &patients, small)
			if err != nil {
				return err
			}
			waits = append(waits, loaded.last.Seconds())
		}
		figures = []Figure{
			NewFigure("ingest-fhir", Median(rates), "resources/s").Beside("encoding/json decodes the lines", Median(decoded)).AtLeast(cfg.BarOr(fhirBar)),
			NewFigure("ingest-fhir-latency", Median(waits), "s").AtMost(fhirLatencyBar),
		}
		return nil
	})
	return figures, err
}

// loaded is how long a file has taken.
type loaded struct {
	all, last time.Duration // from its first and its last byte
	decoded   float64       // lines a second, of decoding alone
}

// file loads n resources and checks that they are there.
func (s *site) file(ctx context.Context, patients *int, n int) (loaded, error) {
	body, err := io.ReadAll(newRecords(patients, n, 0))
	if err != nil {
		return loaded{}, err
	}
	var out loaded
	begun := time.Now()
	for line := range bytes.Lines(body) {
		var resource map[string]any
		if err := json.Unmarshal(line, &resource); err != nil {
			return loaded{}, err
		}
	}
	out.decoded = float64(n) / time.Since(begun).Seconds()
	begun = time.Now()
	job, last, err := s.load(ctx, bytes.NewReader(body))
	if err != nil {
		return loaded{}, err
	}
	out.all, out.last = time.Since(begun), time.Since(last)
	if job.Counts.Records != int64(n) || len(job.Counts.Unmapped) > 0 {
		return loaded{}, fmt.Errorf("of %d resources %d were read, codes of %d kinds have no concept", n, job.Counts.Records, len(job.Counts.Unmapped))
	}
	return out, s.holds(ctx, *patients)
}

// holds checks that as many people can be asked for.
func (s *site) holds(ctx context.Context, people int) error {
	return s.db.Read(ctx, func(tx *sqldb.Tx) error {
		var n int
		err := tx.QueryRow(ctx, "SELECT count(*) FROM person").Scan(&n)
		if err == nil && n != people {
			err = fmt.Errorf("%d people are stored, not %d", n, people)
		}
		return err
	})
}
