// Package fsck checks that a node's database and its raw copies hold together:
// every job that was acknowledged is there with the file it is about, and every row
// can be led back to a raw copy that decrypts to what was sent.
//
// [Check] only reads, also while the node runs: the database on one snapshot, in
// sets and not row by row, then every raw copy that it names to its end. What is
// wrong is a [Finding]: the rule, the place and how often, never a value of a record.
// Nothing is repaired; restore a backup, or load the files again.
package fsck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// Rule says what is wrong.
type Rule string

// The rules. Those of time series are [series.Fault].
const (
	DamagedDatabase Rule = "damaged-database" // the engine's own check complains; the place is its words
	ForeignKey      Rule = "foreign-key"      // a row refers to one that is not there, as the engine sees it

	NoLineage     Rule = "row-without-lineage"     // nothing says where the row came from
	NoRow         Rule = "lineage-without-row"     // lineage of a row that is not there
	NoLoad        Rule = "lineage-without-load"    // lineage names a load that is not there
	NoJob         Rule = "load-without-job"        // a load of a file that no job is about
	NoFinding     Rule = "finding-without-row"     // a finding of the quality checks about no row
	UnknownPerson Rule = "unknown-person"          // the row's person is not there
	UnknownVisit  Rule = "unknown-visit"           // the row's visit is not there
	UnknownSite   Rule = "unknown-care"            // the row names a provider, a care site or a location that is not there
	UnknownSeries Rule = "unknown-series"          // the chunk's series is not there
	Undescribed   Rule = "series-without-variable" // the series' variable or source is not there

	ConsentLeaf Rule = "consent-leaf" // a leaf of a consent tree states something else than the consent on record
	ConsentTree Rule = "consent-tree" // a part of a consent tree is not what its leaves make

	ColumnsDiffer Rule = "columns-committed" // what was kept of committed columns is not what was committed

	NotQueued  Rule = "job-not-queued"    // an acknowledged job is not over and nobody will do it
	Unacked    Rule = "queue-without-job" // the queue has a load that is not among the jobs
	RawMissing Rule = "raw-missing"       // a raw copy that jobs or rows need is not there
	RawDamaged Rule = "raw-damaged"       // it does not decrypt to its digest
	RawUnread  Rule = "raw-unreadable"    // the disk does not give it
)

// Finding is one kind of defect at one place.
type Finding struct {
	Rule  Rule   `json:"rule"`
	Place string `json:"place"` // a table, "raw" with the digest, or what the engine says
	Count int64  `json:"count"` // rows, or jobs and loads that need a raw copy

	// Rows are the keys of the first rows. Those that stand for a person are counted only.
	Rows []int64 `json:"rows,omitempty"`
	// Jobs are the first jobs that are about the raw copy.
	Jobs []int64 `json:"jobs,omitempty"`
}

// mostRows is how many rows or jobs of a finding are listed.
const mostRows = 20

// mostRaw is how many raw copies are listed one by one for each rule.
const mostRaw = 1000

// Report is what was checked and found.
type Report struct {
	Findings []Finding `json:"findings"`

	Jobs     int64 `json:"jobs"`
	Rows     int64 `json:"rows"`     // of CDM tables
	Points   int64 `json:"points"`   // of time series
	RawFiles int64 `json:"rawFiles"` // that are named
	RawBytes int64 `json:"rawBytes"` // of them, decrypted
	Unnamed  int64 `json:"unnamed"`  // raw copies that nothing names: of uploads that were never acknowledged

	DatabaseTime time.Duration `json:"databaseNanoseconds"`
	RawTime      time.Duration `json:"rawNanoseconds"`
}

// OK reports whether nothing was found.
func (r Report) OK() bool { return len(r.Findings) == 0 }

// Progress says how far a check, a backup or a restore is. Total is 0 while it is
// not known.
type Progress struct {
	Doing       string // a few words
	Done, Total int64  // steps or files
	Bytes       int64
}

// Config says what to check. DB and Raw are required.
type Config struct {
	DB  *sqldb.DB
	Raw *raw.Store

	// Consents compares the consent trees with the consents, which needs the node's
	// secret. Defaults to nothing.
	Consents func(ctx context.Context, tx *sqldb.Tx) ([]Finding, error)

	// Workers is how many raw copies are read at once, 1 to 16. Defaults to 2.
	Workers int

	Progress func(Progress)   // Defaults to none; not called by two goroutines at once.
	Now      func() time.Time // For durations. Defaults to time.Now.
}

func (c Config) withDefaults() Config {
	if c.Workers == 0 {
		c.Workers = 2
	}
	if c.Consents == nil {
		c.Consents = func(context.Context, *sqldb.Tx) ([]Finding, error) { return nil, nil }
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.DB == nil, c.Raw == nil:
		return errors.New("database and raw store are required")
	case c.Workers < 1 || c.Workers > 16:
		return errors.New("workers must be 1 to 16")
	}
	return nil
}

// Check checks a node's database and raw store. An error says that it could not be
// checked; what was found before is in the report all the same.
func Check(ctx context.Context, cfg Config) (Report, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return Report{}, fmt.Errorf("fsck: %w", err)
	}
	c := &checker{cfg: cfg}
	start := cfg.Now()
	err := cfg.DB.Read(ctx, func(tx *sqldb.Tx) error { return c.database(ctx, tx) })
	c.report.DatabaseTime = cfg.Now().Sub(start)
	switch {
	case errors.Is(err, sqldb.ErrDamaged):
		c.add(Finding{Rule: DamagedDatabase, Place: "the database cannot be read to its end", Count: 1})
	case err != nil:
		return c.report, fmt.Errorf("fsck: %w", err)
	}
	start = cfg.Now()
	err = c.raw(ctx)
	c.report.RawTime = cfg.Now().Sub(start)
	slices.SortStableFunc(c.report.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Place, b.Place))
	})
	if err != nil {
		return c.report, fmt.Errorf("fsck: %w", err)
	}
	return c.report, nil
}

// checker is one check.
type checker struct {
	cfg    Config
	report Report
	names  []raw.Digest
	steps  int64
}

func (c *checker) add(f Finding) { c.report.Findings = append(c.report.Findings, f) }

// step tells that the next part of the database is checked.
func (c *checker) step(doing string) {
	c.steps++
	c.cfg.Progress(Progress{Doing: doing, Done: c.steps, Total: databaseSteps})
}
