package report

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// oneShotBlocks shows the coefficients, and how far the hospitals' own are apart, by which to
// judge how near they are to a fit to all rows.
func oneShotBlocks(o query.OneShot) []block {
	of := func(c query.Coefficient) []*float64 { return []*float64{c.Estimate, c.SE} }
	heads := []string{"Estimate", "Std. Error", "z value", "Pr(>|z|)"}
	apart := &table{title: "How far these differ between sites:", head: []string{"", "Q", "p", "I^2"}, words: 1}
	for i, h := range o.Heterogeneity {
		apart.add(o.Initial[i].Name, fmt.Sprintf("%.4f", h.Q), pValue(4, &h.P), fmt.Sprintf("%.2f%%", h.I2))
	}
	return []block{
		lines{"One-shot logistic regression (ODAL): " + o.Formula},
		lines{persons(o.N, o.LeftOut), fmt.Sprintf("%d sites with an estimate of their own", o.Sites)},
		coefficientTable("Coefficients:", o.Coefficients, heads, of),
		coefficientTable("Mean of the sites' own estimates:", o.Initial, heads, of),
		apart,
		lines{"The coefficients are near those of a fit to all rows if the sites' rows are alike; kind glm gives that fit itself."},
	}
}

func oneShotFigure(o query.OneShot) drawing {
	return effects(o.Coefficients, z95, true, ratios[query.LinkLogit], o.Formula)
}
