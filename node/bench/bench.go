// Package bench measures how fast this machine takes in data, makes them ready for
// questions and finds cohorts.
//
// [Run] with [All] makes a site of its own in an empty directory or schema: the real stores,
// queue, API and MLLP listener as a node has them, without a hub. It feeds that
// site data which it makes up from a seed, prints nothing, and leaves nothing behind.
// [All] says what there is to measure. A [Figure] has the value, what was measured
// beside it in the same run, and the bar that this project has set itself.
package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb/pgserver"
)

// Figure is one measured value. Its JSON is the line that trialmesh bench prints.
type Figure struct {
	Name      string     `json:"name"`
	Value     float64    `json:"value"`
	Unit      string     `json:"unit"`
	Reference *Reference `json:"reference"` // nil for none
	Ratio     *float64   `json:"ratio"`     // Value to Reference.Value
	Bar       *float64   `json:"bar"`       // nil for none
	OK        bool       `json:"ok"`        // the bar is met, or there is none

	// Most says that the bar is the most that is good, not the least.
	Most bool `json:"-"`
}

// Reference is what a value is compared with, in the unit of the value.
type Reference struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Beside compares f with something measured in the same run.
func (f Figure) Beside(name string, value float64) Figure {
	f.Reference = &Reference{name, value}
	if value > 0 {
		ratio := f.Value / value
		f.Ratio = &ratio
	}
	return f
}

// AtLeast and AtMost set the bar.
func (f Figure) AtLeast(bar float64) Figure {
	f.Bar, f.OK = &bar, f.Value >= bar
	return f
}

func (f Figure) AtMost(bar float64) Figure {
	f.Bar, f.OK, f.Most = &bar, f.Value <= bar, true
	return f
}

// NewFigure returns a figure without a bar.
func NewFigure(name string, value float64, unit string) Figure {
	return Figure{Name: name, Value: value, Unit: unit, OK: true}
}

// Config configures a [Run].
type Config struct {
	// Dir is the folder in which the site's temporary directory is made, so that
	// its file system is measured. Defaults to the working directory.
	Dir string

	// Database is a "postgres://" URL, in which a schema is made and removed for every
	// node, or "postgres" for a server that is started for this measurement and syncs to
	// the system's temporary folder. Defaults to SQLite in the temporary directory.
	Database string

	// For is how long a figure is measured after warming up, in three rounds.
	// Defaults to 6 s.
	For time.Duration

	// Size is that of the file of ingest-memory in bytes, at least 64 KiB.
	// Defaults to 256 MiB.
	Size int64

	// Points is to how many stored points ingest-curve goes, at least 1,000.
	// Defaults to 5,000,000.
	Points int

	// Persons is how many people cohort and cohort-index are about, at least 1,000. Defaults to
	// 1,000,000, of whom cohort compares 100,000 with PostgreSQL, and 20,000.
	Persons int

	// Programs is the folder with PostgreSQL's programs of which a server is started.
	// Defaults to that of the latest version in /usr/lib/postgresql, or of PATH.
	Programs string

	// Nodes and Delays are the networks of grid: how many nodes, and how long a round
	// trip is. Default to 3, 10, 50, 100 and 0, 20 ms, 100 ms. Nodes are also those among
	// whom mask masks, by default 10.
	Nodes  []int
	Delays []time.Duration

	// Questions are how many concurrent asks at once, 1 to 5,000. Defaults to 500.
	Questions int

	// Bar replaces that of the benchmark's first figure. Defaults to it.
	Bar float64

	// Progress is told what is being done. Defaults to nobody.
	Progress func(text string)

	// Measured is told every figure as soon as it is there. Defaults to nobody.
	Measured func(Figure)
}

func (c Config) withDefaults() Config {
	if c.Dir == "" {
		c.Dir = "."
	}
	if c.For == 0 {
		c.For = 6 * time.Second
	}
	if c.Size == 0 {
		c.Size = 256 << 20
	}
	if c.Points == 0 {
		c.Points = 5_000_000
	}
	if len(c.Delays) == 0 {
		c.Delays = []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond}
	}
	if c.Questions == 0 {
		c.Questions = 500
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.Measured == nil {
		c.Measured = func(Figure) {}
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.For < 0:
		return errors.New("the time per figure must be positive")
	case c.Size < 64<<10:
		return errors.New("the size must be 64 KiB or more")
	case c.Points < 1000:
		return errors.New("the points must be 1,000 or more")
	case c.Persons != 0 && c.Persons < 1000:
		return errors.New("the persons must be 1,000 or more")
	case c.Questions < 1 || c.Questions > 5000:
		return errors.New("the questions must be 1 to 5,000")
	case slices.ContainsFunc(c.Nodes, func(n int) bool { return n < 3 || n > 200 }):
		return errors.New("the nodes of a network must be 3 to 200")
	case slices.Min(c.Delays) < 0 || slices.Max(c.Delays) > 10*time.Second:
		return errors.New("the delays must be 0 to 10s")
	case c.Database != "" && c.Database != ownServer && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://"):
		return errors.New("the database must be a postgres:// URL, or postgres")
	case c.Bar < 0:
		return errors.New("the bar must be positive")
	}
	return nil
}

// BarOr is the one to apply to the first figure.
func (c Config) BarOr(usual float64) float64 {
	if c.Bar > 0 {
		return c.Bar
	}
	return usual
}

// Benchmark is something to measure.
type Benchmark struct {
	Name    string
	Explain string // what its figures mean

	// Measure takes a configuration as [Run] completes it. What it tells Config.Measured
	// are the first of the figures that it returns; the others it need not tell.
	Measure func(context.Context, Config) ([]Figure, error)
}

// All returns the benchmarks of this package, by name.
func All() []Benchmark {
	return []Benchmark{
		{"cohort", cohortText, cohorts},
		{"cohort-index", cohortIndexText, cohortIndex},
		{"ingest-curve", curveText, curve},
		{"ingest-fhir", fhirText, fhir},
		{"ingest-memory", memoryText, memory},
		{"ingest-mllp", mllpText, messages},
		{"ingest-observations", observationsText, observations},
	}
}

// Errors that say that the call was wrong.
var (
	ErrName   = errors.New("no such benchmark")
	ErrConfig = errors.New("cannot be measured so")
)

// Run measures one of the given benchmarks. It returns [ErrName], [ErrConfig] or what kept it from
// measuring; a bar that is not met is no error. It ends early when ctx does.
func Run(ctx context.Context, all []Benchmark, name string, cfg Config) (figures []Figure, err error) {
	i := slices.IndexFunc(all, func(b Benchmark) bool { return b.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: %q", ErrName, name)
	}
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if cfg.Database == ownServer {
		server, err := pgserver.Start(ctx, cfg.Programs, serverSettings...)
		if err != nil {
			return nil, fmt.Errorf("bench %s: %w", name, err)
		}
		defer func() { err = errors.Join(err, server.Close()) }()
		cfg.Database = server.DSN
	}
	told, tell := 0, cfg.Measured
	cfg.Measured = func(f Figure) {
		told++
		tell(f)
	}
	if figures, err = all[i].Measure(ctx, cfg); err != nil {
		return nil, fmt.Errorf("bench %s: %w", name, err)
	}
	for _, f := range figures[told:] {
		tell(f)
	}
	return figures, nil
}

// ownServer as Config.Database is a server of this measurement's own.
const ownServer = "postgres"

// serverSettings are those of a server as it is installed, with places for the connections of many
// nodes. It syncs, unlike that of a test.
var serverSettings = []string{"max_connections=2000", "fsync=on", "synchronous_commit=on", "full_page_writes=on"}

// rounds are how often a figure is measured.
const rounds = 3

// Median of values, of which there is at least one.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// share returns how many pieces make a round of cfg.For, when done pieces took a
// time, at least least.
func (c Config) share(done int, took time.Duration, least int) int {
	return max(least, int(float64(done)*c.For.Seconds()/rounds/took.Seconds()))
}
