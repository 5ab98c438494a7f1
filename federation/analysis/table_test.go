package analysis_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
)

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	one := []analysis.Sum{{Coarse: 1 << 32}}
	for name, cells := range map[string][]analysis.Cell{
		"no cells":               nil,
		"negative persons":       {{N: -1}},
		"too many persons":       {{N: analysis.MaxPersons + 1}},
		"too many in two cells":  {{N: analysis.MaxPersons}, {N: 1}},
		"withheld, not empty":    {{N: 12, Withheld: true}},
		"withheld, sum left":     {{Sums: one, Withheld: true}},
		"sum above its persons":  {{N: 1, Sums: []analysis.Sum{{Coarse: 1<<32 + 1}}}},
		"sum below its persons":  {{N: 1, Sums: []analysis.Sum{{Coarse: math.MinInt64}}}},
		"fine word too large":    {{N: 1, Sums: []analysis.Sum{{Fine: 1<<31 + 1}}}},
		"cells of two methods":   {{N: 1, Sums: one}, {N: 1}},
		"too many cells, really": make([]analysis.Cell, analysis.MaxCells+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := analysis.Encode(analysis.Table{Cells: cells})
			require.Error(t, err)
		})
	}
}

func TestEncodeLayout(t *testing.T) {
	t.Parallel()
	words, err := analysis.Encode(analysis.Table{Cells: []analysis.Cell{
		{N: 12, Sums: []analysis.Sum{{Coarse: -3, Fine: 5}}},
		analysis.Cell{N: 4, Sums: []analysis.Sum{{Coarse: 9, Fine: 9}}}.Withhold(),
	}})
	require.NoError(t, err)
	require.Equal(t, []uint64{12, 0, math.MaxUint64 - 2, 5, 0, 1, 0, 0}, words)
}

func TestPoolRefuses(t *testing.T) {
	t.Parallel()
	count := analysis.Count{By: []analysis.Stratifier{gender}}
	moments := analysis.Moments{Low: 0, High: 10}
	for name, pool := range map[string]func() error{
		"no sites":              func() error { _, err := count.Pool(make([]uint64, 4), 0); return err },
		"wrong length":          func() error { _, err := count.Pool(make([]uint64, 3), 3); return err },
		"too many sites":        func() error { _, err := count.Pool(make([]uint64, 4), analysis.MaxSites+1); return err },
		"moments, wrong length": func() error { _, err := moments.Pool(make([]uint64, 9), 3); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Error(t, pool())
		})
	}
	for name, words := range map[string][]uint64{
		"negative count":              {math.MaxUint64, 0, 0, 0},
		"more persons than there are": {analysis.MaxPersons, 0, 1, 0},
		"withheld by more than all":   {0, 4, 0, 0},
		"withheld by all, not empty":  {12, 3, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := count.Pool(words, 3)
			require.ErrorIs(t, err, analysis.ErrInconsistent)
		})
	}
	for name, words := range map[string][]uint64{
		"mean outside the range":  {1, 0, 2 << 32, 0, 1 << 32, 0, 0, 0},
		"square below the mean's": {2, 0, 2 << 32, 0, 0, 0, 0, 0},
		"sums of nobody":          {0, 0, 1, 0, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := moments.Pool(words, 3)
			require.ErrorIs(t, err, analysis.ErrInconsistent)
		})
	}
}

func TestRoundHalvesUpwards(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]int64{0: 0, 2: 0, 3: 5, 12: 10, 13: 15, 15: 15} {
		require.Equal(t, want, analysis.Cell{N: n}.Round(5).N, "%d", n)
	}
	require.EqualValues(t, 2, analysis.Cell{N: 1}.Round(2).N)
	require.EqualValues(t, 13, analysis.Cell{N: 13}.Round(0).N, "no rounding")
}

func pool(t require.TestingT, m analysis.Moments, table analysis.Table) analysis.Summary {
	words, err := analysis.Encode(table)
	require.NoError(t, err)
	r, err := m.Pool(words, 1)
	require.NoError(t, err)
	return r.Pooled
}

func rowsOf(values []float64) []analysis.Row {
	rows := make([]analysis.Row, len(values))
	for i, v := range values {
		rows[i] = analysis.Row{Value: v, HasValue: true}
	}
	return rows
}

func FuzzPool(f *testing.F) {
	f.Add([]byte{12, 0, 3, 0}, 3)
	f.Add(make([]byte, 80), 1)
	f.Fuzz(func(t *testing.T, data []byte, sites int) {
		m := analysis.Moments{Low: -1, High: 1}
		words := make([]uint64, min(len(data)/8+len(data)%8, 2*m.Words()))
		for i := range words {
			for _, b := range data[min(8*i, len(data)):min(8*i+8, len(data))] {
				words[i] = words[i]<<8 | uint64(b)
			}
		}
		r, err := m.Pool(words, sites)
		if err == nil && r.Pooled.Mean != nil {
			require.LessOrEqual(t, math.Abs(*r.Pooled.Mean), 1.0+1e-9)
			require.False(t, r.Pooled.Variance != nil && !(*r.Pooled.Variance >= 0))
		}
		_, _ = analysis.Count{By: []analysis.Stratifier{gender}}.Pool(words, sites)
	})
}
