package noise_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"math"
	"math/big"
	chance "math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mathext"

	"github.com/trialmesh/trialmesh/node/release/noise"
)

const draws = 1500

// fit draws and returns the probability that numbers of the given weights, not
// normalized, are as far off or farther (Pearson's χ²). Cells of less than ten
// expected draws are taken together.
func fit(t *testing.T, weight func(k int64) float64, draw func() (int64, error)) float64 {
	t.Helper()
	const far = 2000
	var whole float64
	for k := int64(-far); k <= far; k++ {
		whole += weight(k)
	}
	seen := make(map[int64]int)
	for range draws {
		k, err := draw()
		require.NoError(t, err)
		seen[k]++
	}
	var statistic, expected float64
	observed, cells := 0, 0
	for k := int64(-far); k <= far; k++ {
		expected += draws * weight(k) / whole
		observed += seen[k]
		if expected >= 10 {
			d := float64(observed) - expected
			statistic += d * d / expected
			cells++
			expected, observed = 0, 0
		}
	}
	statistic += math.Pow(float64(observed)-expected, 2) / max(expected, 1)
	return mathext.GammaIncRegComp(float64(cells-1)/2, statistic/2)
}

func seeded(n byte) *chance.ChaCha8 { return chance.NewChaCha8([32]byte{n}) }

func TestLaplaceHasItsDistribution(t *testing.T) {
	t.Parallel()
	for i, scale := range []*big.Rat{big.NewRat(1, 3), big.NewRat(1, 1), big.NewRat(7, 2), big.NewRat(20, 1)} {
		random := seeded(byte(i))
		b, _ := scale.Float64()
		p := fit(t, func(k int64) float64 { return math.Exp(-math.Abs(float64(k)) / b) },
			func() (int64, error) { return noise.Laplace(random, scale) })
		require.Greater(t, p, 0.001, "scale %s", scale)
	}
}

func TestGaussianHasItsDistribution(t *testing.T) {
	t.Parallel()
	for i, variance := range []*big.Rat{big.NewRat(1, 4), big.NewRat(1, 1), big.NewRat(25, 3), big.NewRat(400, 1)} {
		random := seeded(byte(10 + i))
		v, _ := variance.Float64()
		p := fit(t, func(k int64) float64 { return math.Exp(-float64(k) * float64(k) / 2 / v) },
			func() (int64, error) { return noise.Gaussian(random, variance) })
		require.Greater(t, p, 0.001, "variance %s", variance)
	}
}

// TestWideGaussianHasItsDistribution: noise in sums of values is drawn in units of 2^-20, so
// that numbers are cut into twenty ranges of equal chance instead.
func TestWideGaussianHasItsDistribution(t *testing.T) {
	t.Parallel()
	random := seeded(40)
	const sd, ranges = 7 << 20, 20
	var seen [ranges]float64
	for range draws {
		k, err := noise.Gaussian(random, big.NewRat(sd*sd, 1))
		require.NoError(t, err)
		seen[int(ranges*(1+math.Erf(float64(k)/sd/math.Sqrt2))/2)]++
	}
	statistic := 0.0
	for _, n := range seen {
		statistic += (n - draws/ranges) * (n - draws/ranges) / (draws / ranges)
	}
	require.Greater(t, mathext.GammaIncRegComp((ranges-1)/2.0, statistic/2), 0.001)
}

// TestAnotherDistributionDoesNotFit: the test above can tell.
func TestAnotherDistributionDoesNotFit(t *testing.T) {
	t.Parallel()
	random := seeded(20)
	p := fit(t, func(k int64) float64 { return math.Exp(-math.Abs(float64(k)) / 4) },
		func() (int64, error) { return noise.Laplace(random, big.NewRat(3, 1)) })
	require.Less(t, p, 1e-6)
}

// TestSharesAddUp: the sum of the shares of three sites is as noise of the whole.
func TestSharesAddUp(t *testing.T) {
	t.Parallel()
	random := seeded(30)
	p := fit(t, func(k int64) float64 { return math.Exp(-float64(k) * float64(k) / 2 / 36) }, func() (int64, error) {
		var sum int64
		for range 3 {
			k, err := noise.Gaussian(random, noise.Share(6, 3))
			if err != nil {
				return 0, err
			}
			sum += k
		}
		return sum, nil
	})
	require.Greater(t, p, 0.001)
	require.Equal(t, "4", noise.Share(3, 10).RatString(), "shares too small to add up to a Gaussian are larger")
}

func TestParametersOutOfRange(t *testing.T) {
	t.Parallel()
	for _, scale := range []*big.Rat{new(big.Rat), big.NewRat(-1, 1), big.NewRat(1<<40+1, 1)} {
		_, err := noise.Laplace(rand.Reader, scale)
		require.Error(t, err)
		_, err = noise.Gaussian(rand.Reader, new(big.Rat).Mul(scale, new(big.Rat).Abs(scale)))
		require.Error(t, err)
	}
	widest := big.NewRat(1<<40, 1)
	_, err := noise.Gaussian(rand.Reader, widest.Mul(widest, widest))
	require.NoError(t, err)
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

// TestNoRandomnessNoNumber: a reader that fails, at whatever byte, must not make
// the noise zero.
func TestNoRandomnessNoNumber(t *testing.T) {
	t.Parallel()
	_, err := noise.Laplace(broken{}, big.NewRat(3, 1))
	require.ErrorIs(t, err, errBroken)
	_, err = noise.Gaussian(broken{}, big.NewRat(3, 1))
	require.ErrorIs(t, err, errBroken)
	for n := range 4 {
		_, err = noise.Gaussian(bytes.NewReader(make([]byte, n)), big.NewRat(1000, 1))
		require.Error(t, err, "%d bytes", n)
	}
}

// TestEpsilon compares with cdp_eps of the authors of the bound
// (github.com/IBM/discrete-gaussian-differential-privacy, cdp2adp.py, cb190d2).
func TestEpsilon(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rho, delta, epsilon float64 }{
		{0.025, 1e-6, 1.0140742547},
		{0.005, 1e-6, 0.4299414688},
		{0.00005, 1e-6, 0.0371046268},
		{0.1, 1e-6, 2.1419389284},
		{0.5, 1e-6, 5.2215344445},
		{1, 1e-5, 7.0771966958},
		{2.56, 1e-10, 17.1583087121},
		{2.63, 1e-10, 17.4305844873},
	} {
		require.InDelta(t, c.epsilon, noise.Rho(c.rho*1e9).Epsilon(c.delta), 2e-6, "ρ %g, δ %g", c.rho, c.delta)
	}
	require.Zero(t, noise.Rho(0).Epsilon(1e-6))
	require.True(t, math.IsInf(noise.Rho(1).Epsilon(0), 1))
}

func TestLossOfScale(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 0.5e9, float64(noise.OfScale(1)), 1)
	require.InDelta(t, 0.005e9, float64(noise.OfScale(10)), 1)
	require.Equal(t, noise.Rho(501), noise.OfScale(1000))
	require.Greater(t, noise.OfScale(7), noise.Rho(1_000_000_000/98), "rounded up")
}
