package analysis

import (
	"errors"
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Effect is one site's estimate with its standard error, above 0.
type Effect struct {
	Estimate, SE float64
}

// Between is an estimator of the variance of effects between sites.
type Between string

// The estimators.
const (
	DerSimonianLaird Between = "DL"
	REML             Between = "REML" // restricted maximum likelihood
	PauleMandel      Between = "PM"
)

// FixedEffect weighs sites by the inverse of their variances.
func FixedEffect(effects []Effect) (query.MetaAnalysis, error) {
	if err := checkEffects(effects); err != nil {
		return query.MetaAnalysis{}, err
	}
	mean, weight := weighted(effects, 0)
	r := byNormal(len(effects), mean, 1/math.Sqrt(weight))
	q := cochran(effects)
	df := float64(len(effects) - 1)
	r.Heterogeneity = &query.Heterogeneity{Q: q, P: 1}
	if df > 0 {
		r.Heterogeneity.P = chiSquaredAbove(q, df)
	}
	if q > df {
		r.Heterogeneity.I2 = 100 * (q - df) / q
	}
	return r, nil
}

// RandomEffects allows the effects to vary between two or more sites. With adjust, the
// standard error is that of Hartung and Knapp and of Sidik and Jonkman, with Student's
// limits.
//
// Source: DerSimonian and Laird, Controlled Clinical Trials 7 (1986); Paule and Mandel,
// J. Res. NBS 87 (1982); Viechtbauer, J. Educational and Behavioral Statistics 30 (2005);
// Hartung and Knapp, Statistics in Medicine 20 (2001).
func RandomEffects(effects []Effect, between Between, adjust bool) (query.MetaAnalysis, error) {
	if err := checkEffects(effects); err != nil {
		return query.MetaAnalysis{}, err
	}
	if len(effects) < 2 {
		return query.MetaAnalysis{}, errors.New("meta-analysis: random effects need two sites")
	}
	var tau2 float64
	var err error
	switch between {
	case DerSimonianLaird:
		tau2 = derSimonianLaird(effects)
	case REML:
		tau2, err = restricted(effects)
	case PauleMandel:
		tau2 = pauleMandel(effects)
	default:
		err = errors.New("meta-analysis: the estimator must be DL, REML or PM")
	}
	if err != nil {
		return query.MetaAnalysis{}, err
	}
	mean, weight := weighted(effects, tau2)
	r := byNormal(len(effects), mean, 1/math.Sqrt(weight))
	df := float64(len(effects) - 1)
	if adjust {
		r = byStudent(r, math.Sqrt(residuals(effects, tau2)/df/weight), df)
	}
	q := cochran(effects)
	typical := df / contrast(effects) // a site's variance
	r.Heterogeneity = &query.Heterogeneity{Tau2: tau2, I2: 100 * tau2 / (tau2 + typical), Q: q, P: chiSquaredAbove(q, df)}
	return r, nil
}

func checkEffects(effects []Effect) error {
	if len(effects) == 0 {
		return errors.New("meta-analysis: no site has an estimate")
	}
	for i, e := range effects {
		if finite(e.Estimate) == nil || !(e.SE > 0) || finite(1/(e.SE*e.SE)) == nil {
			return fmt.Errorf("meta-analysis: site %d: the estimate and its error must be finite, and the error above 0", i)
		}
	}
	return nil
}

// weighted returns the mean of the effects and the sum of their weights.
func weighted(effects []Effect, tau2 float64) (mean, weight float64) {
	for _, e := range effects {
		w := 1 / (e.SE*e.SE + tau2)
		weight += w
		mean += w * e.Estimate
	}
	return mean / weight, weight
}

// residuals is the weighted sum of squares around the mean, Cochran's Q if tau2 is 0.
func residuals(effects []Effect, tau2 float64) float64 {
	mean, _ := weighted(effects, tau2)
	sum := 0.0
	for _, e := range effects {
		d := e.Estimate - mean
		sum += d * d / (e.SE*e.SE + tau2)
	}
	return sum
}

func cochran(effects []Effect) float64 { return residuals(effects, 0) }

// contrast is the sum of the fixed weights, less their squares over it.
func contrast(effects []Effect) float64 {
	sum, squares := 0.0, 0.0
	for _, e := range effects {
		w := 1 / (e.SE * e.SE)
		sum += w
		squares += w * w
	}
	return sum - squares/sum
}

func derSimonianLaird(effects []Effect) float64 {
	return math.Max(0, (cochran(effects)-float64(len(effects)-1))/contrast(effects))
}

// pauleMandel finds the variance at which Q is what it is expected to be.
func pauleMandel(effects []Effect) float64 {
	df := float64(len(effects) - 1)
	if cochran(effects) <= df {
		return 0
	}
	high := 1.0
	for residuals(effects, high) > df {
		high *= 2
	}
	return rootOf(func(tau2 float64) bool { return residuals(effects, tau2) <= df }, 0, high)
}

// metafor's rule for Fisher scoring.
const (
	scorings     = 100
	scoringsStop = 1e-5
)

// restricted finds the restricted maximum likelihood by metafor's steps, from Hedges and
// Olkin's estimate to its rule for convergence. The maximum itself may lie 1e-7 away, but
// whoever checks the answer checks it with metafor.
func restricted(effects []Effect) (float64, error) {
	tau2 := hedgesOlkin(effects)
	for range scorings {
		mean, sum := weighted(effects, tau2)
		var squares, cubes, fit float64
		for _, e := range effects {
			w := 1 / (e.SE*e.SE + tau2)
			d := w * (e.Estimate - mean)
			squares += w * w
			cubes += w * w * w
			fit += d * d
		}
		step := (fit - (sum - squares/sum)) / (squares - 2*cubes/sum + squares*squares/(sum*sum))
		for tau2+step < 0 {
			step /= 2
		}
		tau2 += step
		if math.Abs(step) <= scoringsStop {
			return tau2, nil
		}
	}
	return 0, NoResult(fmt.Sprintf("the restricted maximum was not found in %d steps", scorings))
}

// hedgesOlkin is the variance of the effects less the mean of their own variances.
func hedgesOlkin(effects []Effect) float64 {
	k, mean, own := float64(len(effects)), 0.0, 0.0
	for _, e := range effects {
		mean += e.Estimate / k
		own += e.SE * e.SE / k
	}
	between := 0.0
	for _, e := range effects {
		d := e.Estimate - mean
		between += d * d / (k - 1)
	}
	return math.Max(0, between-own)
}

func byNormal(sites int, estimate, se float64) query.MetaAnalysis {
	return query.MetaAnalysis{
		Sites: sites, Estimate: estimate, SE: se,
		Lower: estimate - normalLimit*se, Upper: estimate + normalLimit*se,
		Statistic: estimate / se, P: math.Erfc(math.Abs(estimate/se) / math.Sqrt2),
	}
}

func byStudent(r query.MetaAnalysis, se, df float64) query.MetaAnalysis {
	width := studentLimit(df) * se
	r.SE, r.Lower, r.Upper = se, r.Estimate-width, r.Estimate+width
	r.Statistic = r.Estimate / se
	r.P = studentBeyond(r.Statistic, df)
	return r
}
