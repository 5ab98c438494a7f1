package analysis

import (
	"math"
	"sort"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// armTimes is one time of two arms, or neighboring ones that were merged: the weights of
// those who leave at it, by arm.
type armTimes struct {
	Last   int        `json:"last"`   // point of the grid
	Events int64      `json:"events"` // persons
	Dead   [2]float64 `json:"dead"`
	Gone   [2]float64 `json:"gone"` // with the dead
}

func firstIn(times []armTimes, is func(armTimes) bool) int {
	return sort.Search(len(times), func(i int) bool { return is(times[i]) })
}

// draws calls fn for each of the events of a time as its ties are treated: with the weight
// that it has, the share of the dead that have left the risk set before it, and the weights
// times risks by arm that are left.
func (t armTimes) draws(ties query.Ties, risk [2]float64, ratio float64, fn func(weight, share float64, left [2]float64)) {
	if t.Events == 0 {
		return
	}
	weight := t.Dead[0] + t.Dead[1]
	if ties == query.Breslow {
		fn(weight, 0, risk)
		return
	}
	n := float64(t.Events)
	for k := range t.Events {
		share := float64(k) / n
		fn(weight/n, share, [2]float64{risk[0] - share*t.Dead[0], risk[1] - share*ratio*t.Dead[1]})
	}
}

// risks returns the weights times risks by arm of who is watched up to each time.
func risks(times []armTimes, ratio float64) [][2]float64 {
	out := make([][2]float64, len(times))
	var sum [2]float64
	for i := len(times) - 1; i >= 0; i-- {
		sum[0] += times[i].Gone[0]
		sum[1] += times[i].Gone[1]
		out[i] = [2]float64{sum[0], ratio * sum[1]}
	}
	return out
}

// hazardOf fits the logarithm of the hazard ratio to times by stratum, with the steps of R's
// coxph, and returns it with its variance, neither if it does not exist.
//
// Source: as [Cox]; weighted ties: R, package survival, vignette "A package for survival
// analysis in R".
func hazardOf(strata [][]armTimes, ties query.Ties) (out query.HazardRatio, log, variance float64, err error) {
	for _, times := range strata {
		for _, t := range times {
			if t.Events > 0 {
				out.Times++
			}
		}
	}
	return ascend(out, func(log float64) (likelihood, gradient, information, square float64) {
		ratio := math.Exp(log)
		for _, times := range strata {
			left := risks(times, ratio)
			for i, t := range times {
				likelihood += log * t.Dead[1]
				gradient += t.Dead[1]
				t.draws(ties, left[i], ratio, func(weight, _ float64, left [2]float64) {
					total := left[0] + left[1]
					p := left[1] / total
					likelihood -= weight * math.Log(total)
					gradient -= weight * p
					information += weight * p * (1 - p)
					square += weight * p
				})
			}
		}
		return likelihood, gradient, information, square
	})
}

// pairHazard is that of pairs which are strata, by the events of untreated and treated.
func pairHazard(untreated, treated float64) (query.HazardRatio, float64, float64, error) {
	return ascend(query.HazardRatio{}, func(log float64) (likelihood, gradient, information, square float64) {
		p, n := 1/(1+math.Exp(-log)), untreated+treated
		return log*treated - n*math.Log1p(math.Exp(log)), treated - n*p, n * p * (1 - p), n * p
	})
}

// ascend takes the steps of one coefficient.
func ascend(out query.HazardRatio, at func(log float64) (likelihood, gradient, information, square float64)) (_ query.HazardRatio, log, variance float64, err error) {
	a := ascent{Coefficients: []float64{0}}
	for {
		likelihood, gradient, information, square := at(a.Coefficients[0])
		if math.IsNaN(likelihood + gradient + information) {
			return out, 0, 0, NoResult("a risk set has no weight beside the others")
		}
		if information <= collinear*square {
			information = 0
		}
		c := decompose([]float64{information}, 1)
		next, ended, converged := a.step(likelihood, []float64{gradient}, c)
		a = next
		if !ended {
			continue
		}
		if c.rank == 0 && a.Iterations <= 1 {
			return out, 0, 0, nil // as R's NA
		}
		log = a.Coefficients[0]
		switch {
		case !converged:
			out.Warnings = append(out.Warnings, "Ran out of iterations and did not converge")
		case information > 0 && cox{}.infinite(math.Abs(gradient/information), math.Abs(log)):
			out.Warnings = append(out.Warnings, "Loglik converged before variable 1; coefficient may be infinite.")
		}
		if information > 0 {
			variance = 1 / information
		}
		return out, log, variance, nil
	}
}

// told writes the estimate with its limits, by the robust variance unless it is nil.
func told(h query.HazardRatio, log, variance float64, robust *float64) query.HazardRatio {
	if !(variance > 0) {
		return h
	}
	h.Log, h.SE, h.Ratio = ptr(log), ptr(math.Sqrt(variance)), finite(math.Exp(log))
	se := *h.SE
	if robust != nil {
		se = math.Sqrt(*robust)
		h.Robust = ptr(se)
	}
	if se > 0 {
		h.Low, h.High = finite(math.Exp(log-z95*se)), finite(math.Exp(log+z95*se))
		h.P = ptr(math.Erfc(math.Abs(log) / se / math.Sqrt2))
	}
	return h
}

// armScores are what a person's score is made of, by time: the sums up to it of the hazard,
// and of the hazard times the mean of the arm in the risk set.
type armScores struct {
	ratio float64
	sums  [][2]float64 // with the time's own, for who is alive after it
	dead  [][2]float64 // with its own part, for who dies at it
	means []float64    // of the arm, over the time's events
}

// newArmScores takes the sums at an estimate. Source: R, package survival, help page of
// residuals.coxph; Therneau and Grambsch, "Modeling Survival Data" (2000), section 4.6.
func newArmScores(times []armTimes, log float64, ties query.Ties) armScores {
	s := armScores{ratio: math.Exp(log)}
	left := risks(times, s.ratio)
	var sum [2]float64
	for i, t := range times {
		dead, mean, share := sum, 0.0, 1.0
		if ties == query.Efron && t.Events > 0 {
			share = 1 / float64(t.Events)
		}
		t.draws(ties, left[i], s.ratio, func(weight, before float64, left [2]float64) {
			total := left[0] + left[1]
			p, hazard := left[1]/total, weight/total
			mean += p * share
			sum[0] += hazard
			sum[1] += hazard * p
			dead[0] += (1 - before) * hazard
			dead[1] += (1 - before) * hazard * p
		})
		s.sums, s.dead, s.means = append(s.sums, sum), append(s.dead, dead), append(s.means, mean)
	}
	return s
}

// of is the score of a person of an arm who leaves at a time.
func (s armScores) of(arm, at int, event bool) float64 {
	x, risk := float64(arm), 1.0
	if arm == 1 {
		risk = s.ratio
	}
	if event {
		return x - s.means[at] - risk*(x*s.dead[at][0]-s.dead[at][1])
	}
	return -risk * (x*s.sums[at][0] - s.sums[at][1])
}
