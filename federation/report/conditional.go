package report

import (
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// conditionalNames are what a conditional model's parts are called.
type conditionalNames struct {
	call, rows, sets    string
	ratio, abbreviation string // of the exponential of a coefficient
}

func conditionalNamesOf(c query.Conditional) conditionalNames {
	if c.Ties == "" {
		return conditionalNames{"Self-controlled case series: " + c.Formula, "intervals", "persons", "Relative incidence", "RI"}
	}
	return conditionalNames{fmt.Sprintf("clogit(%s, method = %q)", c.Formula, string(c.Ties)), "persons", "sets", "Odds ratio", "OR"}
}

// conditionalBlocks reads like R's summary(clogit(…)).
func conditionalBlocks(c query.Conditional) []block {
	names := conditionalNamesOf(c)
	blocks := []block{
		lines{names.call},
		lines{
			fmt.Sprintf("n= %d %s, number of events= %d", c.N, names.rows, c.Events),
			fmt.Sprintf("%d %s, %d of them informative", c.Sets, names.sets, c.Informative),
		},
	}
	if left := leftOut(c.LeftOut, "for a missing value"); left != "" {
		blocks = append(blocks, lines{left})
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

func conditionalRows(c query.Conditional) rows {
	var out rows
	model, ratio := Row{Section: "model"}, strings.ToLower(conditionalNamesOf(c).ratio)
	out.text(model, "formula", c.Formula)
	out.text(model, "ties", string(c.Ties))
	out.size(c.N, c.LeftOut)
	out.count(model, "events", c.Events)
	out.count(model, "sets", c.Sets)
	out.count(model, "informative sets", c.Informative)
	for _, k := range c.Coefficients {
		out.coefficient(k)
		at := Row{Section: "coefficient", Name: k.Name}
		out.number(at, ratio, limit(k, 0))
		out.number(at, ratio+" lower", limit(k, -z95))
		out.number(at, ratio+" upper", limit(k, z95))
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
	names := conditionalNamesOf(c)
	return effects(c.Coefficients, z95, true, [2]string{names.ratio, names.abbreviation}, c.Formula)
}
