package series_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/series"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
)

const hour, day = int64(3_600_000), 24 * int64(3_600_000)

// ident names a point in the model.
type ident struct {
	person   int64
	variable series.VariableID
	source   series.SourceID
	time     int64
}

// content is what the model knows of a point.
type content struct {
	bits  uint64
	flags series.Flags
	load  series.LoadID
}

// model is the store as a map.
type model struct {
	points     map[ident]content
	closed     int64
	outcomes   map[series.LoadID]series.Outcome
	aggregates map[ident]series.Aggregate // time is the begin
}

func (m *model) append(b series.Batch, load series.LoadID) (landed int64) {
	o := m.outcomes[load]
	for i, t := range b.Times {
		if t < m.closed || math.IsNaN(b.Values[i]) {
			continue
		}
		o.Points++
		id := ident{numberOf(b.Persons[b.Person[i]]), b.Variables[b.Variable[i]], b.Source, t}
		c := content{bits: math.Float64bits(b.Values[i]), load: load}
		if b.Flags != nil {
			c.flags = b.Flags[i]
		}
		old, known := m.points[id]
		switch {
		case !known:
			o.Stored++
		case old.bits == c.bits && old.flags == c.flags:
			o.Duplicates++
			continue
		default:
			o.Replaced++
		}
		m.points[id] = c
	}
	m.outcomes[load] = o
	return o.Points
}

func numberOf(p omop.PersonID) int64 {
	v, err := p.Value()
	if err != nil {
		panic(err)
	}
	return v.(int64)
}

// retain keeps points for 2 days, minutes for 4, hours for 8; partitions are days.
func (m *model) retain(at int64) {
	limit := func(keep int64) int64 { return (at - keep) / day * day }
	m.closed = max(m.closed, limit(2*day))
	ids := slices.SortedFunc(maps.Keys(m.points), func(a, b ident) int { return int(a.time - b.time) })
	for _, id := range ids {
		if id.time >= m.closed {
			continue
		}
		c := m.points[id]
		delete(m.points, id)
		if v := math.Float64frombits(c.bits); c.flags&series.Invalid == 0 {
			m.fold(id, 60_000, series.Aggregate{N: 1, Min: v, Max: v, Mean: v, First: v, Last: v})
		}
	}
	ids = slices.SortedFunc(maps.Keys(m.aggregates), func(a, b ident) int { return int(a.time - b.time) })
	for _, id := range ids {
		a := m.aggregates[id]
		if a.Width == 60_000 && id.time < min(m.closed, limit(4*day)) {
			delete(m.aggregates, id)
			m.fold(id, hour, a)
		}
	}
	for id, a := range m.aggregates {
		if a.Width == hour && id.time < min(m.closed, limit(8*day)) {
			delete(m.aggregates, id)
		}
	}
}

func (m *model) fold(id ident, width int64, part series.Aggregate) {
	id.time = id.time / width * width
	a, ok := m.aggregates[id]
	if !ok {
		part.Time, part.Width, part.Source = id.time, width, id.source
		m.aggregates[id] = part
		return
	}
	a.Mean = (a.Mean*float64(a.N) + part.Mean*float64(part.N)) / float64(a.N+part.N)
	a.N += part.N
	a.Min, a.Max, a.Last = min(a.Min, part.Min), max(a.Max, part.Max), part.Last
	m.aggregates[id] = a
}

func TestStoreEqualsAMap(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		retention := series.Retention{Raw: 48 * time.Hour, Minute: 96 * time.Hour, Hour: 192 * time.Hour}
		s := newSite(t, db, series.Config{Partition: 24 * time.Hour, Bite: 1000, Retention: retention})
		s.store.Shrink()
		var sources []series.SourceID
		require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
			for i := range 2 {
				id, err := s.store.Source(ctx, tx, fmt.Sprint("source ", i))
				sources = append(sources, id)
				require.NoError(t, err)
			}
			return nil
		}))
		clear := func() {
			require.NoError(t, db.Write(ctx, func(tx *sqldb.Tx) error {
				for _, table := range []string{"series", "series_chunk", "series_aggregate", "series_landed", "series_load"} {
					_, err := tx.Exec(ctx, "DELETE FROM "+table)
					require.NoError(t, err)
				}
				_, err := tx.Exec(ctx, "UPDATE series_state SET merge = NULL, closed_ms = ?", int64(math.MinInt64))
				return err
			}))
		}
		rapid.Check(t, func(rt *rapid.T) {
			clear()
			m := &model{points: map[ident]content{}, outcomes: map[series.LoadID]series.Outcome{}, aggregates: map[ident]series.Aggregate{}, closed: math.MinInt64}
			clock := 20 * day
			var sent []series.Batch
			add := func(b series.Batch) {
				r := s.append(t, b)
				require.EqualValues(rt, m.append(b, r.Load), r.Landed)
				require.Len(rt, r.Refused, len(b.Times)-r.Landed)
			}
			for range rapid.IntRange(1, 14).Draw(rt, "steps") {
				switch rapid.SampledFrom([]string{"append", "append", "again", "compact", "compact", "retain", "read"}).Draw(rt, "step") {
				case "append":
					b := drawBatch(rt, s, sources, clock)
					sent = append(sent, b)
					add(b)
				case "again":
					if len(sent) > 0 {
						add(rapid.SampledFrom(sent).Draw(rt, "sent"))
					}
				case "compact":
					_, err := s.store.Compact(ctx)
					require.NoError(rt, err)
				case "retain":
					clock += rapid.Int64Range(0, 2*day).Draw(rt, "later")
					require.NoError(rt, s.store.Retain(ctx, time.UnixMilli(clock)))
					m.retain(clock)
				case "read":
					requireModel(rt, s, m)
				}
			}
			s.compact(t)
			requireModel(rt, s, m)
			for load, want := range m.outcomes {
				got := s.outcome(t, load)
				require.True(rt, got.Settled)
				require.Equal(rt, [5]int64{want.Points, want.Stored, want.Replaced, want.Duplicates, 0},
					[5]int64{got.Points, got.Stored, got.Replaced, got.Duplicates, got.Expired})
			}
		})
	})
}

// drawBatch draws points of the last three days: single ones or a dense stretch.
func drawBatch(rt *rapid.T, s *site, sources []series.SourceID, clock int64) series.Batch {
	b := series.Batch{
		Origin: series.Origin{Mapper: "test"}, At: now, Source: rapid.SampledFrom(sources).Draw(rt, "source"),
		Persons: []omop.PersonID{person(-3), person(1), person(2)}, Variables: []series.VariableID{s.variable, s.variable + 1},
	}
	add := func(p, v int32, at int64, value float64, flags series.Flags) {
		b.Person, b.Variable, b.Times = append(b.Person, p), append(b.Variable, v), append(b.Times, at)
		b.Values, b.Flags = append(b.Values, value), append(b.Flags, flags)
	}
	p, v := rapid.Int32Range(0, 2).Draw(rt, "person"), rapid.Int32Range(0, 1).Draw(rt, "variable")
	from := (clock-3*day)/day*day + rapid.SampledFrom([]int64{1, 2, 24, 71}).Draw(rt, "from")*hour
	if rapid.Bool().Draw(rt, "dense") {
		value := float64(rapid.IntRange(0, 2).Draw(rt, "value"))
		stretch := rapid.SampledFrom([]int64{1, 2, 400}).Draw(rt, "stretch")
		for i := range rapid.Int64Range(10, 25).Draw(rt, "n") {
			add(p, v, from+i*20_000*stretch, value+float64(i%3), 0)
		}
		return b
	}
	for range rapid.IntRange(1, 8).Draw(rt, "n") {
		value := rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1.5, 1.0 / 3, math.NaN(), 5e-324}).Draw(rt, "value")
		add(rapid.Int32Range(0, 2).Draw(rt, "who"), v, from+20_000*rapid.Int64Range(-30, 30).Draw(rt, "at"), value, series.Flags(rapid.IntRange(0, 3).Draw(rt, "flags")))
	}
	return b
}

// requireModel compares everything that can be read.
func requireModel(rt *rapid.T, s *site, m *model) {
	rt.Helper()
	ctx := rt.Context()
	points, aggregates := map[ident]content{}, map[ident]series.Aggregate{}
	require.NoError(rt, s.db.Read(ctx, func(tx *sqldb.Tx) error {
		for _, p := range []int64{-3, 1, 2} {
			for v := s.variable; v <= s.variable+1; v++ {
				var last series.Point
				n, inOrder := int64(0), true
				for point, err := range s.store.Points(ctx, tx, person(p), v, 0, forever) {
					if err != nil {
						rt.Fatal(err)
					}
					inOrder = inOrder && (n == 0 || last.Time < point.Time || last.Time == point.Time && last.Source < point.Source)
					points[ident{p, v, point.Source, point.Time}] = content{math.Float64bits(point.Value), point.Flags, point.Load}
					last = point
					n++
				}
				require.True(rt, inOrder)
				count, err := s.store.Count(ctx, tx, person(p), v, 0, forever)
				require.NoError(rt, err)
				require.Equal(rt, n, count)
				latest, err := s.store.Last(ctx, tx, person(p), v)
				if n == 0 {
					require.ErrorIs(rt, err, sqldb.ErrNoRows)
				} else {
					require.NoError(rt, err)
					require.True(rt, latest.Time == last.Time && latest.Source == last.Source && math.Float64bits(latest.Value) == math.Float64bits(last.Value))
				}
				for a, err := range s.store.Aggregates(ctx, tx, person(p), v, 0, forever) {
					require.NoError(rt, err)
					id := ident{p, v, a.Source, a.Time}
					require.NotContains(rt, aggregates, id)
					aggregates[id] = a
				}
			}
		}
		return nil
	}))
	// The load of a point that waits and repeats another is that of the repetition until it is merged.
	require.Len(rt, points, len(m.points))
	for id, want := range m.points {
		got, ok := points[id]
		if !ok || got.bits != want.bits || got.flags != want.flags || got.load < want.load {
			rt.Fatal("a point differs")
		}
	}
	require.Len(rt, aggregates, len(m.aggregates))
	for id, want := range m.aggregates {
		got := aggregates[id]
		require.InDelta(rt, want.Mean, got.Mean, 1e-9)
		got.Mean, want.Mean = 0, 0
		require.True(rt, got == want, "an aggregate differs")
	}
}
