package bench

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/simulations/network"
)

const meansText = `means of a blood pressure over 3 nodes on loopback, each another question: 64 at once, of
32 researchers who have 2 open each. means: answers per second through the whole
network, at least 200 (reference: what DataSHIELD's continuous integration publishes for
ds.mean over 3 studies). -cpu: milliseconds of processor time for a mean, of all four
parties together: this machine's cores bound the first by it.`

const (
	meansBar         = 200
	meansReference   = 19.7 // calls/s: Armadillo, dsBaseClient tests/testthat/perf_files
	meansResearchers = 32
	meansEach        = 2 // questions that a researcher has open
)

func means(ctx context.Context, cfg bench.Config, n *network.Network) ([]bench.Figure, error) {
	if err := warm(ctx, cfg, n, network.Mean); err != nil {
		return nil, err
	}
	cfg.Progress("asking")
	var number, answered atomic.Int64
	busy, begun := processor(), time.Now()
	group, running := errgroup.WithContext(ctx)
	for worker := range times(cfg, meansResearchers*meansEach) {
		group.Go(func() error {
			for answered.Load() < int64(times(cfg, fewest)) || time.Since(begun) < cfg.For {
				if _, err := ask(running, n, worker/meansEach, int(number.Add(1)), network.Mean); err != nil {
					return err
				}
				answered.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	took, used := time.Since(begun), processor()-busy
	all := float64(answered.Load())
	return []bench.Figure{
		bench.NewFigure("means", all/took.Seconds(), "means/s").Beside("DataSHIELD's continuous integration", meansReference).AtLeast(cfg.BarOr(meansBar)),
		bench.NewFigure("means-cpu", milliseconds(used)/all, "ms"),
	}, nil
}
