//go:build unix

package prover

import (
	"context"
	"flag"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

var production = flag.Bool("production", false, "benchmark shards of 1,024 too; the setup takes minutes and 2 GB")

// benchShapes are the demonstration's shape and production's.
func benchShapes() []circuits.Shape {
	shapes := []circuits.Shape{{ShardSize: 64, Shards: 2, Slots: 4}}
	if *production {
		shapes = append(shapes, circuits.Shape{ShardSize: 1024, Shards: 16, Slots: 2})
	}
	return shapes
}

// BenchmarkEpoch reports how many records one CPU-second commits.
func BenchmarkEpoch(b *testing.B) {
	for _, s := range benchShapes() {
		b.Run(s.Epoch().String(), func(b *testing.B) {
			p, err := proverOf(s)
			require.NoError(b, err)
			w := epoch(b, s, "a")
			start := cpu(b)
			for b.Loop() {
				_, err := p.Epoch(b.Context(), w)
				require.NoError(b, err)
			}
			report(b, p.epoch, s.ShardSize, cpu(b)-start)
		})
	}
}

// BenchmarkAccess reports how many records one CPU-second proves permitted.
func BenchmarkAccess(b *testing.B) {
	for _, s := range benchShapes() {
		b.Run(s.Access().String(), func(b *testing.B) {
			p, err := proverOf(s)
			require.NoError(b, err)
			w := access(b, s, "a")
			for k := 1; k < s.Shards; k++ {
				w.Shards = append(w.Shards, access(b, s, strconv.Itoa(k)).Shards[0])
			}
			w.Need = consent.MaskOf(consent.Conditions, consent.Statistics)
			start := cpu(b)
			for b.Loop() {
				_, err := p.Access(b.Context(), w)
				require.NoError(b, err)
			}
			report(b, p.access, s.ShardSize*s.Shards, cpu(b)-start)
		})
	}
}

// BenchmarkCover reports how many records one CPU-second proves to be all that are permitted.
func BenchmarkCover(b *testing.B) {
	for _, s := range benchShapes() {
		b.Run(s.Cover().String(), func(b *testing.B) {
			p := benchProver(b, s.Cover())
			labels := make([]string, s.Shards)
			for k := range labels {
				labels[k] = strconv.Itoa(k)
			}
			w, _ := result(b, s, labels...)
			start := cpu(b)
			for b.Loop() {
				_, err := p.Cover(b.Context(), w.Access)
				require.NoError(b, err)
			}
			report(b, p.cover, s.ShardSize*s.Shards, cpu(b)-start)
		})
	}
}

// BenchmarkAggregate reports how many records one CPU-second sums up: two columns in four
// groups under one condition.
func BenchmarkAggregate(b *testing.B) {
	for _, s := range benchShapes() {
		tally := circuits.Tally{ShardSize: s.ShardSize, Groups: 4, Values: 2, Conditions: 1}
		b.Run(tally.Aggregate().String(), func(b *testing.B) {
			p := benchProver(b, tally.Aggregate())
			w, _ := result(b, s, "a")
			use := w.Access.Shards[0]
			witness := circuits.AggregateWitness{
				Used: use.Used, UsedSalt: use.Salt, Table: w.Tables[0], Plan: w.Plan, Salt: w.TotalsSalts[0],
			}
			witness.Plan.Values = []uint8{1, 2}
			start := cpu(b)
			for b.Loop() {
				_, err := p.Aggregate(b.Context(), witness)
				require.NoError(b, err)
			}
			report(b, p.aggregate, s.ShardSize, cpu(b)-start)
		})
	}
}

// BenchmarkRelease reports how long 16 shards of eight cells take to be added up, rounded
// and, with noise, noised; a record is a shard.
func BenchmarkRelease(b *testing.B) {
	tally := circuits.Tally{Shards: 16, Groups: 4, Values: 2}
	for _, c := range []circuits.Circuit{tally.Release(), tally.Noise()} {
		b.Run(c.String(), func(b *testing.B) {
			p := benchProver(b, c)
			w := circuits.ReleaseWitness{Terms: circuits.Terms{Count: circuits.Rule{Unit: 5}, Sum: circuits.Rule{Unit: 10}}, QueryHash: secret("question", 0)}
			keys := p.release
			if keys == nil {
				keys, w.Seed, w.Terms.Count.Scale = p.noise, secret("seed", 0), 3
			}
			for k := range tally.Shards {
				shard := circuits.ShardTotals{Salt: secret("totals", k)}
				for range tally.Cells() {
					shard.Sums = append(shard.Sums, sums(200, 40_000, 9_000_000))
				}
				w.Shards = append(w.Shards, shard)
			}
			start := cpu(b)
			for b.Loop() {
				_, err := p.Release(b.Context(), w)
				require.NoError(b, err)
			}
			report(b, keys, tally.Shards, cpu(b)-start)
		})
	}
}

// benchProver has the keys of one circuit.
func benchProver(b *testing.B, c circuits.Circuit) *Prover {
	b.Helper()
	keys, err := cachedKeys(c)
	require.NoError(b, err)
	p := &Prover{turns: make(chan struct{}, 1)}
	switch {
	case c.IsCover():
		p.cover = keys[0]
	case c.IsAggregate():
		p.aggregate = keys[0]
	case c == c.Tally().Release():
		p.release = keys[0]
	default:
		p.noise = keys[0]
	}
	return p
}

// BenchmarkParticipant reports what one proof about a person or a parcel costs, at
// the sizes of production; setups take half a minute.
func BenchmarkParticipant(b *testing.B) {
	p := participantOf(b, circuits.Enrollment(12), circuits.Eligibility(5), circuits.Quiz(20), circuits.Custody(12, 5, 8))
	n, e, q, c := enrollment(b, 12, 1024), eligibility(b, 5), quiz(b, 20), custody(b, 12, 5, 8)
	for _, one := range []struct {
		keys  *Keys
		prove func(context.Context) error
	}{
		{p.cfg.Enrollment, func(ctx context.Context) error { _, err := p.Enrollment(ctx, n); return err }},
		{p.cfg.Eligibility, func(ctx context.Context) error { _, err := p.Eligibility(ctx, e); return err }},
		{p.cfg.Quiz, func(ctx context.Context) error { _, err := p.Quiz(ctx, q); return err }},
		{p.cfg.Custody, func(ctx context.Context) error { _, err := p.Custody(ctx, c); return err }},
	} {
		b.Run(one.keys.Circuit().String(), func(b *testing.B) {
			start := cpu(b)
			for b.Loop() {
				require.NoError(b, one.prove(b.Context()))
			}
			b.ReportMetric((cpu(b)-start).Seconds()/float64(b.N), "cpu-s/proof")
			b.ReportMetric(float64(one.keys.Constraints()), "constraints")
			b.ReportMetric(float64(one.keys.Size())/1e6, "key-MB")
		})
	}
}

func report(b *testing.B, k *Keys, records int, used time.Duration) {
	each := used.Seconds() / float64(b.N)
	b.ReportMetric(each, "cpu-s/proof")
	b.ReportMetric(float64(records)/each, "records/cpu-s")
	b.ReportMetric(float64(k.Constraints())/float64(records), "constraints/record")
	b.ReportMetric(float64(k.Size())/1e6, "key-MB")
}

// cpu is the processor time this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
