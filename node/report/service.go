package report

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/vocab"
	"github.com/trialmesh/trialmesh/node/reference/variable"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

//go:embed migrations
var migrations embed.FS

// Config configures a [Service]. DB, Store, Series and Vocabulary are required.
type Config struct {
	DB         *sqldb.DB
	Store      *omop.Store
	Series     *series.Store
	Vocabulary *vocab.Store

	// Variables are the site's, with their bounds. Defaults to those that are shipped.
	Variables *variable.Store

	// Settings is the path of the site's [SettingsFile], read anew for each run.
	// Defaults to none.
	Settings string

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Defaults to time.Now.
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	if c.DB == nil || c.Store == nil || c.Series == nil || c.Vocabulary == nil {
		return errors.New("db, store, series and vocabulary are required")
	}
	return nil
}

// Service makes reports of a node. It is safe for concurrent use.
type Service struct {
	cfg     Config
	running sync.Mutex // held by Run
}

// What [Service] answers when there is nothing to give.
var (
	ErrNone    = problem.New(problem.NotFound, "no data quality report was made yet: make one with POST /v1/quality/runs or trialmesh node quality run")
	ErrRunning = problem.New(problem.Conflict, "a data quality report is being made; ask for it when it is done")
)

// Open brings the table of reports up to date. It starts nothing. It fails if the
// site's settings are no settings.
func Open(ctx context.Context, cfg Config) (*Service, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	if _, err := ReadSettings(cfg.Settings); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := sqldb.Migrate(ctx, cfg.DB, "report", own); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return &Service{cfg: cfg}, nil
}

// Last returns the report of the last run that ended, or [ErrNone].
func (s *Service) Last(ctx context.Context) (Report, error) {
	var text string
	err := s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, "SELECT report FROM quality_report").Scan(&text)
	})
	if errors.Is(err, sqldb.ErrNoRows) {
		return Report{}, ErrNone
	}
	var r Report
	if err == nil {
		err = json.Unmarshal([]byte(text), &r)
	}
	if err != nil {
		return Report{}, fmt.Errorf("last report: %w", err)
	}
	return r, nil
}

// Run checks everything that is stored, marks outliers and keeps the report. What is
// counted is one snapshot; outliers are marked after it, so that a row that came
// meanwhile may be marked and not counted. It ends with [ErrRunning] if this process
// makes a report already, and with an error that says what to change if the site's
// settings are no settings. A run that fails leaves the last report in place and may be
// repeated.
func (s *Service) Run(ctx context.Context) (Report, error) {
	if !s.running.TryLock() {
		return Report{}, ErrRunning
	}
	defer s.running.Unlock()
	settings, err := ReadSettings(s.cfg.Settings)
	if err != nil {
		return Report{}, problem.New(problem.Invalid, err.Error())
	}
	began := s.cfg.Now()
	// Small loads take none at their end, and a large one may be under way.
	if err := s.cfg.Store.Refresh(ctx); err != nil && ctx.Err() == nil {
		s.cfg.Log.WarnContext(ctx, "statistics of tables were not taken; the report may be slow", "err", err)
	}
	r, fences, err := s.count(ctx, settings, began)
	if err != nil {
		return Report{}, fmt.Errorf("data quality report: %w", err)
	}
	marked, err := s.cfg.Store.MarkOutliers(ctx, fences)
	if err != nil {
		return Report{}, fmt.Errorf("data quality report: %w", err)
	}
	r.Outliers = Marks(marked)
	r.Ended = s.cfg.Now().UTC()
	if err := s.keep(ctx, r); err != nil {
		return Report{}, fmt.Errorf("data quality report: %w", err)
	}
	s.cfg.Log.InfoContext(ctx, "data quality report made", "passed", r.Passed, "checks", len(r.Checks), "dur", r.Ended.Sub(r.Started))
	return r, nil
}

func (s *Service) keep(ctx context.Context, r Report) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO quality_report (one, ended_at, report) VALUES (1, ?, ?)
			ON CONFLICT (one) DO UPDATE SET ended_at = excluded.ended_at, report = excluded.report`, r.Ended, string(text))
		return err
	})
}
