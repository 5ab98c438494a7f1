package analysis_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
)

// total is a method of one round: the sum of a column's values.
type total struct{ scale float64 }

func (total) Columns() []analysis.Column {
	return []analysis.Column{{Name: "v", Kind: analysis.Numeric, Low: -1e19, High: 1e19}}
}
func (total) Parameters() int      { return 1 }
func (total) Start() struct{}      { return struct{}{} }
func (total) Numbers(struct{}) int { return 1 }

func (m total) Site(_ struct{}, f *analysis.Frame, sums *analysis.Sums) error {
	for _, v := range f.Values("v") {
		sums.Add(0, v*m.scale)
	}
	return nil
}

func (total) Next(_ struct{}, p analysis.Pooled) (struct{}, any, error) {
	return struct{}{}, p, nil
}

func totalOf(m total, sites ...[]float64) (analysis.Pooled, error) {
	var frames []*analysis.Frame
	for _, values := range sites {
		f, err := analysis.NewFrame(m.Columns())
		if err != nil {
			return analysis.Pooled{}, err
		}
		for _, v := range values {
			if err := f.Append([]float64{v}); err != nil {
				return analysis.Pooled{}, err
			}
		}
		frames = append(frames, f)
	}
	outcome, err := analysis.Local(analysis.Iterate(m), frames...)
	if err != nil {
		return analysis.Pooled{}, err
	}
	return outcome.Result.(analysis.Pooled), nil
}

// TestNumbersAreExact: multiples of 2^-64 come back as they are, whatever their sign,
// from however many sites, also where large ones cancel.
func TestNumbersAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float64 {
			return math.Ldexp(float64(rapid.Int64Range(-1<<52, 1<<52).Draw(t, "digits")), rapid.IntRange(-64, -2).Draw(t, "exponent"))
		}), 1, 20).Draw(t, "values")
		var sites [][]float64
		want := 0.0
		for _, v := range values {
			sites = append(sites, []float64{v, 1 << 55}, []float64{-1 << 55, math.NaN()})
			want = v
		}
		p, err := totalOf(total{1}, sites[len(sites)-2:]...)
		require.NoError(t, err)
		require.Equal(t, []float64{want}, p.Numbers)
		require.EqualValues(t, 3, p.Rows)
		require.EqualValues(t, 1, p.Omitted)
		whole, err := totalOf(total{1}, sites...)
		require.NoError(t, err)
		var flat []float64
		for _, s := range sites {
			flat = append(flat, s...)
		}
		one, err := totalOf(total{1}, flat)
		require.NoError(t, err)
		require.Equal(t, whole.Numbers, one.Numbers)
	})
}

func TestNumbersOutOfRangeAreRefused(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]float64{
		"too large":       {0x1p62},
		"too small":       {-0x1p62},
		"together":        {0x1p61, 0x1p61},
		"together, below": {-0x1p61, -0x1p61, -1},
		"out and back":    {0x1p61, 0x1p61, -0x1p61},
	} {
		_, err := totalOf(total{1}, values)
		require.ErrorIs(t, err, analysis.ErrNumber, name)
	}
	for _, scale := range []float64{math.Inf(1), math.NaN()} {
		_, err := totalOf(total{scale}, []float64{1})
		require.ErrorIs(t, err, analysis.ErrNumber)
	}
	p, err := totalOf(total{1}, []float64{-0x1p61, -0x1p61}, []float64{0x1p62 - 1024})
	require.NoError(t, err)
	require.Equal(t, []float64{-1024}, p.Numbers)
}

func TestNextRefusesWhatNoSitesSend(t *testing.T) {
	t.Parallel()
	m := analysis.Iterate(total{1})
	state, err := m.Start()
	require.NoError(t, err)
	for name, words := range map[string][]uint64{
		"negative rows":      {math.MaxUint64, 0, 0, 0, 0},
		"low limb too large": {1, 0, 1 << 50, 0, 0},
		"middle limb":        {1, 0, 0, math.MaxUint64, 0},
		"top limb":           {1, 0, 0, 0, 1 << 40},
	} {
		_, err := m.Next(state, words, 2)
		require.ErrorIs(t, err, analysis.ErrInconsistent, name)
	}
	_, err = m.Next(state, make([]uint64, 4), 2)
	require.Error(t, err)
	_, err = m.Next(state, make([]uint64, 5), 0)
	require.Error(t, err)
	_, err = m.Next(analysis.State(`{"unknown":1}`), make([]uint64, 5), 2)
	require.Error(t, err)
}

// runaway is a method whose state, or result, is the inverse of a sum.
type runaway struct {
	total
	ends bool
}

type inverse struct{ Of float64 }

func (runaway) Start() inverse      { return inverse{} }
func (runaway) Numbers(inverse) int { return 1 }

func (runaway) Site(inverse, *analysis.Frame, *analysis.Sums) error { return nil }

func (m runaway) Next(_ inverse, p analysis.Pooled) (inverse, any, error) {
	of := inverse{1 / p.Numbers[0]}
	if m.ends {
		return inverse{}, of, nil
	}
	return of, nil, nil
}

// TestWhatCannotTravelEndsAMethod: any other error would have the hub take the same step again,
// for ever.
func TestWhatCannotTravelEndsAMethod(t *testing.T) {
	t.Parallel()
	for _, ends := range []bool{false, true} {
		m := analysis.Iterate(runaway{ends: ends})
		state, err := m.Start()
		require.NoError(t, err)
		_, err = m.Next(state, make([]uint64, 5), 3)
		var none analysis.NoResult
		require.ErrorAs(t, err, &none)
	}
}
