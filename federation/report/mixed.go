package report

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// mixedBlocks reads like R's summary(lmer(…)).
func mixedBlocks(m query.Mixed) []block {
	t := &table{title: "Random effects:", head: []string{"Groups", "Name", "Variance", "Std.Dev."}, words: 2}
	site, residual := root(m.SiteVariance), root(m.ResidualVariance)
	variances, sds := align(4, &m.SiteVariance, &m.ResidualVariance), align(4, site, residual)
	t.add("site", "(Intercept)", variances[0], sds[0])
	t.add("Residual", "", variances[1], sds[1])
	blocks := []block{
		lines{fmt.Sprintf("Linear mixed model fit by %s: %s + (1 | site)", m.Criterion, m.Formula)},
		t,
		lines{fmt.Sprintf("%s, of %d sites", persons(m.N, m.LeftOut), m.Sites)},
		fixedEffects(m.Coefficients),
		lines{fmt.Sprintf("Log likelihood (%s): %s   AIC: %s", m.Criterion, one(6, &m.LogLikelihood), one(6, &m.AIC))},
	}
	return append(blocks, warned(m.Converged, m.Warnings)...)
}

// fixedEffects has no p values: as lmer, which gives none.
func fixedEffects(list []query.Coefficient) *table {
	return coefficientTable("Fixed effects:", list, []string{"Estimate", "Std. Error", "t value"}, func(c query.Coefficient) []*float64 {
		return []*float64{c.Estimate, c.SE}
	})
}

// mixedFigure draws the fixed effects. The limits are Wald's, by the normal distribution, as of
// R's confint(lmer(…), method = "Wald").
func mixedFigure(m query.Mixed) drawing {
	return effects(m.Coefficients, z95, false, [2]string{"Coefficient", "Coefficient"}, m.Formula+" + (1 | site)")
}
