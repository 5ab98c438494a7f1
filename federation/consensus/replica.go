// Package consensus keeps a state machine the same on every replica of the hub.
//
// [Open] starts a [Replica] over a caller's [FSM]. [Replica.Propose] hands the
// leader one command and returns once a majority has it on disk and the FSM
// here has applied it: what was acknowledged survives any crash that leaves a
// majority of the directories. One replica is the same code with a majority of
// one and no network.
//
// The package knows nothing of what commands mean. The order it gives is the
// only order there is: an FSM must reach the same state from the same commands,
// so time and randomness belong into the command. Replicas are trusted not to
// lie to each other (raft tolerates crashes, not malice); that nobody else can
// speak to them is checked here.
//
// This is the only package that imports raft.
package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"github.com/trialmesh/trialmesh/federation/dirlock"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Config configures a [Replica]. Dir, ID and FSM are required.
type Config struct {
	// Dir holds the log and the snapshots of this replica alone. It is created
	// with mode 0700.
	Dir string

	ID  identity.DID
	FSM FSM

	// Bootstrap gives the replicas their first configuration when Dir holds
	// none, and does nothing later. All replicas may set it if they agree on
	// Replicas.
	Bootstrap bool

	// Replicas are the voters to bootstrap with and the only peers whose
	// streams are accepted, ID among them. Defaults to ID alone.
	Replicas []identity.DID

	// Network joins the replicas. It may be nil for a single replica.
	Network Network

	// SnapshotThreshold is after how many commands a snapshot replaces them,
	// 1 to 1,000,000. As many again are kept for replicas that lag behind.
	// Defaults to 8192.
	SnapshotThreshold uint64

	Log *slog.Logger // Defaults to discarding.

	// For tests.
	segmentBytes int                          // of a log file
	breakLog     func(*wal.WAL) raft.LogStore // puts faults between raft and its log
	breakVotes   func(*wal.WAL) raft.StableStore
}

const (
	defaultSnapshotThreshold = 8192
	maxSnapshotThreshold     = 1_000_000
	keptSnapshots            = 2
	snapshotInterval         = 30 * time.Second // between looks at the threshold
	peerTimeout              = 10 * time.Second // for one message to a replica
	// Log files are reserved on disk at their full size. Two of the largest
	// commands fit.
	segmentBytes = 2*MaxCommandBytes + 4<<10
)

func (c Config) withDefaults() Config {
	if len(c.Replicas) == 0 {
		c.Replicas = []identity.DID{c.ID}
	}
	if c.SnapshotThreshold == 0 {
		c.SnapshotThreshold = defaultSnapshotThreshold
	}
	if c.segmentBytes == 0 {
		c.segmentBytes = segmentBytes
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Dir == "":
		return errors.New("no directory")
	case c.ID == "":
		return errors.New("no ID")
	case c.FSM == nil:
		return errors.New("no FSM")
	case !slices.Contains(c.Replicas, c.ID):
		return fmt.Errorf("%s is not among its replicas", c.ID)
	case c.Network == nil && len(c.Replicas) > 1:
		return errors.New("more than one replica needs a network")
	case c.SnapshotThreshold > maxSnapshotThreshold:
		return fmt.Errorf("snapshot threshold %d is over %d", c.SnapshotThreshold, maxSnapshotThreshold)
	}
	return nil
}

// Replica is one member of the group. Its methods are safe for concurrent use.
type Replica struct {
	cfg       Config
	raft      *raft.Raft
	transport closingTransport
	lock      *dirlock.Lock
	log       *wal.WAL
	snapshots *raft.FileSnapshotStore
	observer  *raft.Observer
	leaders   chan raft.Observation // capacity 1: the leader may have changed
	failure   *failure

	closing chan struct{}
	once    sync.Once
	err     error          // of Close
	asks    sync.WaitGroup // what waits for an answer of raft
	tasks   sync.WaitGroup // what else runs

	mu      sync.Mutex    // held to start an ask, and to change what follows
	changed chan struct{} // closed and replaced when the leader changes
}

// Open restores the FSM from the newest snapshot in Dir, starts the replica
// and returns without waiting for a leader: commands after the snapshot are
// applied again once there is one, see [Replica.WaitLeader]. ctx bounds opening
// only. The caller must Close the replica.
//
// It fails if another process holds Dir, or if Dir is damaged.
func Open(ctx context.Context, cfg Config) (*Replica, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("consensus: %w", err)
	}
	r := &Replica{cfg: cfg, closing: make(chan struct{}), changed: make(chan struct{}), leaders: make(chan raft.Observation, 1), failure: newFailure()}
	if err := r.open(ctx); err != nil {
		return nil, fmt.Errorf("consensus: open %s: %w", cfg.Dir, errors.Join(err, r.release()))
	}
	r.tasks.Go(r.followLeader)
	return r, nil
}

func (r *Replica) open(ctx context.Context) error {
	logDir := filepath.Join(r.cfg.Dir, "log")
	if err := os.MkdirAll(logDir, 0o700); err != nil {
		return err
	}
	var err error
	if r.lock, err = dirlock.Acquire(ctx, r.cfg.Dir); err != nil {
		return err
	}
	logger := newLogger(r.cfg.Log)
	if r.log, err = wal.Open(logDir, wal.WithLogger(logger.Named("wal")), wal.WithSegmentSize(r.cfg.segmentBytes)); err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	if r.snapshots, err = raft.NewFileSnapshotStoreWithLogger(r.cfg.Dir, keptSnapshots, logger.Named("snapshot")); err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	r.transport = r.newTransport(logger)
	settings := r.settings(logger)
	if r.cfg.Bootstrap {
		if err := r.bootstrap(settings); err != nil {
			return err
		}
	}
	store := disk{r.log, r.log, r.failure}
	if r.cfg.breakLog != nil {
		store.LogStore = r.cfg.breakLog(r.log)
	}
	if r.cfg.breakVotes != nil {
		store.StableStore = r.cfg.breakVotes(r.log)
	}
	if r.raft, err = raft.NewRaft(settings, machine{r.cfg.FSM, r.failure}, store, store, r.snapshots, r.transport); err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	r.observer = raft.NewObserver(r.leaders, false, func(o *raft.Observation) bool {
		_, is := o.Data.(raft.LeaderObservation)
		return is
	})
	r.raft.RegisterObserver(r.observer)
	return nil
}

func (r *Replica) settings(logger hclog.Logger) *raft.Config {
	s := raft.DefaultConfig()
	s.LocalID = raft.ServerID(r.cfg.ID)
	s.Logger = logger
	s.SnapshotThreshold = r.cfg.SnapshotThreshold
	s.TrailingLogs = r.cfg.SnapshotThreshold
	s.SnapshotInterval = snapshotInterval
	s.NoLegacyTelemetry = true
	// Commands that arrive while one is being written share its fsync, and are applied together.
	s.BatchApplyCh = true
	if len(r.cfg.Replicas) == 1 {
		// Nobody else can be leader: waiting a second for word from it is waste.
		s.HeartbeatTimeout, s.ElectionTimeout, s.LeaderLeaseTimeout = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	}
	return s
}

// closingTransport is what both of raft's transports are.
type closingTransport interface {
	raft.Transport
	raft.WithClose
}

func (r *Replica) newTransport(logger hclog.Logger) closingTransport {
	if r.cfg.Network == nil {
		_, t := raft.NewInmemTransport(raft.ServerAddress(r.cfg.ID))
		return t
	}
	return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  newStreamLayer(r.cfg, r.failure),
		MaxPool: 3,
		Timeout: peerTimeout,
		Logger:  logger.Named("net"),
	})
}

func (r *Replica) bootstrap(settings *raft.Config) error {
	exists, err := raft.HasExistingState(r.log, r.log, r.snapshots)
	if err != nil {
		return fmt.Errorf("look for existing state: %w", err)
	}
	if exists {
		return nil
	}
	var first raft.Configuration
	for _, id := range r.cfg.Replicas {
		first.Servers = append(first.Servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
	}
	if err := raft.BootstrapCluster(settings, r.log, r.log, r.snapshots, r.transport, first); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	return nil
}

// Run blocks until ctx ends or the replica fails, and closes the replica.
func (r *Replica) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-r.closing:
	case <-r.failure.done:
	}
	return errors.Join(r.Err(), r.Close())
}

// Failed is closed when the replica cannot go on: its FSM could not carry out a
// command, or its disk did not take a write. Nothing that was acknowledged is
// lost. Close the replica, mend what [Replica.Err] says and open it again.
func (r *Replica) Failed() <-chan struct{} { return r.failure.done }

// Err returns why the replica failed, nil as long as it did not.
func (r *Replica) Err() error {
	if err := r.failure.cause(); err != nil {
		return fmt.Errorf("consensus: %s: %w", r.cfg.Dir, err)
	}
	return nil
}

// Close answers the commands under way, stops the replica and waits for
// everything it started. Later commands end with [ErrUncertain].
func (r *Replica) Close() error {
	r.once.Do(func() {
		r.mu.Lock()
		close(r.closing) // no ask starts after this
		r.mu.Unlock()
		// Raft answers all it took while it runs, a leader without a majority once
		// its lease is over, but nothing that still waits when it shuts down.
		r.asks.Wait()
		r.err = r.release()
		r.tasks.Wait()
	})
	return r.err
}

// release closes what open opened, as far as it got.
func (r *Replica) release() error {
	var errs []error
	if r.raft != nil {
		r.raft.DeregisterObserver(r.observer)
		errs = append(errs, r.raft.Shutdown().Error())
	}
	if r.transport != nil {
		errs = append(errs, r.transport.Close())
	}
	if r.log != nil {
		errs = append(errs, r.log.Close())
	}
	if r.lock != nil {
		errs = append(errs, r.lock.Release())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("consensus: close: %w", err)
	}
	return nil
}
