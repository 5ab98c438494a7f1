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
