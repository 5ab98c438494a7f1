package analysis

import (
	"errors"
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Trial is one site's table of an exposure, or arm, and an event.
type Trial struct {
	Events, Persons               int64 // of the exposed
	ControlEvents, ControlPersons int64 // of the others
}

// MantelHaenszelRatio is the logarithm of the common risk ratio.
//
// Source: Greenland and Robins, "Estimation of a common effect parameter from sparse
// follow-up data", Biometrics 41 (1985).
func MantelHaenszelRatio(trials []Trial) (query.MetaAnalysis, error) {
	return common(trials, func(t []tableSums) (estimate, se float64) {
		var exposed, control, variance float64
		for _, s := range t {
			exposed += s.a * s.m / s.n
			control += s.c * s.k / s.n
			variance += (s.k*s.m*(s.a+s.c) - s.a*s.c*s.n) / (s.n * s.n)
		}
		return math.Log(exposed / control), math.Sqrt(variance / (exposed * control))
	})
}

// MantelHaenszelOdds is the logarithm of the common odds ratio.
func MantelHaenszelOdds(trials []Trial) (query.MetaAnalysis, error) {
	return common(trials, func(t []tableSums) (estimate, se float64) {
		var layers [][][]float64
		for _, s := range t {
			layers = append(layers, [][]float64{{s.a, s.k - s.a}, {s.c, s.m - s.c}})
		}
		return mantelHaenszelLog(layers)
	})
}

// Peto is the logarithm of the common odds ratio by observed less expected events.
//
// Source: Yusuf, Peto et al., Progress in Cardiovascular Diseases 27 (1985).
func Peto(trials []Trial) (query.MetaAnalysis, error) {
	return common(trials, func(t []tableSums) (estimate, se float64) {
		var difference, variance float64
		for _, s := range t {
			events := s.a + s.c
			difference += s.a - s.k*events/s.n
			if s.n > 1 {
				variance += s.k * s.m * events * (s.n - events) / (s.n * s.n * (s.n - 1))
			}
		}
		return difference / variance, 1 / math.Sqrt(variance)
	})
}

// tableSums are a table's events of the exposed (a) and of the others (c), how many they
// are (k and m), and all (n).
type tableSums struct{ a, c, k, m, n float64 }

func common(trials []Trial, estimate func([]tableSums) (estimate, se float64)) (query.MetaAnalysis, error) {
	var used []tableSums
	for i, t := range trials {
		if t.Events < 0 || t.ControlEvents < 0 || t.Events > t.Persons || t.ControlEvents > t.ControlPersons {
			return query.MetaAnalysis{}, fmt.Errorf("meta-analysis: site %d: events must be from 0 to the number of persons", i)
		}
		if t.Persons > 0 && t.ControlPersons > 0 { // others say nothing of a ratio
			used = append(used, tableSums{
				a: float64(t.Events), c: float64(t.ControlEvents), k: float64(t.Persons), m: float64(t.ControlPersons), n: float64(t.Persons + t.ControlPersons),
			})
		}
	}
	if len(used) == 0 {
		return query.MetaAnalysis{}, errors.New("meta-analysis: no site has persons on both sides")
	}
	ratio, se := estimate(used)
	if finite(ratio) == nil || finite(se) == nil || se == 0 {
		return query.MetaAnalysis{}, NoResult("the ratio is 0, infinite or without a variance: a side has no events, or nothing else")
	}
	return byNormal(len(used), ratio, se), nil
}
