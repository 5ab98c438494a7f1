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
	return []block{
		lines{"One-shot logistic regression (ODAL): " + o.Formula},
		lines{persons(o.N, o.LeftOut), withEstimates(o)},
		coefficientTable("Coefficients:", o.Coefficients, heads, of),
		coefficientTable("Mean of the sites' own estimates:", o.Initial, heads, of),
		apart(o),
		lines{"The coefficients are near those of a fit to all rows if the sites' rows are alike; kind glm gives that fit itself."},
	}
}

func withEstimates(o query.OneShot) string {
	return fmt.Sprintf("%d sites with an estimate of their own", o.Sites)
}

// apart is a table of how far the sites' own coefficients differ.
func apart(o query.OneShot) *table {
	t := &table{title: "How far these differ between sites:", head: []string{"", "Q", "p", "I^2"}, words: 1}
	for i, h := range o.Heterogeneity {
		t.add(o.Initial[i].Name, fmt.Sprintf("%.4f", h.Q), pValue(4, &h.P), fmt.Sprintf("%.2f%%", h.I2))
	}
	return t
}

// oneShotHazardsBlocks is as oneShotBlocks, with hazard ratios.
func oneShotHazardsBlocks(o query.OneShotHazards) []block {
	of := func(c query.Coefficient) []*float64 { return []*float64{c.Estimate, limit(c, 0), c.SE} }
	heads := []string{"coef", "exp(coef)", "se(coef)", "z", "Pr(>|z|)"}
	title, counts, near := "One-shot proportional hazards model (ODAC): ", fmt.Sprintf("%d events at %d times", o.Events, o.Times), "a fit to all rows if the sites' rows are alike; kind cox gives that fit itself."
	if o.BySite {
		title, counts = "One-shot proportional hazards model within sites (ODACH): ", fmt.Sprintf("%d events", o.Events)
		near = "a fit to all rows within strata of sites if the sites' rows are alike."
	}
	return []block{
		lines{title + o.Formula, fmt.Sprintf("ties = %q", string(o.Ties))},
		lines{persons(o.N, o.LeftOut), counts, withEstimates(o.OneShot)},
		coefficientTable("Coefficients:", o.Coefficients, heads, of),
		hazardRatios(o.Coefficients),
		coefficientTable("Mean of the sites' own estimates:", o.Initial, heads, of),
		apart(o.OneShot),
		lines{"The coefficients are near those of " + near},
	}
}

func oneShotHazardsFigure(o query.OneShotHazards) drawing {
	return effects(o.Coefficients, z95, true, [2]string{"Hazard ratio", "HR"}, o.Formula)
}

func oneShotFigure(o query.OneShot) drawing {
	return effects(o.Coefficients, z95, true, ratios[query.LinkLogit], o.Formula)
}
