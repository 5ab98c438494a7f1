package report

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// conditionalBlocks reads like R's summary(clogit(…)).
func conditionalBlocks(c query.Conditional) []block {
	blocks := []block{
		lines{conditionalCall(c)},
		lines{fmt.Sprintf("n= %d, number of events= %d", c.N, c.Events), conditionalSets(c)},
	}
	if c.Omitted > 0 {
		blocks = append(blocks, lines{fmt.Sprintf("%d left out for a missing value", c.Omitted)})
	}
	blocks = append(blocks,
		coefficientTable("", c.Coefficients, []string{"coef", "exp(coef)", "se(coef)", "z", "Pr(>|z|)"}, func(c query.Coefficient) []*float64 {
			return []*float64{c.Estimate, limit(c, 0), c.SE}
		}),
		hazardRatios(c.Coefficients),
		lines{
			"Likelihood ratio test= " + testText(c.LikelihoodRatio),
			"Wald test            = " + testText(c.Wald),
			"Score (logrank) test = " + testText(c.Score),
		})
	return append(blocks, warned(c.Converged, c.Warnings)...)
}

func conditionalCall(c query.Conditional) string {
	return fmt.Sprintf("clogit(%s, method = %q)", c.Formula, string(c.Ties))
}

func conditionalSets(c query.Conditional) string {
	return fmt.Sprintf("%d sets, %d of them informative", c.Sets, c.Informative)
}

func conditionalRows(c query.Conditional) rows {
	var out rows
	model := Row{Section: "model"}
	out.text(model, "formula", c.Formula)
	out.text(model, "ties", string(c.Ties))
	out.size(c.N, c.Omitted)
	out.count(model, "events", c.Events)
	out.count(model, "sets", c.Sets)
	out.count(model, "informative sets", c.Informative)
	for _, k := range c.Coefficients {
		out.coefficient(k)
		at := Row{Section: "coefficient", Name: k.Name}
		out.number(at, "odds ratio", limit(k, 0))
		out.number(at, "odds ratio lower", limit(k, -z95))
		out.number(at, "odds ratio upper", limit(k, z95))
	}
	out.float(model, "null log likelihood", c.NullLogLikelihood)
	out.float(model, "log likelihood", c.LogLikelihood)
	out.test("likelihood ratio", c.LikelihoodRatio)
	out.test("wald", c.Wald)
	out.test("score", c.Score)
	out.fit(c.Iterations, c.Converged, c.Warnings)
	return out
}

func conditionalFigure(c query.Conditional) drawing {
	return effects(c.Coefficients, z95, true, [2]string{"Odds ratio", "OR"}, c.Formula)
}
