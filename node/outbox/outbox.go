// Package outbox writes to the site's EHRs, by FHIR: what is to be sent is kept until the EHR
// has it.
//
// An endpoint is a FHIR server that the site has registered for writing, a file NAME.yaml in a
// folder of the node, see [Endpoint]. [Outbox.Send] takes resources from a document
// and checks each before it is kept. The queue (localstore/jobs) does the rest, one job to a
// message.
//
// Each message carries a business identifier of this node's, so a server that heeds
// If-None-Exist keeps it once, whatever breaks on the way and however often it is sent; a
// server that does not is asked for it before it is sent again. That it is about to be sent is
// in the database before it is. A server in trouble, or one that does not take the node's key,
// is tried again until Config.Patience ends; a message that the server refuses has failed, and
// waits for [Outbox.Retry].
//
// Content is sealed under a key of the node's while it waits, and dropped when the server has
// it. Messages print and marshal without it.
package outbox

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trialmesh/trialmesh/localstore/jobs"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

//go:embed migrations
var migrations embed.FS

// Config configures an [Outbox]. DB, Jobs, Dir, System, Secret and Known are required.
type Config struct {
	DB   *sqldb.DB
	Jobs *jobs.Queue // over DB, and not yet running

	// Dir is the folder of the endpoints. It need not be there. It is read again whenever it
	// matters, so a change holds at once.
	Dir string

	// System is the URI under which this node gives identifiers. It never changes.
	System string

	// Secret is at least 32 bytes that the node keeps for good. Identifiers and the key that
	// seals content are made from it.
	Secret []byte

	// Known reports whether the store has the patient whom the EHR knows by an id.
	Known func(ctx context.Context, tx *sqldb.Tx, patient string) (bool, error)

	// Held says that nothing is to leave for now; it is kept until it may.
	Held bool

	// Patience is how long a server may be in trouble, 1 min to 90 days. Defaults to 7 days.
	Patience time.Duration

	// Pause is what to wait after trouble, the attempts of a message being counted from 1.
	// Defaults to 5 s, 15 s, 45 s and so on up to an hour, give or take a quarter.
	Pause func(attempt int) time.Duration

	// Limit bounds an attempt. Defaults to 1 min.
	Limit time.Duration

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Defaults to time.Now.
}

func (c Config) withDefaults() Config {
	if c.Patience == 0 {
		c.Patience = 7 * 24 * time.Hour
	}
	if c.Pause == nil {
		c.Pause = pause
	}
	if c.Limit == 0 {
		c.Limit = time.Minute
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
	case c.DB == nil, c.Jobs == nil, c.Dir == "", c.System == "", c.Known == nil:
		return errors.New("db, jobs, dir, system and known are required")
	case len(c.Secret) < 32:
		return errors.New("secret: at least 32 bytes")
	case c.Patience < time.Minute || c.Patience > 90*24*time.Hour:
		return errors.New("patience must be 1 min to 90 days")
	case c.Limit < time.Second || c.Limit > 10*time.Minute:
		return errors.New("limit must be 1 s to 10 min")
	}
	return nil
}

// Outbox keeps what is to be sent and sends it. It is safe for concurrent use.
type Outbox struct {
	cfg   Config
	seal  sealer
	rests *rests
	tried *prometheus.CounterVec

	mu      sync.Mutex
	clients map[string]connection // by endpoint; guarded by mu
}

// Open brings the tables up to date and registers the work at the queue; it starts nothing.
func Open(ctx context.Context, cfg Config) (*Outbox, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := sqldb.Migrate(ctx, cfg.DB, "outbox", own); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	o := &Outbox{
		cfg: cfg, rests: newRests(cfg.Limit), clients: make(map[string]connection),
		tried: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trialmesh_outbox_attempts_total", Help: "Attempts to send a message to an EHR, by outcome (delivered, waiting, failed).",
		}, []string{"outcome"}),
	}
	if o.seal, err = newSealer(cfg.Secret); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	jobs.Register(cfg.Jobs, o.deliver)
	return o, nil
}

// Collectors returns the metrics.
func (o *Outbox) Collectors() []prometheus.Collector { return []prometheus.Collector{o.tried} }

const (
	firstPause = 5 * time.Second
	maxPause   = time.Hour
)

// pause is 5 s times 3^(attempt-1), at most an hour, give or take a quarter, so that what came
// together does not come back together.
func pause(attempt int) time.Duration {
	d := firstPause
	for i := 1; i < attempt && d < maxPause; i++ {
		d *= 3
	}
	d = min(d, maxPause)
	return d - d/4 + rand.N(d/2) //nolint:gosec // it has to be spread, not secret
}
