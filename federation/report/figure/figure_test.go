package figure

import (
	"bytes"
	"image/png"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTicksAreRoundAndWithinTheAxis(t *testing.T) {
	t.Parallel()
	require.Equal(t, []float64{0, 200, 400, 600, 800, 1000}, axis{low: 0, high: 1022}.ticks(8))
	require.Equal(t, []string{"-0.5", "0", "0.5", "1"}, names(axis{low: -0.6, high: 1.1}.ticks(4)))
	require.Equal(t, []string{"0.5", "1", "2", "5"}, names(axis{low: 0.4, high: 8, log: true}.ticks(5)))
	require.Equal(t, []string{"1e-10", "1e-08", "1e-06", "0.0001", "0.01", "1"}, names(axis{low: 5e-11, high: 20, log: true}.ticks(7)))
	rapid.Check(t, func(t *rapid.T) {
		a := axis{low: rapid.Float64Range(-1e6, 1e6).Draw(t, "low"), log: rapid.Bool().Draw(t, "log")}
		span := math.Pow(10, rapid.Float64Range(-3, 6).Draw(t, "span"))
		a.high = a.low + span
		if a.log {
			a.low = math.Pow(10, rapid.Float64Range(-8, 8).Draw(t, "power"))
			a.high = a.low * (1.2 + span)
		}
		most := rapid.IntRange(3, 12).Draw(t, "most")
		ticks := a.ticks(most)
		require.LessOrEqual(t, len(ticks), most+1)
		for i, v := range ticks {
			require.True(t, v >= a.low-1e-9*span-1e-9*math.Abs(a.low) && v <= a.high+1e-9*span+1e-9*math.Abs(a.high))
			require.True(t, i == 0 || v > ticks[i-1])
		}
	})
}

func TestTicksOfDaysAreThoseOfACalendar(t *testing.T) {
	t.Parallel()
	for last, want := range map[float64][]float64{
		365: {0, 60, 120, 180, 240, 300, 360}, 28: {0, 7, 14, 21, 28}, 5: {0, 1, 2, 3, 4, 5}, 3: {0, 0.5, 1, 1.5, 2, 2.5, 3}, 1825: {0, 365, 730, 1095, 1460, 1825}, 1e5: {0, 2e4, 4e4, 6e4, 8e4, 1e5},
	} {
		require.Equal(t, want, axis{high: last}.dayTicks(8), "to day %g", last)
	}
}

func TestARiskTableCountsWhoIsStillThere(t *testing.T) {
	t.Parallel()
	a := Arm{Steps: []Step{{Time: 5, AtRisk: 10, Leave: 2}, {Time: 8, AtRisk: 8, Leave: 1}}}
	at := func(time float64) any {
		if n, known := a.at(time); known {
			return n
		}
		return nil
	}
	for time, want := range map[float64]any{0: int64(10), 5: int64(10), 6: int64(8), 8: int64(8), 9: nil} {
		require.Equal(t, want, at(time), "at %g; when the other seven left is not shown", time)
	}
	a.Steps = append(a.Steps, Step{Time: 9, AtRisk: 7, Leave: 7})
	require.Equal(t, int64(0), at(20), "nobody is left")
	a.N = 12 // two left before the first step
	require.Equal(t, int64(12), at(0))
	require.Equal(t, int64(10), at(5))
}

func TestLimitsThatAreFarOffDoNotStretchAForest(t *testing.T) {
	t.Parallel()
	p := Forest{Log: true, None: 1, Rows: []Effect{{Estimate: 2, Low: 1.5, High: 2.5}, {Estimate: 3, Low: 0, High: math.Inf(1)}, {Estimate: math.NaN()}}}
	a := p.axis()
	require.Greater(t, a.low, 0.01)
	require.Less(t, a.high, 100.0)
	require.NotPanics(t, func() { Forest{None: 1, Log: true}.Draw() }, "without rows")

	for name, one := range map[string]Forest{
		"a ratio near 1":          {Log: true, None: 1, Rows: []Effect{{Estimate: 1.058, Low: 1.017, High: 1.1}}},
		"a wide ratio":            {Log: true, None: 1, Rows: []Effect{{Estimate: 1.1, Low: 0.02, High: 60}}},
		"a coefficient near 0":    {Rows: []Effect{{Estimate: 0.05, Low: -1, High: 1.1}}},
		"one that is far from it": {Rows: []Effect{{Estimate: 120, Low: 118, High: 122}}},
	} {
		a := one.axis()
		require.LessOrEqual(t, a.low, one.Rows[0].Low, name)
		require.GreaterOrEqual(t, a.high, one.Rows[0].High, name)
		require.Greater(t, len(a.ticks(7)), 2, name)
	}
}

// TestPicturesAreTheSameEveryTime, and of ink where the figure has it.
func TestPicturesAreTheSameEveryTime(t *testing.T) {
	t.Parallel()
	draw := func() []byte {
		var b bytes.Buffer
		require.NoError(t, Flow{Steps: []Stage{{Remain: "Entered (n = 12)"}, {Remain: "Left (n = 10)", Leave: "Excluded (n = 2)"}}}.Draw().PNG(&b))
		return b.Bytes()
	}
	one := draw()
	require.Equal(t, one, draw())
	img, err := png.Decode(bytes.NewReader(one))
	require.NoError(t, err)
	dark := func(x, y float64) bool {
		r, _, _, _ := img.At(int(x*scale), int(y*scale)).RGBA()
		return r < 0x8000
	}
	require.True(t, dark(margin, margin+10), "the left side of the first box")
	require.True(t, dark(margin+boxWide/2, margin+40), "the arrow below it")
	require.False(t, dark(2, 2), "the margin")
}

func TestDashesAddUpToTheirLine(t *testing.T) {
	t.Parallel()
	runs := cut([]point{{0, 0}, {10, 0}, {10, 5}}, []float64{4, 2})
	require.Equal(t, [][]point{{{0, 0}, {4, 0}}, {{6, 0}, {10, 0}, {10, 0}}, {{10, 2}, {10, 5}}}, runs)
}

func TestTextIsBrokenToFitItsBox(t *testing.T) {
	t.Parallel()
	for _, line := range wrap("a long sentence about what a person must have had before the day of entry, and aWordThatIsSoLongThatNoBoxHoldsItAtAllAndMustBeCut") {
		require.LessOrEqual(t, faceOf(false).glyphs(line, textSize, nil), boxWide)
	}
}
