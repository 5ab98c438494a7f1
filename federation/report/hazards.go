package report

import (
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// hazardsBlocks reads like R's summary(coxph(…)).
func hazardsBlocks(h query.Hazards) []block {
	blocks := []block{
		lines{fmt.Sprintf("coxph(%s, ties = %q)", h.Formula, string(h.Ties))},
		lines{fmt.Sprintf("n= %d, number of events= %d", h.N, h.Events)},
	}
	if left := leftOut(h.LeftOut, "for a missing value, or because they end before they begin"); left != "" {
		blocks = append(blocks, lines{left})
	}
	blocks = append(blocks,
		coefficientTable("", h.Coefficients, []string{"coef", "exp(coef)", "se(coef)", "z", "Pr(>|z|)"}, func(c query.Coefficient) []*float64 {
			return []*float64{c.Estimate, limit(c, 0), c.SE}
		}),
		hazardRatios(h.Coefficients),
		lines{
			"Likelihood ratio test= " + testText(h.LikelihoodRatio),
			"Wald test            = " + testText(h.Wald),
			"Score (logrank) test = " + testText(h.Score),
		})
	return append(blocks, warned(h.Converged, h.Warnings)...)
}

// limit is the exponential of a coefficient, moved by so many standard errors.
func limit(c query.Coefficient, errors float64) *float64 {
	if c.Estimate == nil || errors != 0 && c.SE == nil {
		return nil
	}
	v := *c.Estimate
	if errors != 0 {
		v += errors * *c.SE
	}
	v = math.Exp(v)
	return &v
}

func hazardRatios(list []query.Coefficient) *table {
	t := &table{head: []string{"", "exp(coef)", "exp(-coef)", "lower .95", "upper .95"}, words: 1}
	figures := make([][]*float64, 4)
	for _, c := range list {
		ratio := limit(c, 0)
		var inverse *float64
		if ratio != nil {
			v := 1 / *ratio
			inverse = &v
		}
		for i, v := range []*float64{ratio, inverse, limit(c, -z95), limit(c, z95)} {
			figures[i] = append(figures[i], v)
		}
	}
	texts := make([][]string, 4)
	for i := range figures {
		texts[i] = align(4, figures[i]...)
	}
	for i, c := range list {
		t.add(c.Name, texts[0][i], texts[1][i], texts[2][i], texts[3][i])
	}
	return t
}

func testText(t query.Test) string {
	return fmt.Sprintf("%s  on %d df,   p=%s", one(4, rounded(&t.Statistic, 2)), t.DF, pValue(1, &t.P))
}

func hazardsRows(h query.Hazards) rows {
	var out rows
	model := Row{Section: "model"}
	out.text(model, "formula", h.Formula)
	out.text(model, "ties", string(h.Ties))
	out.size(h.N, h.LeftOut)
	out.count(model, "events", h.Events)
	out.count(model, "times", int64(h.Times))
	for _, c := range h.Coefficients {
		out.coefficient(c)
		at := Row{Section: "coefficient", Name: c.Name}
		out.number(at, "hazard ratio", limit(c, 0))
		out.number(at, "hazard ratio lower", limit(c, -z95))
		out.number(at, "hazard ratio upper", limit(c, z95))
	}
	out.float(model, "null log likelihood", h.NullLogLikelihood)
	out.float(model, "log likelihood", h.LogLikelihood)
	out.test("likelihood ratio", h.LikelihoodRatio)
	out.test("wald", h.Wald)
	out.test("score", h.Score)
	out.fit(h.Iterations, h.Converged, h.Warnings)
	return out
}

func (r *rows) test(name string, t query.Test) {
	at := Row{Section: "test", Name: name}
	r.float(at, "statistic", t.Statistic)
	r.count(at, "df", int64(t.DF))
	r.float(at, "p", t.P)
}

func hazardsFigure(h query.Hazards) drawing {
	return effects(h.Coefficients, z95, true, [2]string{"Hazard ratio", "HR"}, h.Formula)
}
