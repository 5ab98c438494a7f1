package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trialmesh/trialmesh/federation/consensus"
	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
)

const ledgerText = `entries of the ledger that a hub of three replicas takes: commands with a document and an
entry each, proposed by 512 at a time, through raft over TLS on loopback, to the disks of
a majority and into the tables of all three, which are on one machine here. ledger:
entries a second, at least 5,000 (reference: a hub of one replica in the same run).
-cpu: processor time in microseconds for an entry, of all three replicas together.`

const (
	ledgerBar       = 5000 // entries/s
	ledgerProposers = 512
	ledgerRounds    = 3
)

func measureLedger(ctx context.Context, cfg bench.Config) (figures []bench.Figure, err error) {
	dir, err := os.MkdirTemp(cfg.Dir, "trialmesh-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var rates, times [2][]float64
	for i, replicas := range []int{1, 3} {
		cfg.Progress(fmt.Sprintf("%d replica(s)", replicas))
		g := &replicaGroup{dir: filepath.Join(dir, fmt.Sprint(replicas))}
		err := g.start(ctx, replicas)
		for round := 0; round <= ledgerRounds && err == nil; round++ { // the first warms up
			var rate, cpu float64
			if rate, cpu, err = g.round(ctx, cfg.For/(2*ledgerRounds)); round > 0 {
				rates[i], times[i] = append(rates[i], rate), append(times[i], cpu)
			}
		}
		if err = errors.Join(err, g.stop()); err != nil {
			return nil, err
		}
	}
	one, three := bench.Median(rates[0]), bench.Median(rates[1])
	return []bench.Figure{
		bench.NewFigure("ledger", three, "entries/s").Beside("a hub of one replica", one).AtLeast(cfg.BarOr(ledgerBar)),
		bench.NewFigure("ledger-cpu", bench.Median(times[1]), "µs").Beside("a hub of one replica", bench.Median(times[0])),
	}, nil
}

// replicaGroup is the state machine of a hub on several replicas in this process.
type replicaGroup struct {
	dir      string
	replicas []*consensus.Replica
	closers  []func() error
	next     atomic.Int64 // number of the next command
}

func (g *replicaGroup) start(ctx context.Context, replicas int) error {
	var ids []identity.DID
	var hosts []*transport.Host
	var addresses []string
	for range replicas {
		key, err := identity.Generate(rand.Reader)
		if err != nil {
			return err
		}
		ids = append(ids, key.DID())
		host, err := transport.New(transport.Config{
			Key: key, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Admit: func(did identity.DID) bool { return slices.Contains(ids, did) },
		})
		if err != nil {
			return err
		}
		hosts, addresses = append(hosts, host), append(addresses, host.Addrs()...)
		running, cancel := context.WithCancel(ctx)
		group := new(errgroup.Group)
		g.closers = append(g.closers, func() error { cancel(); return group.Wait() })
		group.Go(func() error { return host.Run(running) })
	}
	for i, host := range hosts {
		if err := host.AddPeers(addresses...); err != nil {
			return err
		}
		dir := filepath.Join(g.dir, fmt.Sprint(i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		db, err := sqldb.Open(ctx, sqldb.Config{DSN: "sqlite:" + filepath.Join(dir, "state.db"), Replayed: true})
		if err != nil {
			return err
		}
		g.closers = append(g.closers, db.Close)
		if err := registry.Migrate(ctx, db); err != nil {
			return err
		}
		machine := registry.NewMachine(db, ids[0], new(evidence.Proofs))
		replica, err := consensus.Open(ctx, consensus.Config{
			Dir: filepath.Join(dir, "raft"), ID: ids[i], FSM: registry.NewFSM(machine, dir), Bootstrap: true, Replicas: ids, Network: host,
		})
		if err != nil {
			return err
		}
		g.closers, g.replicas = append(g.closers, replica.Close), append(g.replicas, replica)
	}
	return nil
}

// stop ends what start began, the last first.
func (g *replicaGroup) stop() error {
	var errs []error
	for _, end := range slices.Backward(g.closers) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

// leader waits for the replica that leads.
func (g *replicaGroup) leader(ctx context.Context) (*consensus.Replica, error) {
	for {
		if _, err := g.replicas[0].WaitLeader(ctx); err != nil {
			return nil, err
		}
		for _, r := range g.replicas {
			if r.IsLeader() && r.Barrier(ctx) == nil {
				return r, nil
			}
		}
		time.Sleep(retryPause) // another was elected a moment ago
	}
}

const retryPause = 10 * time.Millisecond

// round proposes for a time and returns the entries a second and the processor time in
// microseconds for each, until every replica has applied all of them.
func (g *replicaGroup) round(ctx context.Context, d time.Duration) (rate, cpu float64, err error) {
	if _, err := g.leader(ctx); err != nil {
		return 0, 0, err
	}
	begun, busy, first := time.Now(), processor(), g.next.Load()
	proposing, inner := errgroup.WithContext(ctx)
	for range ledgerProposers {
		proposing.Go(func() error {
			for time.Since(begun) < d {
				if err := g.propose(inner); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := proposing.Wait(); err != nil {
		return 0, 0, err
	}
	leader, err := g.leader(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, r := range g.replicas {
		for last := leader.Status().Applied; r.Status().Applied < last && ctx.Err() == nil; {
			time.Sleep(time.Millisecond)
		}
	}
	entries := float64(g.next.Load() - first)
	return entries / time.Since(begun).Seconds(), float64((processor() - busy).Microseconds()) / entries, nil
}

// propose commits one more entry: the anchor of another checkpoint, which no signature
// goes with. A group that lost its leader, as on a machine that is busy, has it proposed
// again; the second time changes nothing.
func (g *replicaGroup) propose(ctx context.Context) error {
	n := g.next.Add(1)
	anchor := entry.Anchor{ChainID: "1", Contract: "0x0", Size: n, Root: make([]byte, 32), Tx: fmt.Sprintf("0x%064x", n), Block: uint64(n)}
	raw, err := registry.Encode(registry.RecordAnchor{Anchor: anchor}, time.Now())
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		r := g.replicas[i%len(g.replicas)]
		if !r.IsLeader() {
			if i%len(g.replicas) == len(g.replicas)-1 {
				time.Sleep(retryPause)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			continue
		}
		_, err := r.Propose(ctx, raw)
		if elsewhere := new(consensus.ErrNotLeader); err == nil || !errors.Is(err, consensus.ErrUncertain) && !errors.As(err, elsewhere) || ctx.Err() != nil {
			return err
		}
	}
}
