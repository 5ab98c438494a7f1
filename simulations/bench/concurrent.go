package bench

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/simulations/network"
)

const concurrentText = `500 questions at once (--questions), counts and means by turns, over 3 nodes on loopback,
from researchers who have 8 open each. concurrent: seconds within which 95 of 100 are
answered, at most as many times as there are questions what one takes alone, by the
cores of this machine (reference: that product). -failed: questions without an answer
from every node, 0.`

const (
	openQuestions = 8  // that a researcher may have
	singles       = 15 // questions alone
)

func concurrent(ctx context.Context, cfg bench.Config) ([]bench.Figure, error) {
	researchers := (cfg.Questions + openQuestions - 1) / openQuestions
	return in(network.Config{Researchers: researchers}, atOnce)(ctx, cfg)
}

// atOnce asks as many questions at once as are configured.
func atOnce(ctx context.Context, cfg bench.Config, n *network.Network) ([]bench.Figure, error) {
	kinds := []query.Analysis{network.Count, network.Mean}
	if err := warm(ctx, cfg, n, kinds...); err != nil {
		return nil, err
	}
	var alone []float64
	var ids []query.ID
	for i := range times(cfg, singles) {
		took, id, err := asked(ctx, n, 0, firstWarm+warmUp+i, kinds[i%len(kinds)])
		if err != nil {
			return nil, err
		}
		alone, ids = append(alone, took.Seconds()), append(ids, id)
	}
	if err := proved(ctx, cfg, n, ids); err != nil {
		return nil, err
	}
	cfg.Progress(fmt.Sprintf("asking %d questions", cfg.Questions))
	var group sync.WaitGroup
	var failed atomic.Int64
	waited := make([]float64, cfg.Questions)
	for i := range cfg.Questions {
		group.Go(func() {
			took, err := ask(ctx, n, i/openQuestions, i, kinds[i%len(kinds)])
			if err != nil {
				failed.Add(1)
				cfg.Progress(err.Error())
			}
			waited[i] = took.Seconds()
		})
	}
	group.Wait()
	bound := float64(cfg.Questions) * bench.Median(alone) / float64(runtime.GOMAXPROCS(0))
	return []bench.Figure{
		bench.NewFigure("concurrent", percentile(waited, 95), "s").
			Beside(fmt.Sprintf("%d times a question alone, by %d cores", cfg.Questions, runtime.GOMAXPROCS(0)), bound).AtMost(cfg.BarOr(bound)),
		bench.NewFigure("concurrent-failed", float64(failed.Load()), "questions").AtMost(0),
	}, ctx.Err()
}
