package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/simulations/network"
	"github.com/trialmesh/trialmesh/zk/standin"
)

const gridText = `how long a question takes by method, nodes (--nodes) and round trip to the hub (--delays).
METHOD-N-D: seconds of a question to N nodes at D ms, half of three, and beyond 50 nodes of
one (reference: the same at the shortest of the delays). -cpu: seconds of processor time for
it, of all parties together. Nodes make stand-ins for proofs, which are no part of the time
and of which 100 nodes owe more than this machine makes in a minute. All nodes share this machine's cores, so that many of
them are slower here than on machines of their own; nodes and researcher reach the hub
through a relay that holds every byte for half of the round trip.`

// methods are the rows of the grid.
var methods = []struct {
	name     string
	analysis query.Analysis
}{
	{"count", network.Count},
	{"km", network.Survival},
	{"glm", network.Logistic},
}

// Networks of grid by default.
var gridNodes = []int{3, 10, 50, 100}

const (
	gridTimes = 3
	manyNodes = 50 // beyond which a question is asked once
)

func grid(ctx context.Context, cfg bench.Config) ([]bench.Figure, error) {
	delays := slices.Sorted(slices.Values(cfg.Delays))
	var figures []bench.Figure
	networks := cfg.Nodes
	if len(networks) == 0 {
		networks = gridNodes
	}
	for _, nodes := range networks {
		err := with(ctx, cfg, network.Config{Nodes: nodes, RoundTrip: delays[len(delays)-1], Proofs: standin.Proofs{Shape: shape}}, func(n *network.Network) error {
			rows, err := measureRows(ctx, cfg, n, nodes, delays)
			figures = append(figures, rows...)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%d nodes: %w", nodes, err)
		}
	}
	return figures, nil
}

// measureRows asks the questions of all methods to one network.
func measureRows(ctx context.Context, cfg bench.Config, n *network.Network, nodes int, delays []time.Duration) ([]bench.Figure, error) {
	var figures []bench.Figure
	for i, m := range methods {
		row, err := measureRow(ctx, cfg, n, m.analysis, fmt.Sprintf("%s-%d", m.name, nodes), delays, i)
		figures = append(figures, row...)
		if err != nil {
			return figures, err
		}
	}
	return figures, nil
}

// measureRow asks the questions of one method to one network at every delay.
func measureRow(ctx context.Context, cfg bench.Config, n *network.Network, a query.Analysis, name string, delays []time.Duration, row int) ([]bench.Figure, error) {
	number := 100 * row
	next := func(delay time.Duration, count int) (took, used []float64, err error) {
		n.SetRoundTrip(delay)
		var ids []query.ID
		for range count {
			number++
			busy := processor()
			one, id, err := asked(ctx, n, 0, number, a)
			if err != nil {
				return nil, nil, err
			}
			took, used, ids = append(took, one.Seconds()), append(used, (processor()-busy).Seconds()), append(ids, id)
		}
		n.SetRoundTrip(0)
		return took, used, proved(ctx, cfg, n, ids)
	}
	if _, _, err := next(delays[0], 1); err != nil { // warms up
		return nil, err
	}
	count := times(cfg, gridTimes)
	if len(n.Sites()) > manyNodes {
		count = 1
	}
	var figures []bench.Figure
	for _, delay := range delays {
		cfg.Progress(fmt.Sprintf("%s at %s", name, delay))
		took, used, err := next(delay, count)
		if err != nil {
			return figures, err
		}
		wall := bench.NewFigure(fmt.Sprintf("%s-%d", name, delay.Milliseconds()), bench.Median(took), "s")
		if len(figures) > 0 {
			wall = wall.Beside(figures[0].Name, figures[0].Value)
		}
		for _, f := range []bench.Figure{wall, bench.NewFigure(wall.Name+"-cpu", bench.Median(used), "s")} {
			cfg.Measured(f)
			figures = append(figures, f)
		}
	}
	return figures, nil
}
