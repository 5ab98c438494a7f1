package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/simulations/network"
)

const roundtripText = `a count over 3 nodes on loopback, from the signed question at the hub's API to its
committed result, one at a time, each another question. count-roundtrip: milliseconds
beyond what the slowest node takes to evaluate its part, half of the questions, at most
15 (reference: that node's time in the same run). -p95: the same for 95 of 100. -cpu:
milliseconds of processor time for a question, of all four parties together.`

const roundtripBar = 15 // ms

// fewest questions of a figure.
const fewest = 20

func roundtrip(ctx context.Context, cfg bench.Config, n *network.Network) ([]bench.Figure, error) {
	if err := warm(ctx, cfg, n, network.Count); err != nil {
		return nil, err
	}
	cfg.Progress("asking")
	var beyond, own []float64
	var used time.Duration
	before, err := evaluations(ctx, n)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	for i := 0; i < times(cfg, fewest) || time.Since(begun) < cfg.For; i++ {
		busy := processor()
		took, err := ask(ctx, n, 0, i, network.Count)
		if err != nil {
			return nil, err
		}
		used += processor() - busy
		after, err := evaluations(ctx, n)
		if err != nil {
			return nil, err
		}
		slowest := time.Duration(0)
		for k := range after {
			slowest = max(slowest, after[k]-before[k])
		}
		before = after
		own, beyond = append(own, milliseconds(slowest)), append(beyond, milliseconds(took-slowest))
	}
	return []bench.Figure{
		bench.NewFigure("count-roundtrip", bench.Median(beyond), "ms").Beside("the slowest node's own time", bench.Median(own)).AtMost(cfg.BarOr(roundtripBar)),
		bench.NewFigure("count-roundtrip-p95", percentile(beyond, 95), "ms"),
		bench.NewFigure("count-roundtrip-cpu", milliseconds(used)/float64(len(beyond)), "ms"),
	}, nil
}

// evaluations is how long each node has evaluated questions so far.
func evaluations(ctx context.Context, n *network.Network) ([]time.Duration, error) {
	times := make([]time.Duration, len(n.Sites()))
	for i, s := range n.Sites() {
		var err error
		if times[i], err = s.Evaluating(ctx); err != nil {
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
	}
	return times, nil
}

// percentile p, 1 to 100, of values, of which there is at least one.
func percentile(values []float64, p int) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)*p/100]
}
