// Package bench measures whole networks: how fast questions are answered, how many at
// once, and what masking and distance cost.
//
// [All] says what there is to measure. Each benchmark builds a network of package network
// in an empty folder: a hub and nodes in this process, with the TLS, the replicated log,
// the ledger, the release gate and the proofs of an installation with the default shape
// of circuits cut to 64 participants a node. The proofs of an answer are made as always,
// once no question is under way: those of what was asked before are waited for before
// anything is timed, and those of what is timed are not.
package bench

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/simulations/network"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// All returns the benchmarks, by name.
func All() []bench.Benchmark {
	return []bench.Benchmark{
		{Name: "concurrent", Explain: concurrentText, Measure: concurrent},
		{Name: "count-roundtrip", Explain: roundtripText, Measure: in(network.Config{}, roundtrip)},
		{Name: "evidence", Explain: evidenceText, Measure: in(network.Config{}, measureEvidence)},
		{Name: "gas", Explain: gasText, Measure: gas},
		{Name: "grid", Explain: gridText, Measure: grid},
		{Name: "ledger", Explain: ledgerText, Measure: measureLedger},
		{Name: "mask", Explain: maskText, Measure: mask},
		{Name: "means", Explain: meansText, Measure: in(network.Config{Researchers: meansResearchers}, means)},
		{Name: "prove-enroll", Explain: proveEnrollText, Measure: proveEnroll},
		{Name: "prove-epoch", Explain: proveEpochText, Measure: proveEpoch},
		{Name: "prove-query", Explain: proveQueryText, Measure: proveQuery},
		{Name: "verify-proof", Explain: verifyProofText, Measure: verifyProof},
	}
}

// The people of a node. The circuits hold 64; a logistic regression needs that many.
const persons = 60

var shape = circuits.Shape{ShardSize: 64, Shards: 1, Slots: 4}

// in measures in a network that is built for it.
func in(build network.Config, measure func(context.Context, bench.Config, *network.Network) ([]bench.Figure, error)) func(context.Context, bench.Config) ([]bench.Figure, error) {
	return func(ctx context.Context, cfg bench.Config) (figures []bench.Figure, err error) {
		err = with(ctx, cfg, build, func(n *network.Network) (err error) {
			figures, err = measure(ctx, cfg, n)
			return err
		})
		return figures, err
	}
}

// with builds a network, lets fn use it and removes it.
func with(ctx context.Context, cfg bench.Config, build network.Config, fn func(*network.Network) error) (err error) {
	cache, err := prover.CacheDir()
	if err != nil {
		return err
	}
	if build.Dir, err = os.MkdirTemp(cfg.Dir, "trialmesh-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(build.Dir)) }()
	build.Circuits, build.Database = cache, cfg.Database
	if build.Persons == 0 {
		build.Shape, build.Persons = shape, persons
	}
	cfg.Progress("a network is built")
	n, err := network.Start(ctx, build)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	return fn(n)
}

// ask is the number-th question of a researcher, and takes some time.
func ask(ctx context.Context, n *network.Network, researcher, number int, a query.Analysis) (time.Duration, error) {
	took, _, err := asked(ctx, n, researcher, number, a)
	return took, err
}

// asked is ask that also names the question.
func asked(ctx context.Context, n *network.Network, researcher, number int, a query.Analysis) (time.Duration, query.ID, error) {
	begun := time.Now()
	q, err := n.Ask(ctx, researcher, query.Request{Cohort: network.Cohort(number), Analysis: a})
	return time.Since(begun), q.ID, err
}

// proved waits until the proofs of questions of the first researcher are made, which would
// take the processors from what is timed next.
func proved(ctx context.Context, cfg bench.Config, n *network.Network, ids []query.ID) error {
	cfg.Progress("waiting for proofs")
	for _, id := range ids {
		if err := n.Proved(ctx, 0, id); err != nil {
			return err
		}
	}
	return nil
}

// warmUp is how many questions are asked before anything is measured: connections, caches
// and the first use of every index are not what is asked about.
const warmUp = 5

// times is how often something is done that is done n times by default: less often if a
// figure is to be measured for less than a second, to see whether it works.
func times(cfg bench.Config, n int) int {
	return max(1, min(n, int(cfg.For*time.Duration(n)/time.Second)))
}

func warm(ctx context.Context, cfg bench.Config, n *network.Network, kinds ...query.Analysis) error {
	cfg.Progress("warming up")
	var ids []query.ID
	for _, kind := range kinds {
		for i := range times(cfg, warmUp) {
			_, id, err := asked(ctx, n, 0, firstWarm+i, kind)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
	}
	return proved(ctx, cfg, n, ids)
}

// firstWarm numbers the questions of warming up, apart from those that are measured.
const firstWarm = 20_000

// processor is the processor time of this process so far, of all parties together.
func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
