package analysis

import (
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// pooling is a way to make one estimate of several: by fixed effects if between is "".
// Each of its steps needs sums over the sites only.
type pooling struct {
	between Between
	adjust  bool
}

// poolingState is what is known between two of the sums.
type poolingState struct {
	Sites int64 `json:"sites,omitempty"` // with an estimate

	// Estimates are taken less Center, which follows the mean, and in units of Unit, the
	// geometric mean of the sites' errors. It is 0 before the first sums.
	Center float64 `json:"center,omitempty"`
	Unit   float64 `json:"unit,omitempty"`

	Tau2    float64 `json:"tau2,omitempty"` // variance between sites, in Unit²
	Steps   int     `json:"steps,omitempty"`
	Settled bool    `json:"settled,omitempty"` // Tau2 is final

	Q        float64 `json:"q,omitempty"`        // Cochran's
	Contrast float64 `json:"contrast,omitempty"` // sum of the fixed weights, less their squares over it, in Unit⁻²
}

// effectSums are sums over the sites of powers of their weights w, 1 / (SE² + τ²), and of
// the distance d of their estimates from the centre.
type effectSums []float64

// Places of the sums. The first are those by which estimates are centred and scaled.
const (
	sumEstimate = iota
	sumLogSE
	scalingSums
)

const (
	sumW = iota
	sumWD
	sumWDD
	sumWW
	sumWWD
	sumWWDD
	sumWWW
	sumD
	sumDD
	sumV // the sites' own variances
	weightSums
)

func (p pooling) numbers(s poolingState) int {
	if s.Unit == 0 {
		return scalingSums
	}
	return weightSums
}

// add adds a site's effect: what this step of this estimator needs, as sums about few
// sites are nearly about each.
func (p pooling) add(e Effect, s poolingState, add func(i int, v float64)) {
	if s.Unit == 0 {
		add(sumEstimate, e.Estimate)
		add(sumLogSE, math.Log(e.SE))
		return
	}
	d, v := (e.Estimate-s.Center)/s.Unit, e.SE/s.Unit*(e.SE/s.Unit)
	w := 1 / (v + s.Tau2)
	add(sumW, w)
	add(sumWD, w*d)
	add(sumWDD, w*d*d)
	if p.between != "" && s.Steps == 0 {
		add(sumWW, w*w)
	}
	if p.between == REML && s.Steps == 0 {
		add(sumD, d)
		add(sumDD, d*d)
		add(sumV, v)
	}
	if p.between == PauleMandel || p.between == REML && s.Steps > 0 {
		add(sumWWD, w*w*d)
		add(sumWWDD, w*w*d*d)
		if s.Steps > 0 {
			add(sumWW, w*w)
		}
	}
	if p.between == REML && s.Steps > 0 {
		add(sumWWW, w*w*w)
	}
}

// mean is that of the estimates, from the centre.
func (x effectSums) mean() float64 { return x[sumWD] / x[sumW] }

// residuals is the weighted sum of squares around the mean, Cochran's Q if τ² is 0.
func (x effectSums) residuals() float64 { return math.Max(0, x[sumWDD]-x.mean()*x[sumWD]) }

// fit is the sum of squares around the mean with the weights squared.
func (x effectSums) fit() float64 {
	return x[sumWWDD] - 2*x.mean()*x[sumWWD] + x.mean()*x.mean()*x[sumWW]
}

// contrast is the sum of the weights, less their squares over it.
func (x effectSums) contrast() float64 { return x[sumW] - x[sumWW]/x[sumW] }

// next takes a step, or ends.
func (p pooling) next(s poolingState, x effectSums) (poolingState, *query.MetaAnalysis, error) {
	k := float64(s.Sites)
	if s.Unit == 0 {
		s.Center, s.Unit = x[sumEstimate]/k, math.Exp(x[sumLogSE]/k)
		return s, nil, nil
	}
	if !(x[sumW] > 0) {
		return s, nil, ErrInconsistent
	}
	if s.Steps == 0 {
		s.Q = x.residuals()
		s.Contrast = x.contrast()
	}
	if p.between == "" || s.Settled {
		return s, p.result(s, x), nil
	}
	at := s.Tau2
	if err := p.step(&s, x); err != nil {
		return s, nil, err
	}
	if s.Settled && s.Tau2 == at {
		return s, p.result(s, x), nil
	}
	s.Center += s.Unit * x.mean()
	s.Steps++
	return s, nil, nil
}

// metafor's rule for Fisher scoring.
const (
	scorings     = 100
	scoringsStop = 1e-5
)

// step finds the variance between sites, or comes nearer to it.
func (p pooling) step(s *poolingState, x effectSums) error {
	k, df := float64(s.Sites), float64(s.Sites-1)
	switch {
	case p.between == DerSimonianLaird:
		s.Tau2, s.Settled = math.Max(0, (s.Q-df)/s.Contrast), true
	case p.between == PauleMandel:
		// Q falls, and ever more slowly, as τ² rises, so that Newton's steps from below
		// never pass the τ² at which it is what it is expected to be. Source: DerSimonian
		// and Kacker, Contemporary Clinical Trials 28 (2007).
		excess := x.residuals() - df
		if s.Settled = !(excess > 0 && excess > 64*epsilon*s.Tau2*x.fit()); !s.Settled {
			s.Tau2 += excess / x.fit()
		}
	case s.Steps == 0: // the start is Hedges and Olkin's estimate
		between := (x[sumDD] - x[sumD]*x[sumD]/k) / df
		s.Tau2 = math.Max(0, between-x[sumV]/k)
	case s.Steps > scorings:
		return NoResult(fmt.Sprintf("the restricted maximum was not found in %d steps", scorings))
	default:
		// metafor's steps, to its rule for convergence. The maximum itself may lie 1e-7
		// away, but whoever checks the answer checks it with metafor.
		step := (x.fit() - x.contrast()) / (x[sumWW] - 2*x[sumWWW]/x[sumW] + x[sumWW]*x[sumWW]/(x[sumW]*x[sumW]))
		for s.Tau2+step < 0 {
			step /= 2
		}
		s.Tau2 += step
		s.Settled = math.Abs(step)*s.Unit*s.Unit <= scoringsStop
	}
	if finite(s.Tau2) == nil {
		return NoResult("the variance between sites has no estimate")
	}
	return nil
}

// result makes the estimate of the sums at the final variance.
func (p pooling) result(s poolingState, x effectSums) *query.MetaAnalysis {
	df := float64(s.Sites - 1)
	r := byNormal(int(s.Sites), s.Center+s.Unit*x.mean(), s.Unit/math.Sqrt(x[sumW]))
	r.Heterogeneity = &query.Heterogeneity{Q: s.Q, P: 1}
	if df > 0 {
		r.Heterogeneity.P = chiSquaredAbove(s.Q, df)
	}
	if p.between == "" {
		if s.Q > df {
			r.Heterogeneity.I2 = 100 * (s.Q - df) / s.Q
		}
		return &r
	}
	if p.adjust {
		r = byStudent(r, s.Unit*math.Sqrt(x.residuals()/df/x[sumW]), df)
	}
	typical := df / s.Contrast // a site's variance
	r.Heterogeneity.Tau2 = s.Tau2 * s.Unit * s.Unit
	r.Heterogeneity.I2 = 100 * s.Tau2 / (s.Tau2 + typical)
	return &r
}
