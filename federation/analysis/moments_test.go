package analysis_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/analysis"
)

func TestMomentsEqualR(t *testing.T) {
	t.Parallel()
	sites := make([][]analysis.Row, 3)
	for _, p := range cnsim(t) {
		sites[p.study] = append(sites[p.study], analysis.Row{Strata: []int{p.gender}, Value: p.tsc, HasValue: p.hasTSC})
	}
	m := analysis.Moments{By: []analysis.Stratifier{gender}, Low: 0, High: 30}
	r, err := m.Pool(summed(t, m, sites), len(sites))
	require.NoError(t, err)

	// R on the pooled column, rounded to 10 digits.
	require.EqualValues(t, 7825, r.Pooled.N)
	require.InEpsilon(t, 5.851924856, *r.Pooled.Mean, 1e-9)
	require.InEpsilon(t, 1.158384003, *r.Pooled.Variance, 1e-9)
	require.InEpsilon(t, math.Sqrt(1.158384003), *r.Pooled.SD, 1e-9)
	require.Equal(t, r.Pooled.N, r.Cells[0].N+r.Cells[1].N)

	// R: t.test(LAB_TSC ~ GENDER) gives Welch's t 5.727565555, which depends on
	// the means and variances of both cells.
	a, b := r.Cells[0].Summary, r.Cells[1].Summary
	welch := (*a.Mean - *b.Mean) / math.Sqrt(*a.Variance/float64(a.N)+*b.Variance/float64(b.N))
	require.InEpsilon(t, 5.727565555, math.Abs(welch), 1e-8)
}

// TestMomentsEqualPooledForEverySplit is the law of the package: whatever the
// split into sites, the answer is that of the pooled rows. The offsets are those
// on which sums of squares of raw values lose everything.
func TestMomentsEqualPooledForEverySplit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		offset := rapid.SampledFrom([]float64{0, 100, -1e6, 1e8}).Draw(t, "offset")
		width := rapid.SampledFrom([]float64{1, 30, 300}).Draw(t, "width")
		values := rapid.SliceOfN(rapid.Float64Range(offset, offset+width), 11, 400).Draw(t, "values")
		values = append(values, offset+width/4, offset+width/3) // not all equal
		sites := make([][]analysis.Row, rapid.IntRange(2, 20).Draw(t, "sites"))
		for _, row := range rowsOf(values) {
			s := rapid.IntRange(0, len(sites)-1).Draw(t, "site")
			sites[s] = append(sites[s], row)
		}
		m := analysis.Moments{Low: offset, High: offset + width}
		r, err := m.Pool(summed(t, m, sites), len(sites))
		require.NoError(t, err)

		want := twoPass(values)
		require.EqualValues(t, len(values), r.Pooled.N)
		require.InDelta(t, want.mean, *r.Pooled.Mean, 1e-8*max(math.Abs(want.mean), 1e-3*width))
		require.InEpsilon(t, want.variance, *r.Pooled.Variance, 1e-8)
		require.InEpsilon(t, math.Sqrt(want.variance), *r.Pooled.SD, 1e-8)
		whole, err := m.Pool(summed(t, m, [][]analysis.Row{rowsOf(values)}), 1)
		require.NoError(t, err)
		require.Equal(t, whole.Pooled, r.Pooled, "bit for bit what one site would answer")
	})
}

type reference struct{ mean, variance float64 }

// twoPass computes the moments from deviations with 200 bits.
func twoPass(values []float64) reference {
	number := func(v float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(v) }
	n, mean, squares := number(float64(len(values))), number(0), number(0)
	for _, v := range values {
		mean.Add(mean, number(v))
	}
	mean.Quo(mean, n)
	for _, v := range values {
		d := number(v)
		d.Sub(d, mean)
		squares.Add(squares, d.Mul(d, d))
	}
	squares.Quo(squares, number(float64(len(values)-1)))
	var r reference
	r.mean, _ = mean.Float64()
	r.variance, _ = squares.Float64()
	return r
}

func TestMomentsWithANarrowSpread(t *testing.T) {
	t.Parallel()
	// A spread of a hundred-thousandth of the range: the sums of squares agree
	// in their first ten digits.
	var values []float64
	for i := range 50 {
		values = append(values, 7_000+0.01*float64(i%10))
	}
	m := analysis.Moments{Low: 0, High: 10_000}
	r, err := m.Pool(summed(t, m, [][]analysis.Row{rowsOf(values[:20]), rowsOf(values[20:])}), 2)
	require.NoError(t, err)
	want := twoPass(values)
	require.InEpsilon(t, want.mean, *r.Pooled.Mean, 1e-14)
	require.InEpsilon(t, want.variance, *r.Pooled.Variance, 1e-7)
}

func TestMomentsOfFewValues(t *testing.T) {
	t.Parallel()
	m := analysis.Moments{Low: 0, High: 10}
	summary := func(values ...float64) analysis.Summary {
		table, err := m.Tabulate(each(rowsOf(values)))
		require.NoError(t, err)
		return pool(t, m, table)
	}
	t.Run("none", func(t *testing.T) {
		require.Equal(t, analysis.Summary{}, summary())
	})
	t.Run("one", func(t *testing.T) {
		s := summary(2.5)
		require.InEpsilon(t, 2.5, *s.Mean, 1e-15)
		require.Nil(t, s.Variance)
	})
	t.Run("equal", func(t *testing.T) {
		s := summary(2.7, 2.7, 2.7)
		require.InEpsilon(t, 2.7, *s.Mean, 1e-15)
		require.Zero(t, *s.Variance)
	})
	t.Run("ends of the range", func(t *testing.T) {
		s := summary(0, 10)
		require.InEpsilon(t, 5.0, *s.Mean, 1e-15)
		require.InEpsilon(t, 50.0, *s.Variance, 1e-15)
	})
}

func TestMomentsRefuses(t *testing.T) {
	t.Parallel()
	m := analysis.Moments{Low: 0, High: 10}
	for name, v := range map[string]float64{
		"nan": math.NaN(), "infinity": math.Inf(1), "negative infinity": math.Inf(-1), "above": 10.000001, "below": -1e-9,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := m.Tabulate(each(rowsOf([]float64{5, v})))
			require.EqualError(t, err, "moments: row 1: the value is outside the plausible range")
		})
	}
	for name, m := range map[string]analysis.Moments{
		"empty range":    {Low: 1, High: 1},
		"reversed range": {Low: 2, High: 1},
		"nan":            {Low: math.NaN(), High: 1},
		"infinite":       {Low: 0, High: math.Inf(1)},
		"too wide":       {Low: -1, High: 1.1e9},
		"too narrow":     {Low: 0, High: 9e-10},
	} {
		t.Run("range/"+name, func(t *testing.T) {
			t.Parallel()
			_, err := m.Tabulate(each(nil))
			require.Error(t, err)
		})
	}
}

// TestRangeMovesNoDigit: the answer does not depend on how wide a range was asked
// for. One so wide that a value is rounded away would say how many are above it.
func TestRangeMovesNoDigit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var values []float64
		for range rapid.IntRange(11, 40).Draw(t, "persons") {
			values = append(values, float64(rapid.IntRange(-300_000, 300_000).Draw(t, "value"))/0x1p10)
		}
		narrow, err := (analysis.Moments{Low: -300, High: 300}).Tabulate(each(rowsOf(values)))
		require.NoError(t, err)
		m := analysis.Moments{Low: -300, High: rapid.Float64Range(300, 0x1p30).Draw(t, "high")}
		wide, err := m.Tabulate(each(rowsOf(values)))
		require.NoError(t, err)
		require.Equal(t, pool(t, analysis.Moments{Low: -300, High: 300}, narrow), pool(t, m, wide))
	})
}

func TestMissingValuesAreLeftOut(t *testing.T) {
	t.Parallel()
	m := analysis.Moments{Low: 0, High: 10}
	table, err := m.Tabulate(each([]analysis.Row{{Value: 4, HasValue: true}, {Value: math.NaN()}}))
	require.NoError(t, err)
	require.EqualValues(t, 1, pool(t, m, table).N)
}

func TestLargestShare(t *testing.T) {
	t.Parallel()
	m := analysis.Moments{By: []analysis.Stratifier{gender}, Low: -100, High: 100}
	table, err := m.Tabulate(each([]analysis.Row{
		{Strata: []int{0}, Value: -60, HasValue: true},
		{Strata: []int{0}, Value: 30, HasValue: true},
		{Strata: []int{0}, Value: 10, HasValue: true},
	}))
	require.NoError(t, err)
	require.InEpsilon(t, 0.6, table.Cells[0].Largest, 1e-15)
	require.Zero(t, table.Cells[1].Largest)
}

func BenchmarkMomentsTabulate(b *testing.B) {
	m := analysis.Moments{By: []analysis.Stratifier{gender}, Low: 0, High: 30}
	rows := make([]analysis.Row, 10_000)
	for i := range rows {
		rows[i] = analysis.Row{Strata: []int{i % 2}, Value: float64(i%300) / 10, HasValue: true}
	}
	for b.Loop() {
		if _, err := m.Tabulate(each(rows)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(rows))/b.Elapsed().Seconds(), "rows/s")
}
