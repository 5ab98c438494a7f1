package analysis

import (
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/spelling"
)

// family is a distribution with its link, in R's definitions and with R's guards at the
// ends of the range.
//
// Source: R, help pages of family, make.link and glm; McCullagh and Nelder,
// "Generalized Linear Models", 2nd edition (1989), chapter 2.
type family struct {
	name query.Family
	link query.Link
}

// epsilon is R's .Machine$double.eps.
const epsilon = 0x1p-52

func newFamily(name query.Family, link query.Link) (family, error) {
	if link == "" {
		link = map[query.Family]query.Link{query.Gaussian: query.LinkIdentity, query.Binomial: query.LinkLogit, query.Poisson: query.LinkLog}[name]
	}
	f := family{name, link}
	switch f {
	case family{query.Gaussian, query.LinkIdentity}, family{query.Binomial, query.LinkLogit},
		family{query.Binomial, query.LinkLog}, family{query.Poisson, query.LinkLog},
		family{query.Poisson, query.LinkSqrt}, family{query.Poisson, query.LinkIdentity}:
		return f, nil
	}
	hint := spelling.Hint(string(name), query.Gaussian, query.Binomial, query.Poisson)
	if hint == "" {
		hint = spelling.Hint(string(link), query.LinkIdentity, query.LinkLogit, query.LinkLog, query.LinkSqrt)
	}
	return family{}, fmt.Errorf("family %q with link %q%s; known are gaussian, binomial with logit or log, and poisson with log, sqrt or identity", name, link, hint)
}

// start returns the mean that the first fit begins from.
func (f family) start(y, w float64) float64 {
	switch f.name {
	case query.Binomial:
		return (w*y + 0.5) / (w + 1)
	case query.Poisson:
		return y + 0.1
	}
	return y
}

// predictor is the link: the linear predictor of a mean.
func (f family) predictor(mu float64) float64 {
	switch f.link {
	case query.LinkLogit:
		return math.Log(mu / (1 - mu))
	case query.LinkLog:
		return math.Log(mu)
	case query.LinkSqrt:
		return math.Sqrt(mu)
	}
	return mu
}

// mean returns the mean at a linear predictor, and its derivative. A predictor that the
// link has no mean for gives one that is not valid.
func (f family) mean(eta float64) (mu, slope float64) {
	switch f.link {
	case query.LinkLogit:
		const end = 30
		switch {
		case eta < -end:
			return epsilon / (1 + epsilon), epsilon
		case eta > end:
			return 1 / (1 + epsilon), epsilon
		}
		e := math.Exp(eta)
		return e / (1 + e), e / ((1 + e) * (1 + e))
	case query.LinkLog:
		mu = max(math.Exp(eta), epsilon)
		return mu, mu
	case query.LinkSqrt:
		return math.Copysign(eta*eta, eta), 2 * eta
	}
	return eta, 1
}

// curvature is the second derivative of the mean by the linear predictor; of the logit,
// whose observed and expected information are one, it is not needed.
func (f family) curvature(mu float64) float64 {
	switch f.link {
	case query.LinkLog:
		return mu
	case query.LinkSqrt:
		return 2
	}
	return 0
}

// valid reports whether a mean is one that the family can have.
func (f family) valid(mu float64) bool {
	switch f.name {
	case query.Binomial:
		return 0 < mu && mu < 1
	case query.Poisson:
		return 0 < mu && mu < maxMean
	}
	return math.Abs(mu) < maxMean
}

// maxMean is the largest mean that is taken for finite, so that sums stay in range.
const maxMean = 1e12

// variance is the variance at a mean, over the dispersion.
func (f family) variance(mu float64) float64 {
	switch f.name {
	case query.Binomial:
		return mu * (1 - mu)
	case query.Poisson:
		return mu
	}
	return 1
}

// deviance is one person's part of the deviance.
func (f family) deviance(y, mu, w float64) float64 {
	switch f.name {
	case query.Binomial:
		return 2 * w * (timesLog(y, y/mu) + timesLog(1-y, (1-y)/(1-mu)))
	case query.Poisson:
		return 2 * w * (timesLog(y, y/mu) - (y - mu))
	}
	return w * (y - mu) * (y - mu)
}

// timesLog is y·log x, and 0 for y = 0.
func timesLog(y, x float64) float64 {
	if y == 0 {
		return 0
	}
	return y * math.Log(x)
}

// logLikelihood is one person's log likelihood; for the gaussian family it is not
// needed, as it follows from the deviance. With weights a binomial response is the
// share of successes among w, and both are rounded to whole numbers, as R does.
func (f family) logLikelihood(y, mu, w float64) float64 {
	switch f.name {
	case query.Binomial:
		if w == 0 {
			return 0
		}
		n, k := math.RoundToEven(w), math.RoundToEven(w*y)
		return logChoose(n, k) + timesLog(k, mu) + timesLog(n-k, 1-mu)
	case query.Poisson:
		return w * (timesLog(y, mu) - mu - logGamma(y+1))
	}
	return 0
}

// countable reports whether the response has a likelihood: one of a count is a whole
// number. R fits others too, with an AIC of infinity.
func (f family) countable(y, w float64) bool {
	return f.name != query.Poisson || w == 0 || y == math.Trunc(y)
}

func logChoose(n, k float64) float64 { return logGamma(n+1) - logGamma(k+1) - logGamma(n-k+1) }

func logGamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}

// extreme reports whether a mean is numerically at the end of its range, of which R
// warns: in a logistic regression a sign of separation.
func (f family) extreme(mu float64) bool {
	const near = 10 * epsilon
	switch f.name {
	case query.Binomial:
		return mu > 1-near || mu < near
	case query.Poisson:
		return mu < near
	}
	return false
}
