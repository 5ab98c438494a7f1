package noise

import (
	"math"
	"math/big"
)

// Rho is a loss of privacy: ρ of zero-concentrated differential privacy in units of
// 10^-9. Losses of answers about the same persons add up.
//
// Source: Bun and Steinke, "Concentrated Differential Privacy: Simplifications,
// Extensions, and Lower Bounds", TCC 2016, arXiv:1605.02065.
type Rho int64

const unit = 1e9

// OfScale returns the loss of one answer whose numbers one person changes by at
// most one in all, under noise of a scale of that many persons: 1/(2·scale²), both
// for a Gaussian's standard deviation (proposition 1.6) and for Laplace, whose
// 1/scale-differential privacy is at least that (proposition 1.4). It is rounded up,
// which also pays for what a sum of discrete Gaussians lacks; see [Share].
func OfScale(scale int) Rho {
	d := 2 * int64(scale) * int64(scale)
	return Rho((unit+d-1)/d + 1)
}

// Epsilon returns the least ε for which the loss is known to give (ε, δ)-differential
// privacy: the minimum over α > 1 of
//
//	αρ + (ln(1/δ) + (α-1)·ln(1-1/α) - ln α)/(α-1)
//
// Every α gives a true bound, so a minimum found not quite is one too.
//
// Source: Canonne, Kamath and Steinke (2020), proposition 12 and corollary 13.
func (r Rho) Epsilon(delta float64) float64 {
	if r <= 0 {
		return 0
	}
	if !(delta > 0) {
		return math.Inf(1)
	}
	rho := float64(r) / unit
	bound := func(log float64) float64 { // at α = 1 + e^log
		above := math.Exp(log)
		alpha := 1 + above
		// ln(1-1/α) = ln(α-1) - ln α
		return alpha*rho + (-math.Log(delta)-math.Log(alpha))/above + log - math.Log(alpha)
	}
	// The bound falls and then rises in α.
	lo, hi := math.Log(1e-3), math.Log(2+2*math.Sqrt(-math.Log(delta)/rho))
	for range 200 {
		third := (hi - lo) / 3
		if bound(lo+third) < bound(hi-third) {
			hi -= third
		} else {
			lo += third
		}
	}
	return max(bound((lo+hi)/2), 0)
}

// leastShare is the smallest variance of a share. From there on the sum of discrete
// Gaussians is one but for nothing that the rounding of [OfScale] does not pay for: theorem 1 of Kairouz,
// Liu and Steinke, "The Distributed Discrete Gaussian Mechanism for Federated Learning
// with Secure Aggregation", ICML 2021, whose τ is below 10^-15 then.
const leastShare = 4

// Share returns the variance of one site's share of Gaussian noise such that the sum
// of parts of them has a standard deviation of scale, or more.
func Share(scale, parts int) *big.Rat {
	share := big.NewRat(int64(scale)*int64(scale), int64(parts))
	if least := big.NewRat(leastShare, 1); share.Cmp(least) < 0 {
		return least
	}
	return share
}
