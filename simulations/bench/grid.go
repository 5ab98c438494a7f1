package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/simulations/network"
)

const gridText = `how long a question takes by method, nodes (--nodes) and round trip to the hub (--delays).
METHOD-N-D: seconds of a question to N nodes at D ms, half of three (reference: the same
at the shortest of the delays). All nodes share this machine's cores, so that many of
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

const gridTimes = 3

func grid(ctx context.Context, cfg bench.Config) ([]bench.Figure, error) {
	delays := slices.Sorted(slices.Values(cfg.Delays))
	var figures []bench.Figure
	for _, nodes := range cfg.Nodes {
		err := with(ctx, cfg, network.Config{Nodes: nodes, RoundTrip: delays[len(delays)-1]}, func(n *network.Network) error {
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
	next := func() (float64, error) {
		number++
		one, err := ask(ctx, n, 0, number, a)
		return one.Seconds(), err
	}
	n.SetRoundTrip(delays[0])
	if _, err := next(); err != nil { // warms up
		return nil, err
	}
	var figures []bench.Figure
	for _, delay := range delays {
		n.SetRoundTrip(delay)
		cfg.Progress(fmt.Sprintf("%s at %s", name, delay))
		took := make([]float64, times(cfg, gridTimes))
		for i := range took {
			var err error
			if took[i], err = next(); err != nil {
				return figures, err
			}
		}
		f := bench.NewFigure(fmt.Sprintf("%s-%d", name, delay.Milliseconds()), bench.Median(took), "s")
		if len(figures) > 0 {
			f = f.Beside(figures[0].Name, figures[0].Value)
		}
		figures = append(figures, f)
	}
	return figures, nil
}
