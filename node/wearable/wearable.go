// Package wearable keeps the connections to accounts that patients have at makers of
// wearables, and fetches what these hold, when the site says so or by a schedule.
//
// A maker is set up by a file MAKER.yaml in a folder of the node, see [Settings].
// [Service.Begin] and [Service.Complete] connect an account of a patient,
// [Service.Disconnect] ends that, and [Service.Run] does the pulls: each kind of data of a
// maker in windows of days, every window through node/ingest.Service.Accept, as a document
// that says whose it is. How far that has come is written after a window was acknowledged,
// so a process that dies goes on there. Windows overlap, since watches send late, and lie
// on a fixed grid, so that one with nothing new is the same bytes again and no new load.
//
// Tokens are kept sealed with the node's key. Who holds the lease of a connection may use
// them, and nobody else does: many makers give each refresh token for one use. New ones are
// durable before they are used. A process that is killed between the maker's answer and
// that loses them: Fitbit and Withings answer the same request once more, Google's refresh
// tokens stay the same, and at Oura and Garmin the patient has to connect again.
//
// The lease is a row with an end and no transaction, which on SQLite would keep everybody
// from writing while a maker thinks. It ends [leaseTime] after it was last renewed, which
// happens before each request, and a request ends long before that. Processes that share a
// database need clocks that agree to half a minute.
package wearable

import (
	"context"
	"crypto/x509"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/ingest"
)

//go:embed migrations
var migrations embed.FS

// Loads takes files; ingest.Service is one.
type Loads interface {
	// Accept keeps a file and enqueues its load; both are durable when it returns. A file
	// that was loaded before keeps the job it has.
	Accept(ctx context.Context, name string, r io.Reader) (raw.Digest, ingest.JobID, error)
}

// Sealer encrypts short secrets for a use; raw.Sealer is one.
type Sealer interface {
	Seal(text []byte, use string) ([]byte, error)
	Unseal(sealed []byte, use string) ([]byte, error)
}

// Config configures a [Service]. DB, Loads, Sealer, Known, Trail and Dir are required.
type Config struct {
	DB     *sqldb.DB
	Loads  Loads
	Sealer Sealer
	Trail  *audit.Trail

	// Known reports whether the node has a patient, by the id of the FHIR Patient.
	Known func(ctx context.Context, patient string) (bool, error)

	// Dir is the folder of the makers' settings. It need not be there. It is read again
	// whenever it matters, so a change holds at once.
	Dir string

	// Tick is how often is looked what falls due, 10 ms to 1 min. Defaults to 10 s.
	Tick time.Duration

	// Parallel is how many connections are pulled at once, 1 to 64. Defaults to 4.
	Parallel int

	// Dial and Roots are how makers are reached, see connectors/partner/wearable.Config.
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
	Roots *x509.CertPool

	Log  *slog.Logger                               // Defaults to discarding.
	Now  func() time.Time                           // Defaults to time.Now.
	Wait func(context.Context, time.Duration) error // Pauses, unless ctx ends. Defaults to doing so.
}

func (c Config) withDefaults() Config {
	if c.Tick == 0 {
		c.Tick = 10 * time.Second
	}
	if c.Parallel == 0 {
		c.Parallel = 4
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wait == nil {
		c.Wait = wait
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.DB == nil, c.Loads == nil, c.Sealer == nil, c.Known == nil, c.Trail == nil, c.Dir == "":
		return errors.New("db, loads, sealer, known, trail and dir are required")
	case c.Tick < 10*time.Millisecond || c.Tick > time.Minute:
		return errors.New("tick must be 10 ms to 1 min")
	case c.Parallel < 1 || c.Parallel > 64:
		return errors.New("parallel pulls must be 1 to 64")
	}
	return nil
}

// Service keeps connections and pulls. It is safe for concurrent use.
type Service struct {
	cfg   Config
	wake  chan struct{} // has room for one
	ended *prometheus.CounterVec

	mu      sync.Mutex
	running map[int64]*running // by connection; guarded by mu
	barred  map[int64]bool     // connections that are not to be pulled; guarded by mu
}

// running is a pull of this process.
type running struct {
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when it is over
}

// Open brings the tables up to date; it starts nothing. On SQLite, whose file one process
// has to itself, it ends the leases of the process before.
func Open(ctx context.Context, cfg Config) (*Service, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("wearable: %w", err)
	}
	if err := migrate(ctx, cfg.DB); err != nil {
		return nil, fmt.Errorf("wearable: %w", err)
	}
	s := &Service{
		cfg: cfg, wake: make(chan struct{}, 1), running: make(map[int64]*running), barred: make(map[int64]bool),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trialmesh_wearable_pulls_total", Help: "Pulls from makers of wearables that ended, by outcome.",
		}, []string{"outcome"}),
	}
	if cfg.DB.Dialect() == sqldb.SQLite {
		if err := s.endLeases(ctx); err != nil {
			return nil, fmt.Errorf("wearable: %w", err)
		}
	}
	return s, nil
}

func migrate(ctx context.Context, db *sqldb.DB) error {
	own, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return sqldb.Migrate(ctx, db, "wearable", own)
}

// Collectors returns the metrics.
func (s *Service) Collectors() []prometheus.Collector { return []prometheus.Collector{s.ended} }

// Run pulls what falls due until ctx ends. What is under way then is taken up by the next
// Run.
func (s *Service) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	tick := time.NewTicker(s.cfg.Tick)
	defer tick.Stop()
	for {
		if err := s.turn(ctx, &group); err != nil && ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "connections to wearables were not looked at, trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// turn begins the pulls that are due.
func (s *Service) turn(ctx context.Context, group *sync.WaitGroup) error {
	list, err := s.connections(ctx, "")
	if err != nil || len(list) == 0 {
		return err
	}
	schedules := s.schedules()
	for _, c := range list {
		now := s.cfg.Now()
		due := c.due(schedules[c.Maker])
		if due.IsZero() || due.After(now) || c.held(now) {
			continue
		}
		ctx, cancel := context.WithCancelCause(ctx)
		if !s.take(c.ID, cancel) {
			cancel(nil)
			continue
		}
		group.Go(func() {
			defer cancel(nil)
			defer s.rouse() // another may have waited for room
			defer s.leave(c.ID)
			s.carry(ctx, c.ID)
		})
	}
	return nil
}

// take notes that a connection is being pulled, unless it is already, or may not be, or there
// are too many.
func (s *Service) take(id int64, cancel context.CancelCauseFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[id] != nil || s.barred[id] || len(s.running) >= s.cfg.Parallel {
		return false
	}
	s.running[id] = &running{cancel, make(chan struct{})}
	return true
}

func (s *Service) leave(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.running[id].done)
	delete(s.running, id)
}

// bar keeps this process from pulling a connection until lift is called, and ends a pull that
// goes on. It fails if ctx ends before that pull does, or if somebody else has barred it.
func (s *Service) bar(ctx context.Context, id int64) (lift func(), err error) {
	s.mu.Lock()
	r, taken := s.running[id], s.barred[id]
	s.barred[id] = true
	s.mu.Unlock()
	if taken {
		return nil, errBusy
	}
	lift = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.barred, id)
	}
	if r == nil {
		return lift, nil
	}
	r.cancel(errLost)
	select {
	case <-r.done:
		return lift, nil
	case <-ctx.Done():
		lift()
		return nil, ctx.Err()
	}
}

// rouse has Run look at once.
func (s *Service) rouse() {
	select {
	case s.wake <- struct{}{}:
	default: // it will already
	}
}

// wait pauses for d, unless ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
