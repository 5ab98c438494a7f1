// Package ingest takes files of patient data and turns them into rows, once.
//
// Start from [Service.Accept]: it keeps the file's bytes and enqueues one job,
// and when it returns both are durable. The job reads the raw copy, maps its
// records, checks them and stores them batch by batch, each batch in one
// transaction with the job's progress, the last one with its outcome. A process
// that dies at any point goes on where the last batch ended; loading the same
// content again changes nothing.
//
// A record that cannot be used is a [Problem] of the job and keeps no other record
// out. Problems say where and why, never what. [Service.Job] and [Service.Jobs]
// tell how loads are going.
package ingest

import (
	"bufio"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/table"
	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/reference/codemap"
	"github.com/trialmesh/trialmesh/node/reference/variable"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

//go:embed migrations
var migrations embed.FS

// Trail is where ended jobs are recorded.
type Trail interface {
	// Add records a decision in the transaction that makes it hold.
	Add(ctx context.Context, tx *sqldb.Tx, r audit.Record) error
}

// Config configures a [Service]. DB, Store, Series, Raw, Vocabulary and Jobs are
// required.
type Config struct {
	DB         *sqldb.DB
	Store      *omop.Store
	Series     *series.Store
	Raw        *raw.Store
	Vocabulary *vocab.Store

	// Jobs is the queue of DB; its tables are there. Open registers the kind of
	// job, so it comes before the queue's Run.
	Jobs *jobs.Queue

	Trail Trail // Defaults to none.

	// MayMerge is omop.Batch.MayMerge of all loads.
	MayMerge func(ctx context.Context, tx *sqldb.Tx, survivor, retired omop.PersonID) (bool, error)

	// Tables are the site's mappings of tables. Defaults to none.
	Tables *table.Set

	// Variables are the site's, with every version. Defaults to those that are shipped.
	Variables *variable.Store

	// Codes are the site's maps of its own codes. Defaults to none.
	Codes *codemap.Store

	// Concerned returns those of persons whom something else of the site names, as a
	// consent does: a person whom no mapper makes any more stays then. Defaults to
	// nobody.
	Concerned func(ctx context.Context, tx *sqldb.Tx, persons []omop.PersonID) ([]omop.PersonID, error)

	// MaxFile is the size of one file in bytes, as sent. Defaults to 16 GiB.
	MaxFile int64

	// KeepUploads is how long an upload may take, and how long its outcome and the keys
	// of requests are known, 24 h to 7 days. Defaults to 3 days: what stopped on a
	// Friday goes on on Monday.
	KeepUploads time.Duration

	// MaxUploads is how many uploads may be open at once, 1 to 10,000. Defaults to 100.
	MaxUploads int

	// BatchRows is about how many rows are committed together, 1 to 100,000.
	// Defaults to 5,000.
	BatchRows int

	// MaxProblems is how many problems of a job are listed, 1 to 100,000; the
	// others are counted. Defaults to 1,000.
	MaxProblems int

	// Reader limits what one file may hold; the zero value has defaults.
	Reader fhir.Options

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Defaults to time.Now.
}

const day = 24 * time.Hour

func (c Config) withDefaults() Config {
	if c.MaxFile == 0 {
		c.MaxFile = 16 << 30
	}
	if c.KeepUploads == 0 {
		c.KeepUploads = 3 * day
	}
	if c.MaxUploads == 0 {
		c.MaxUploads = 100
	}
	if c.BatchRows == 0 {
		c.BatchRows = 5000
	}
	if c.MaxProblems == 0 {
		c.MaxProblems = 1000
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.DB == nil, c.Store == nil, c.Series == nil, c.Raw == nil, c.Vocabulary == nil, c.Jobs == nil:
		return errors.New("db, store, series, raw, vocabulary and jobs are required")
	case c.MaxFile < 1:
		return errors.New("the largest file must have 1 byte or more")
	case c.KeepUploads < day || c.KeepUploads > 7*day:
		return errors.New("uploads must be kept for 24 hours to 7 days")
	case c.MaxUploads < 1 || c.MaxUploads > 10_000:
		return errors.New("open uploads must be 1 to 10,000")
	case c.BatchRows < 1 || c.BatchRows > 100_000:
		return errors.New("batch rows must be 1 to 100,000")
	case c.MaxProblems < 1 || c.MaxProblems > 100_000:
		return errors.New("listed problems must be 1 to 100,000")
	}
	return nil
}

// Service loads files. It is safe for concurrent use.
type Service struct {
	cfg    Config
	m      *metrics
	claims claims
}

// Open brings the tables of loads up to date and registers the job with the queue;
// it starts nothing.
func Open(ctx context.Context, cfg Config) (*Service, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := sqldb.Migrate(ctx, cfg.DB, "ingest", own); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	s := &Service{cfg: cfg, m: newMetrics()}
	jobs.Register(cfg.Jobs, s.work)
	return s, nil
}

// Run does the jobs of Config.Jobs, of all kinds, until ctx ends, as
// [jobs.Queue.Run]; and removes uploads that have expired.
func (s *Service) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	cleaned := make(chan struct{})
	go func() {
		defer close(cleaned)
		s.keepClean(ctx)
	}()
	err := s.cfg.Jobs.Run(ctx)
	cancel()
	<-cleaned
	return err
}

// Held returns what keeps all jobs waiting at the moment, nil if nothing does;
// it is [jobs.Queue.Held].
func (s *Service) Held() error { return s.cfg.Jobs.Held() }

// JobID is the number of a job.
type JobID int64

// args are what the queue stores about a job.
type args struct {
	File string `json:"file"` // digest of the raw copy
}

// What Accept refuses.
var (
	ErrEmpty = problem.New(problem.Invalid, "the file is empty")
	ErrName  = problem.New(problem.Invalid, "the file's name is over 255 bytes")
)

// MaxName bounds the name of a file, in bytes, as file systems do.
const MaxName = 255

// Kind implements [jobs.Args].
func (args) Kind() string { return "ingest" }

// Accept keeps what r gives until its end and enqueues its load. When Accept
// returns without an error, both are durable. name, of up to [MaxName] bytes, is
// for people; what of it does not print is left out.
//
// Content that is waiting or being loaded, or that was loaded without a problem by
// the mapper and vocabulary of today, keeps the job it has; a dead job is revived.
// It returns [ErrEmpty], [ErrName], [raw.ErrTooLarge] over Config.MaxFile,
// [sqldb.ErrFull] when there is no room and [sqldb.ErrLocked] when it may be tried
// again; then there is no job.
func (s *Service) Accept(ctx context.Context, name string, r io.Reader) (raw.Digest, JobID, error) {
	return s.AcceptOnce(ctx, "", name, r)
}

// put makes the raw copy.
func (s *Service) put(ctx context.Context, name string, r io.Reader) (file raw.Digest, size int64, err error) {
	if len(name) > MaxName {
		return raw.Digest{}, 0, ErrName
	}
	content := bufio.NewReader(r)
	switch _, err := content.Peek(1); {
	case errors.Is(err, io.EOF):
		return raw.Digest{}, 0, ErrEmpty
	case err != nil:
		return raw.Digest{}, 0, fmt.Errorf("accept file: %w", err)
	}
	if file, size, _, err = s.cfg.Raw.Put(ctx, content, s.cfg.MaxFile, origin(ctx, name)); err != nil {
		return raw.Digest{}, 0, fmt.Errorf("accept file: %w", err)
	}
	return file, size, nil
}

// acceptKept enqueues the load of a raw copy, unless there is one already that by, if
// that is not nil, or the content has.
func (s *Service) acceptKept(ctx context.Context, file raw.Digest, size int64, name string, by tie) (JobID, error) {
	mapper, err := s.mapperName(ctx)
	if err != nil {
		return 0, fmt.Errorf("accept file %s: %w", file, err)
	}
	var id JobID
	err = s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if by != nil {
			if id, err = by.find(ctx, tx); err != nil || id != 0 {
				return err
			}
		}
		if err := tx.Lock(ctx, "ingest/"+file.String()); err != nil {
			return err
		}
		if id, err = latest(ctx, tx, file, mapper); err != nil {
			return err
		}
		if id == 0 {
			if id, err = s.enqueue(ctx, tx, file, size, name); err != nil {
				return err
			}
		}
		if by != nil {
			return by.keep(ctx, tx, id)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("accept file %s: %w", file, err)
	}
	j, err := s.Job(ctx, id)
	if err == nil && j.State == Dead {
		err = s.Retry(ctx, id)
	}
	if err != nil {
		return 0, fmt.Errorf("accept file %s: %w", file, err)
	}
	return id, nil
}

func (s *Service) enqueue(ctx context.Context, tx *sqldb.Tx, file raw.Digest, size int64, name string) (JobID, error) {
	id, err := s.cfg.Jobs.Enqueue(ctx, tx, args{file.String()})
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO ingest_job (job_id, file, name, bytes_total, accepted_at, state) VALUES (?, ?, ?, ?, ?, ?)`,
		id, file.String(), printable(name), size, s.cfg.Now(), string(Queued))
	return JobID(id), err
}
