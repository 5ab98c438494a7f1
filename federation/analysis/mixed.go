package analysis

import (
	"errors"
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Mixed fits a linear mixed model with a random intercept for each site: R's
// lmer(y ~ terms + (1 | site)), of package lme4, on the pooled data with the site as a column.
// Its result is a *[query.Mixed].
//
// With λ the variance between sites over the residual one, a site of n rows Z, the design
// matrix and the residuals, adds Z'Z - λ/(1+nλ)·ss' to the normal equations, where s are the
// sums of its columns, and log(1+nλ) to the log determinant. A round takes these at the λ
// so far with their first and second derivatives by it, for a step of Newton's method on
// what lmer minimizes. At the first λ, 0, it ends if sites vary no more than by chance:
// then the fit is singular, as R says.
//
// # What the sums show
//
// The sums of derivatives are sums over sites of functions of n and ss' only, at several λ.
// With few sites and exact numbers whoever sees all rounds could tell sites' n and s apart,
// that is their sizes and the means of their columns, but nobody knows from them which site
// is which, and nothing of what is within a site but pooled. So these are to be taken for
// public: a gate asks of each site for as many rows as of a cell, and for several sites.
// What a site's intercept is estimated to be, lmer's ranef, is about one site and left out.
//
// Source: Bates, Mächler, Bolker and Walker, "Fitting linear mixed-effects models using
// lme4", Journal of Statistical Software 67(1) (2015), section 3; Searle, Casella and
// McCulloch, "Variance Components" (1992), section 6.
type Mixed struct {
	Formula   formula.Formula
	Criterion query.Criterion // REML or ML; "" for REML

	// Declared are the columns that the formula names, and perhaps others.
	Declared []Column
}

// maxMixedWidth is the widest design matrix whose sums fit in a round.
const maxMixedWidth = 113

// New checks the model and returns it as a method.
func (m Mixed) New() (Iteration, error) {
	return overLevels(m.Declared, m.over, m.Formula)
}

func (m Mixed) over(declared []Column) (Rounds[mixedState], error) {
	g, err := GLM{Formula: m.Formula, Family: query.Gaussian, Declared: declared}.check()
	switch {
	case err != nil:
		return nil, fmt.Errorf("mixed: %w", err)
	case m.Criterion != "" && m.Criterion != query.REML && m.Criterion != query.ML:
		return nil, errors.New("mixed: the criterion is REML or ML")
	case g.matrix.Width() > maxMixedWidth:
		return nil, fmt.Errorf("mixed: the formula has more than %d columns, with one for each level of a factor", maxMixedWidth)
	}
	c := m.Criterion
	if c == "" {
		c = query.REML
	}
	return mixed{g, c}, nil
}

// mixed is a checked model.
type mixed struct {
	glm
	criterion query.Criterion
}

// mixedState is the state between two rounds.
type mixedState struct {
	// Mean has the columns' scale, and the coefficients that residuals are taken against.
	Mean  glmState `json:"mean"`
	Sites int64    `json:"sites,omitempty"` // with rows

	Ratio float64 `json:"ratio"` // λ

	// Low and High are ratios below and above the best; High is 0 as long as none is known.
	Low  float64 `json:"low,omitempty"`
	High float64 `json:"high,omitempty"`
	Step float64 `json:"step,omitempty"` // the last, of log λ

	Iterations int `json:"iterations,omitempty"`
}

// Parameters are the coefficients and two variances.
func (g mixed) Parameters() int   { return g.matrix.Width() + 2 }
func (g mixed) Start() mixedState { return mixedState{Mean: g.glm.Start()} }

// block is how many numbers Z'Z has: the columns of the matrix, then the residuals.
func (g mixed) block() int { return packed(g.matrix.Width()+1, 0) }

// Numbers are Z'V⁻¹Z and log det V with their first and second derivatives by λ, the
// determinant's last; in the first round those of a [GLM] and the number of sites.
func (g mixed) Numbers(s mixedState) int {
	if s.Mean.Fits < 0 {
		return g.glm.Numbers(s.Mean) + 1
	}
	return 3*g.block() + 3
}

func (g mixed) Site(s mixedState, f *Frame, sums *Sums) error {
	p := g.matrix.Width()
	if s.Mean.Fits < 0 {
		if f.Len() > 0 {
			sums.Add(g.glm.Numbers(s.Mean), 1)
		}
		return g.glm.Site(s.Mean, f, sums)
	}
	if !g.scaled(s.Mean) || !(s.Ratio >= 0) {
		return errState
	}
	own := &Sums{numbers: make([]number, p+1)}
	z := make([]float64, p+1)
	err := g.rows(f, func(x []float64, y, _, offset float64) {
		z[p] = y - offset - g.linear(s.Mean, x)
		copy(z, x)
		for i, v := range z {
			own.Add(i, v)
			for j := range i + 1 {
				sums.Add(packed(i, j), v*z[j])
			}
		}
	})
	if err != nil || f.Len() == 0 {
		return err
	}
	sums.broken = sums.broken || own.broken
	n := float64(f.Len())
	d := 1 + n*s.Ratio
	for i := range z {
		for j := range i + 1 {
			square := own.numbers[i].float() * own.numbers[j].float()
			sums.Add(packed(i, j), -s.Ratio/d*square)
			sums.Add(g.block()+packed(i, j), -square/(d*d))
			sums.Add(2*g.block()+packed(i, j), 2*n*square/(d*d*d))
		}
	}
	sums.Add(3*g.block(), math.Log(d))
	sums.Add(3*g.block()+1, n/d)
	sums.Add(3*g.block()+2, -n/d*n/d)
	return nil
}
