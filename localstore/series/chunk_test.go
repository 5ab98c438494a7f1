package series_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/series"
)

// values of every sort, with their sizes in a chunk of 1,000.
func columns() map[string]func(i int) float64 {
	return map[string]func(i int) float64{
		"whole":      func(i int) float64 { return float64(60 + i%7) },
		"constant":   func(int) float64 { return 98.6 },
		"decimals":   func(i int) float64 { return float64(3612+i*7%23) / 100 },
		"thirds":     func(i int) float64 { return float64(i) / 3 },
		"float32":    func(i int) float64 { return float64(float32(i) * 0.1) },
		"zeros":      func(i int) float64 { return math.Copysign(0, float64(i%2)-0.5) },
		"subnormals": func(i int) float64 { return math.Float64frombits(uint64(i)) },
		"extremes":   func(i int) float64 { return []float64{math.MaxFloat64, -math.MaxFloat64, 1 << 53, 1<<53 + 2, 0.1}[i%5] },
	}
}

func chunkOf(n int, value func(i int) float64) []series.Point {
	points := make([]series.Point, n)
	for i := range points {
		points[i] = series.Point{Time: 1_700_000_000_000 + 60_000*int64(i), Value: value(i), Load: 7, Source: 1}
	}
	return points
}

// requireSame compares bit for bit.
func requireSame(t require.TestingT, want, got []series.Point) {
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, math.Float64bits(want[i].Value), math.Float64bits(got[i].Value), "value %d", i)
		w, g := want[i], got[i]
		w.Value, g.Value = 0, 0
		require.True(t, w == g, "point %d", i)
	}
}

func TestChunkComesBackBitForBit(t *testing.T) {
	t.Parallel()
	for name, value := range columns() {
		for _, n := range []int{1, 2, series.ChunkPoints} {
			points := chunkOf(n, value)
			got, err := series.DecodeChunk(nil, series.EncodeChunk(points), 1)
			require.NoError(t, err, name)
			requireSame(t, points, got)
		}
	}
}

func TestChunkOfARegularDeviceIsSmall(t *testing.T) {
	t.Parallel()
	for name, most := range map[string]float64{"constant": 0.1, "whole": 1.1, "decimals": 1.1, "float32": 6.1, "thirds": 9.1} {
		body := series.EncodeChunk(chunkOf(series.ChunkPoints, columns()[name]))
		require.LessOrEqual(t, float64(len(body))/series.ChunkPoints, most, name)
	}
}

// points draws points of one series in order.
func points(t *rapid.T, n int) []series.Point {
	at := rapid.Int64Range(series.FirstTime, series.LastTime-int64(n)*100_000_000).Draw(t, "begin")
	step := rapid.SampledFrom([]int64{1, 1000, 60_000}).Draw(t, "step")
	value := rapid.SampledFrom([]*rapid.Generator[float64]{
		rapid.Map(rapid.IntRange(-500, 500), func(i int) float64 { return float64(i) / 10 }),
		rapid.Float64().Filter(func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }),
	}).Draw(t, "kind")
	out := make([]series.Point, n)
	for i := range out {
		out[i] = series.Point{
			Time: at, Value: value.Draw(t, "value"), Source: 1,
			Load:  series.LoadID(rapid.Int64Range(1, 3).Draw(t, "load")),
			Flags: series.Flags(rapid.IntRange(0, 3).Draw(t, "flags")),
		}
		at += step * rapid.Int64Range(1, 1000).Draw(t, "gap")
	}
	return out
}

func TestEveryChunkComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := points(t, rapid.IntRange(1, 60).Draw(t, "n"))
		got, err := series.DecodeChunk(nil, series.EncodeChunk(want), 1)
		require.NoError(t, err)
		requireSame(t, want, got)
	})
}

func TestDamagedChunkIsAnError(t *testing.T) {
	t.Parallel()
	body := series.EncodeChunk(chunkOf(50, columns()["decimals"]))
	for i := range body {
		for bit := range 8 {
			damaged := slices.Clone(body)
			damaged[i] ^= 1 << bit
			_, err := series.DecodeChunk(nil, damaged, 1)
			require.Error(t, err)
		}
		_, err := series.DecodeChunk(nil, body[:i], 1)
		require.Error(t, err)
	}
}

// FuzzChunk decodes what follows a version byte and precedes a right checksum.
func FuzzChunk(f *testing.F) {
	for _, value := range columns() {
		body := series.EncodeChunk(chunkOf(20, value))
		f.Add(body[:len(body)-4])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		first, err := series.DecodeChunk(nil, series.Seal(body), 1)
		if err != nil {
			return
		}
		again, err := series.DecodeChunk(nil, series.EncodeChunk(first), 1)
		require.NoError(t, err)
		requireSame(t, first, again)
	})
}

// FuzzBlock decodes the body of a landed batch.
func FuzzBlock(f *testing.F) {
	for _, value := range columns() {
		body := series.WriteBlock([]int64{-5, 0, 1 << 40}, chunkOf(3, value))
		f.Add(body[:len(body)-4])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		persons, points, err := series.ReadBlock(series.Seal(body))
		require.True(t, err != nil || len(persons) == len(points))
	})
}
