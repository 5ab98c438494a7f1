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
	return pooling{}.of(effects)
}

// RandomEffects allows the effects to vary between two or more sites. With adjust, the
// standard error is that of Hartung and Knapp and of Sidik and Jonkman, with Student's
// limits.
//
// Source: DerSimonian and Laird, Controlled Clinical Trials 7 (1986); Paule and Mandel,
// J. Res. NBS 87 (1982); Viechtbauer, J. Educational and Behavioral Statistics 30 (2005);
// Hartung and Knapp, Statistics in Medicine 20 (2001).
func RandomEffects(effects []Effect, between Between, adjust bool) (query.MetaAnalysis, error) {
	p := pooling{between: between, adjust: adjust}
	if err := between.validate(); err != nil {
		return query.MetaAnalysis{}, fmt.Errorf("meta-analysis: %w", err)
	}
	return p.of(effects)
}

func (b Between) validate() error {
	if b != DerSimonianLaird && b != REML && b != PauleMandel {
		return errors.New("the estimator must be DL, REML or PM")
	}
	return nil
}

// of pools effects that are known, by the steps that rounds take.
func (p pooling) of(effects []Effect) (query.MetaAnalysis, error) {
	if err := checkEffects(effects); err != nil {
		return query.MetaAnalysis{}, err
	}
	if p.between != "" && len(effects) < 2 {
		return query.MetaAnalysis{}, errors.New("meta-analysis: random effects need two sites")
	}
	s := poolingState{Sites: int64(len(effects))}
	for {
		x := make(effectSums, p.numbers(s))
		for _, e := range effects {
			p.add(e, s, func(i int, v float64) { x[i] += v })
		}
		var r *query.MetaAnalysis
		var err error
		if s, r, err = p.next(s, x); err != nil {
			return query.MetaAnalysis{}, err
		}
		if r != nil {
			return *r, nil
		}
	}
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
