package bench

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/ingest"
)

const observationsText = `documents of 10,000 observations of 10 persons, sent by 2 clients to
POST /v1/ingest/observations over HTTP on loopback, until all are durable, stored and
merged. ingest-observations: observations a second, at least 100,000, or 50,000 on
PostgreSQL (reference: the database's own insert of the same points as plain rows
without an index, 10,000 a transaction, in the same run). ingest-observations-ack:
95th percentile of the milliseconds until a document is acknowledged while the
others are loaded, at most 100.`

// Bars of ingest-observations.
const (
	observationsBar         = 100_000
	observationsPostgresBar = 50_000
	acknowledgedBar         = 100
)

// A document.
const (
	feedPersons = 10
	feedEach    = 1000 // points of a person
	feedPoints  = feedPersons * feedEach
	feedClients = 2
	feedMost    = 500 // documents of a round, as they are made before
)

// feed makes documents, each about later times than the one before.
type feed struct {
	mu   sync.Mutex
	next int
}

// base is the time of the first point, in milliseconds.
const base = 1_772_352_000_000

// point is the value of a person at a second.
func point(person, second int) int { return 60 + (person*13+second*7+second*second%11)%40 }

func (f *feed) document() []byte {
	f.mu.Lock()
	begin := f.next * feedEach
	f.next++
	f.mu.Unlock()
	doc := []byte(`{"source":"bench","observations":[`)
	for p := range feedPersons {
		if p > 0 {
			doc = append(doc, ',')
		}
		doc = fmt.Appendf(doc, `{"person":"bench-%d","system":"%s","code":"8867-4","unit":"/min","times":[`, p+1, loinc)
		for i := range feedEach {
			doc = strconv.AppendInt(doc, base+1000*int64(begin+i), 10)
			doc = append(doc, ',')
		}
		doc = append(doc[:len(doc)-1], `],"values":[`...)
		for i := range feedEach {
			doc = strconv.AppendInt(doc, int64(point(p, begin+i)), 10)
			doc = append(doc, ',')
		}
		doc = append(doc[:len(doc)-1], "]}"...)
	}
	return append(doc, "]}"...)
}

// peopleOfFeed loads those whom the documents are about.
func (s *site) peopleOfFeed(ctx context.Context) error {
	var file bytes.Buffer
	for p := range feedPersons {
		fmt.Fprintf(&file, `{"resourceType":"Patient","id":"bench-%d","gender":"female","birthDate":"1970-01-01"}`+"\n", p+1)
	}
	_, _, err := s.load(ctx, &file)
	return err
}

// send sends n documents and waits until they are stored and merged. It returns how
// long that took, and each acknowledgment.
func (s *site) send(ctx context.Context, f *feed, n int) (time.Duration, []time.Duration, error) {
	documents := make(chan []byte, n)
	for range n {
		documents <- f.document()
	}
	close(documents)
	var mu sync.Mutex
	var ids []ingest.JobID
	var waits []time.Duration
	begun := time.Now()
	clients, sending := errgroup.WithContext(ctx)
	for range feedClients {
		clients.Go(func() error {
			for doc := range documents {
				sent := time.Now()
				job, err := s.client.Observe(sending, bytes.NewReader(doc))
				if err != nil {
					return err
				}
				wait := time.Since(sent)
				id, err := strconv.ParseInt(job, 10, 64)
				if err != nil {
					return err
				}
				mu.Lock()
				ids, waits = append(ids, ingest.JobID(id)), append(waits, wait)
				mu.Unlock()
			}
			return nil
		})
	}
	if err := clients.Wait(); err != nil {
		return 0, nil, err
	}
	for _, id := range ids {
		job, err := s.await(ctx, id, func(ingest.Job) {})
		if err != nil {
			return 0, nil, err
		}
		if job.Counts.Stored != feedPoints {
			return 0, nil, fmt.Errorf("of %d points %d were stored", feedPoints, job.Counts.Stored)
		}
	}
	if err := s.mergeAll(ctx); err != nil {
		return 0, nil, err
	}
	took := time.Since(begun)
	return took, waits, s.merged(ctx, int64(f.next)*feedPoints)
}

// merged checks that as many points are merged, and so no longer wait anywhere.
func (s *site) merged(ctx context.Context, points int64) error {
	return s.db.Read(ctx, func(tx *sqldb.Tx) error {
		summaries, err := s.series.Summaries(ctx, tx)
		var n int64
		for _, of := range summaries {
			n += of.Points
		}
		if err == nil && n != points {
			err = fmt.Errorf("%d points are merged, not %d", n, points)
		}
		return err
	})
}

func observations(ctx context.Context, cfg Config) ([]Figure, error) {
	bar := float64(observationsBar)
	if cfg.Database != "" {
		bar = observationsPostgresBar
	}
	var figures []Figure
	err := with(ctx, cfg, func(ctx context.Context, s *site) error {
		if err := s.peopleOfFeed(ctx); err != nil {
			return err
		}
		var f feed
		cfg.Progress("warming up")
		const warm = 4
		took, _, err := s.send(ctx, &f, warm)
		if err != nil {
			return err
		}
		n := min(cfg.share(warm, took, warm), feedMost)
		var rates, plain []float64
		var waits []time.Duration
		for i := range rounds {
			cfg.Progress(fmt.Sprintf("round %d of %d: %d documents", i+1, rounds, n))
			took, more, err := s.send(ctx, &f, n)
			if err != nil {
				return err
			}
			rates, waits = append(rates, float64(n*feedPoints)/took.Seconds()), append(waits, more...)
			rate, err := s.plain(ctx, min(n, 50))
			if err != nil {
				return err
			}
			plain = append(plain, rate)
			n = min(cfg.share(n, took, warm), feedMost)
		}
		slices.Sort(waits)
		figures = []Figure{
			NewFigure("ingest-observations", Median(rates), "observations/s").Beside("plain rows inserted by the database", Median(plain)).AtLeast(cfg.BarOr(bar)),
			NewFigure("ingest-observations-ack", waits[len(waits)*95/100].Seconds()*1000, "ms").AtMost(acknowledgedBar),
		}
		return nil
	})
	return figures, err
}

// plain inserts the points of n documents as rows without an index, each document
// durable by itself, and returns points a second.
func (s *site) plain(ctx context.Context, n int) (float64, error) {
	const create = "CREATE TABLE bench_plain (person BIGINT, variable BIGINT, source BIGINT, t BIGINT, v DOUBLE PRECISION)"
	if err := s.exec(ctx, create); err != nil {
		return 0, err
	}
	begun := time.Now()
	for d := range n {
		if err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.Insert(ctx, "bench_plain", []string{"person", "variable", "source", "t", "v"}, func(yield func([]any) bool) {
				row := make([]any, 5)
				for p := range feedPersons {
					for i := range feedEach {
						second := d*feedEach + i
						row[0], row[1], row[2], row[3], row[4] = int64(p+1), int64(1), int64(1), base+1000*int64(second), float64(point(p, second))
						if !yield(row) {
							return
						}
					}
				}
			})
			return err
		}); err != nil {
			return 0, err
		}
	}
	rate := float64(n*feedPoints) / time.Since(begun).Seconds()
	return rate, s.exec(ctx, "DROP TABLE bench_plain")
}

func (s *site) exec(ctx context.Context, statement string) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, statement)
		return err
	})
}
