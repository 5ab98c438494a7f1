package bench

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"time"

	"github.com/trialmesh/trialmesh/node/bench"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/prover"
)

const proveEpochText = `what it takes to prove the consents of a shard of 1,024 after one of them changed, which is
done in the background and not for each question. prove-epoch: records a second of processor
time, at least 65. prove-epoch-changed: seconds by the clock from a withdrawal to the shard's
proof, verification included, at most 60 on two cores (median). prove-epoch-constraints: the
circuit's size for each record, at most 660 (reference: the same statement with a hash for
each field and a binary tree). prove-epoch-memory: the most memory (RSS) of this process
while it proves, in MiB, at most 2,048; that needs Linux. Keys are made on first use, in four
minutes of processor time.`

const (
	epochBar            = 65 // records a second and core
	epochChangedBar     = 60 // s
	epochConstraintsBar = 660
	epochMemoryBar      = 2048 // MiB

	// fieldwise is the number of constraints for each record if each field has a hash of its
	// own, of the same strength: Poseidon2 of two elements with 8 full and 56 partial rounds.
	fieldwise = 1433
)

var epochShape = circuits.Shape{ShardSize: 1024, Shards: 1, Slots: 2}

func proveEpoch(ctx context.Context, cfg bench.Config) ([]bench.Figure, error) {
	return proveShard(ctx, cfg, epochShape)
}

// proveShard proves a shard again and again, each time after one more withdrawal.
func proveShard(ctx context.Context, cfg bench.Config, shape circuits.Shape) ([]bench.Figure, error) {
	cfg.Progress("keys are read, or made")
	cache, err := prover.CacheDir()
	if err != nil {
		return nil, err
	}
	epochs, err := prover.DevelopmentKeys(ctx, cache, shape.Epoch())
	if err != nil {
		return nil, err
	}
	accesses, err := prover.DevelopmentKeys(ctx, cache, shape.Access())
	if err != nil {
		return nil, err
	}
	p, err := prover.New(prover.Config{Epoch: epochs, Access: accesses})
	if err != nil {
		return nil, err
	}
	w, err := coverWitness(shape)
	if err != nil {
		return nil, err
	}
	cfg.Progress("a shard is proven")
	if err := forgetPeak(); err != nil {
		return nil, err
	}
	shard := w.Shards[0].Epoch
	var clock []float64
	rate, err := proven(cfg, shape.ShardSize, func() error {
		withdrawn := &shard.Consents[len(clock)*3%shape.ShardSize] // one that was in force
		withdrawn.Attributes.Status = circuits.Withdrawn
		begun := time.Now()
		_, err := p.Epoch(ctx, shard)
		clock = append(clock, time.Since(begun).Seconds())
		return err
	})
	if err != nil {
		return nil, err
	}
	most, err := bench.Peak()
	if err != nil {
		return nil, err
	}
	return []bench.Figure{
		bench.NewFigure("prove-epoch", rate, "records/cpu-s").AtLeast(cfg.BarOr(epochBar)),
		bench.NewFigure("prove-epoch-changed", bench.Median(clock), "s").AtMost(epochChangedBar),
		bench.NewFigure("prove-epoch-constraints", float64(epochs.Constraints())/float64(shape.ShardSize), "/record").Beside("a hash for each field", fieldwise).AtMost(epochConstraintsBar),
		bench.NewFigure("prove-epoch-memory", most, "MiB").AtMost(epochMemoryBar),
	}, nil
}

// forgetPeak lets [bench.Peak] begin anew, without what the making of keys took: proc(5).
func forgetPeak() error {
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return errors.New("memory is known on Linux only")
	}
	return nil
}
