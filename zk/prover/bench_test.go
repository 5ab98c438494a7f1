//go:build unix

package prover

import (
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
