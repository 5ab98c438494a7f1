package population

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func generator(t testing.TB, cfg Config) *Generator {
	t.Helper()
	g, err := New(cfg)
	require.NoError(t, err)
	return g
}

func TestNewRefusesBounds(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{
		{},
		{Size: -1},
		{Size: 2_000_000_000},
		{Size: 1, Years: 21},
		{Size: 1, Years: -1},
		{Size: 1, End: time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		_, err := New(cfg)
		require.Error(t, err)
	}
	_, err := generator(t, Config{Size: 3}).Person(3)
	require.Error(t, err)
	_, err = generator(t, Config{Size: 3}).Person(-1)
	require.Error(t, err)
}

// A person is the same alone, in a stream, out of order and from several workers at once.
func TestPersonDependsOnSeedAndNumberOnly(t *testing.T) {
	t.Parallel()
	const size = 400
	g := generator(t, Config{Seed: 7, Size: size})
	var stream []History
	for h, err := range g.All(t.Context()) {
		require.NoError(t, err)
		stream = append(stream, h.Clone())
	}
	require.Len(t, stream, size)

	larger := generator(t, Config{Seed: 7, Size: 1_000_000})
	parallel := make([]History, size)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for k := size - 1 - worker; k >= 0; k -= 4 { // backwards
				if err := larger.Fill(&parallel[k], int64(k)); err != nil {
					panic(err)
				}
			}
		})
	}
	wg.Wait()
	for k := range stream {
		alone, err := g.Person(int64(k))
		require.NoError(t, err)
		want := digest(stream[k])
		require.Equal(t, want, digest(alone), k)
		require.Equal(t, want, digest(parallel[k]), k)
	}
	other, err := generator(t, Config{Seed: 8, Size: size}).Person(0)
	require.NoError(t, err)
	require.NotEqual(t, digest(stream[0]), digest(other))
}

func digest(h History) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%v", h)) // %v, as an empty table may be nil
	return hex.EncodeToString(sum[:8])
}

// A change of the model changes everybody's benchmark; this test makes it a decision.
func TestPeopleOfSeedOneAreFixed(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("other processors fuse multiplications, so a rounded value may differ in its last digit")
	}
	sum := sha256.New()
	for h, err := range generator(t, Config{Seed: 1, Size: 1000}).All(t.Context()) {
		require.NoError(t, err)
		sum.Write([]byte(digest(*h)))
	}
	require.Equal(t, "6c2f4134db5a083d", hex.EncodeToString(sum.Sum(nil)[:8]))
}

// Whatever the configuration, the rows of a person keep the promises of their types.
func TestRowsAreConsistent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g, err := New(Config{
			Seed: rapid.Uint64().Draw(t, "seed"), Size: 1_000_000_000, Years: rapid.IntRange(1, 20).Draw(t, "years"),
		})
		if err != nil {
			t.Fatal(err)
		}
		k := rapid.Int64Range(0, g.Size()-1).Draw(t, "person")
		h, err := g.Person(k)
		if err != nil {
			t.Fatal(err)
		}
		within := func(at time.Time) {
			if at.Before(h.ObservationPeriod.StartDate) || at.After(h.ObservationPeriod.EndDate) {
				t.Fatalf("%v is outside the observation period", at)
			}
		}
		visits := map[int64]time.Time{}
		for i, v := range h.Visits {
			within(v.StartDate)
			visits[v.VisitOccurrenceID] = v.StartDate
			if i > 0 && !v.StartDate.After(h.Visits[i-1].StartDate) {
				t.Fatal("visits out of order")
			}
		}
		ids := map[int64]bool{}
		for _, m := range h.Measurements {
			if at, ok := visits[m.VisitOccurrenceID]; !ok || !at.Equal(m.MeasurementDate) || ids[m.MeasurementID] {
				t.Fatal("a measurement without its visit, or twice")
			}
			if m.MeasurementID/rowsPerPerson != k+1 || m.PersonID != k+1 || math.IsNaN(m.ValueAsNumber) {
				t.Fatal("a measurement of somebody else")
			}
			ids[m.MeasurementID] = true
		}
		born := dateOfBirth(h.Person)
		for _, c := range h.Conditions {
			if c.ConditionStartDate.Before(born) || c.ConditionStartDate.After(h.ObservationPeriod.EndDate) {
				t.Fatal("a condition outside life")
			}
		}
		for _, d := range h.Drugs {
			within(d.DrugExposureStartDate)
			within(d.DrugExposureEndDate)
		}
		if max(len(h.Measurements), len(h.Drugs), len(h.Visits)) >= rowsPerPerson {
			t.Fatal("more rows than ids")
		}
	})
}

func TestAllStops(t *testing.T) {
	t.Parallel()
	g := generator(t, Config{Size: 1_000_000_000})
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	var last error
	for _, err := range g.All(ctx) {
		if n++; n == 10 {
			cancel()
		}
		last = err
	}
	cancel()
	require.ErrorIs(t, last, context.Canceled)
	require.Equal(t, 11, n)
	for range g.All(t.Context()) {
		if n++; n == 20 {
			break
		}
	}
	require.Equal(t, 20, n)
}

// The heap does not grow with the number of people. It runs alone, as the heap is everybody's.
func TestAllInConstantMemory(t *testing.T) {
	g := generator(t, Config{Seed: 3, Size: 60_000})
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peak, n := uint64(0), 0
	for _, err := range g.All(t.Context()) {
		require.NoError(t, err)
		if n++; n%20_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapAlloc)
		}
	}
	require.Less(t, peak, before.HeapAlloc+2<<20)
	allocated := now.TotalAlloc - before.TotalAlloc
	require.Less(t, allocated/60_000, uint64(1500), "bytes allocated per person")
}

func BenchmarkPeople(b *testing.B) {
	g := generator(b, Config{Seed: 1, Size: 1_000_000_000})
	b.ReportAllocs()
	var h History
	k, rows := int64(0), 0
	for b.Loop() {
		if err := g.Fill(&h, k); err != nil {
			b.Fatal(err)
		}
		k++
		rows += 2 + len(h.Visits) + len(h.Conditions) + len(h.Drugs) + len(h.Measurements)
	}
	b.ReportMetric(float64(k)/b.Elapsed().Seconds(), "persons/s")
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
