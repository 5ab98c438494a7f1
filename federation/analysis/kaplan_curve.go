package analysis

import (
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// lifeTable holds events and censored by point of the grid.
type lifeTable struct{ events, censored []int64 }

func newLifeTable(points int) lifeTable {
	return lifeTable{make([]int64, points), make([]int64, points)}
}

func (l lifeTable) add(point int, event bool, n int64) {
	if event {
		l.events[point] += n
	} else {
		l.censored[point] += n
	}
}

func (l lifeTable) merge(o lifeTable) {
	for i := range l.events {
		l.events[i] += o.events[i]
		l.censored[i] += o.censored[i]
	}
}

// total returns all persons and their events.
func (l lifeTable) total() (n, events int64) {
	for i := range l.events {
		n += l.events[i] + l.censored[i]
		events += l.events[i]
	}
	return n, events
}

// z95 is R's qnorm(0.975).
const z95 = 1.959963984540054

// curve estimates one arm by the product limit, with Greenwood's variance and limits on
// the scale of the logarithm.
func (k kaplanMeier) curve(name string, l lifeTable) query.SurvivalArm {
	arm := query.SurvivalArm{Name: name, Curve: []query.SurvivalPoint{}}
	arm.N, arm.Events = l.total()
	if arm.N == 0 {
		return arm
	}
	atRisk, survival, greenwood := arm.N, 1.0, 0.0
	for i := range l.events {
		d, c := l.events[i], l.censored[i]
		if d+c == 0 {
			continue
		}
		n := float64(atRisk)
		if d > 0 {
			survival *= (n - float64(d)) / n
			greenwood += float64(d) / (n * (n - float64(d)))
		}
		p := query.SurvivalPoint{Time: k.grid.time(i), AtRisk: atRisk, Events: d, Censored: c, Survival: survival}
		if se := math.Sqrt(greenwood); survival > 0 {
			p.SE = ptr(survival * se)
			p.Low, p.High = ptr(survival*math.Exp(-z95*se)), ptr(min(1, survival*math.Exp(z95*se)))
		}
		arm.Curve = append(arm.Curve, p)
		atRisk -= d + c
	}
	arm.Median = median(arm.Curve, func(p query.SurvivalPoint) *float64 { return &p.Survival })
	arm.MedianLow = median(arm.Curve, func(p query.SurvivalPoint) *float64 { return p.Low })
	arm.MedianHigh = median(arm.Curve, func(p query.SurvivalPoint) *float64 { return p.High })
	arm.Mean, arm.MeanSE = k.mean(arm.Curve)
	merged := merge(arm.Curve, int64(k.MinAtRisk))
	arm.Merged = len(arm.Curve) - len(merged)
	arm.Curve = merged
	return arm
}

// median returns when a curve falls below one half; if it is one half for a while, the
// middle of that while. Source: R, help page of print.survfit.
func median(curve []query.SurvivalPoint, of func(query.SurvivalPoint) *float64) *float64 {
	const tolerance = 1.4901161193847656e-08 // R's .Machine$double.eps^0.5
	var half *query.SurvivalPoint
	for _, p := range curve {
		v := of(p)
		switch {
		case v == nil:
		case half == nil && *v < 0.5-tolerance:
			return ptr(p.Time)
		case half == nil && *v < 0.5+tolerance:
			half = &p
		case half != nil && *v < *of(*half):
			return ptr((half.Time + p.Time) / 2)
		}
	}
	if half == nil {
		return nil
	}
	return ptr(half.Time)
}

// mean returns the area under the curve up to the restriction, with its standard error.
func (k kaplanMeier) mean(curve []query.SurvivalPoint) (mean, se *float64) {
	left := make([]float64, len(curve)) // area after each point
	area := 0.0
	for i := len(curve) - 1; i >= 0; i-- {
		end := k.Restriction
		if i+1 < len(curve) {
			end = min(end, curve[i+1].Time)
		}
		area += max(0, end-curve[i].Time) * curve[i].Survival
		left[i] = area
	}
	variance := 0.0
	for i, p := range curve {
		if n, d := float64(p.AtRisk), float64(p.Events); n > d {
			variance += left[i] * left[i] * d / (n * (n - d))
		}
	}
	return ptr(min(k.Restriction, curve[0].Time) + area), ptr(math.Sqrt(variance))
}

// merge joins the steps of a curve so that each, and what is left after the last, is of least
// events at least, and of as many censored or none: a step's number of censored is what those at
// risk before and after it differ by, and what its fall tells of them beside its events. Each
// is shown at its last time, where as many are at risk. Those at risk are then those with
// whom it begins; of a step that is one time, as in R, those just before it.
func merge(curve []query.SurvivalPoint, least int64) []query.SurvivalPoint {
	if least <= 1 {
		return curve
	}
	few := func(n int64) bool { return 0 < n && n < least }
	out := []query.SurvivalPoint{}
	begins := curve[0].AtRisk
	var events, censored int64
	for _, p := range curve {
		events, censored = events+p.Events, censored+p.Censored
		if events >= least && !few(censored) && p.AtRisk >= least {
			p.AtRisk, p.Events, p.Censored = begins, events, censored
			out = append(out, p)
			begins, events, censored = begins-events-censored, 0, 0
		}
	}
	for len(out) > 0 && (few(events) || few(censored)) {
		last := out[len(out)-1]
		events, censored = events+last.Events, censored+last.Censored
		out = out[:len(out)-1]
	}
	return out
}

// logRank compares the arms within strata: the observed events with those expected if at
// each time they hit everybody at risk alike. An arm in which none are expected has no
// part in the test. Source: Mantel (1966); R, help page of survdiff.
func logRank(tables [][]lifeTable) *query.LogRank {
	arms := len(tables[0])
	r := &query.LogRank{Observed: make([]float64, arms), Expected: make([]float64, arms)}
	variance := make([]float64, packed(arms, 0))
	atRisk := make([]float64, arms)
	for _, stratum := range tables {
		n := 0.0
		for a, l := range stratum {
			total, events := l.total()
			atRisk[a] = float64(total)
			r.Observed[a] += float64(events)
			n += atRisk[a]
		}
		for i := range stratum[0].events {
			d, gone := 0.0, 0.0
			for _, l := range stratum {
				d += float64(l.events[i])
				gone += float64(l.events[i] + l.censored[i])
			}
			if d > 0 {
				for a := range arms {
					r.Expected[a] += d * atRisk[a] / n
				}
				addHypergeometric(variance, atRisk, n, d)
			}
			if gone > 0 {
				n -= gone
				for a, l := range stratum {
					atRisk[a] -= float64(l.events[i] + l.censored[i])
				}
			}
		}
	}
	r.Test = compare(r.Observed, r.Expected, variance)
	return r
}

// addHypergeometric adds the covariances of the events by arm, given d events among n.
func addHypergeometric(variance, atRisk []float64, n, d float64) {
	if n <= 1 {
		return
	}
	factor := d * (n - d) / (n - 1)
	for a := range atRisk {
		for b := range a + 1 {
			v := -atRisk[a] / n * atRisk[b] / n
			if a == b {
				v += atRisk[a] / n
			}
			variance[packed(a, b)] += factor * v
		}
	}
}

// compare returns the quadratic form of observed less expected, over all arms but one of
// those in which events are expected: the differences add up to zero.
func compare(observed, expected, variance []float64) query.Test {
	var in []int
	for a := range expected {
		if expected[a] > 0 {
			in = append(in, a)
		}
	}
	if len(in) < 2 {
		return test(0, 0)
	}
	in = in[1:]
	var difference, square []float64
	for i, a := range in {
		difference = append(difference, observed[a]-expected[a])
		for _, b := range in[:i+1] {
			square = append(square, variance[packed(a, b)])
		}
	}
	return test(decompose(square, len(in)).quadratic(difference), len(in))
}
