package report

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/trialmesh/trialmesh/federation/report/figure"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// regressionBlocks reads like R's summary(glm(…)).
func regressionBlocks(r query.Regression) []block { return fittedBlocks(r, string(r.Family)) }

// fittedBlocks has the family as the line of the dispersion names it.
func fittedBlocks(r query.Regression, family string) []block {
	letter := "z"
	if r.Family == query.Gaussian {
		letter = "t"
	}
	undefined := 0
	for _, c := range r.Coefficients {
		if c.Estimate == nil {
			undefined++
		}
	}
	title := "Coefficients:"
	if undefined > 0 {
		title = fmt.Sprintf("Coefficients: (%d not defined because of singularities)", undefined)
	}
	deviances := align(5, &r.NullDeviance, &r.Deviance)
	degrees := align(7, whole(r.NullDF), whole(r.DF))
	blocks := []block{
		lines{fmt.Sprintf("glm(%s, family = %s(%q))", r.Formula, r.Family, string(r.Link))},
		coefficientTable(title, r.Coefficients, []string{"Estimate", "Std. Error", letter + " value", "Pr(>|" + letter + "|)"}, func(c query.Coefficient) []*float64 {
			return []*float64{c.Estimate, c.SE}
		}),
		lines{fmt.Sprintf("(Dispersion parameter for %s family taken to be %s)", family, one(7, r.Dispersion))},
		lines{
			fmt.Sprintf("    Null deviance: %s  on %s  degrees of freedom", wide(deviances, 0), wide(degrees, 0)),
			fmt.Sprintf("Residual deviance: %s  on %s  degrees of freedom", wide(deviances, 1), wide(degrees, 1)),
			persons(r.N, r.LeftOut),
			"AIC: " + one(5, r.AIC),
		},
		lines{fmt.Sprintf("Number of Fisher Scoring iterations: %d", r.Iterations)},
	}
	return append(blocks, warned(r.Converged, r.Warnings)...)
}

// negativeBinomialBlocks reads like R's summary(glm.nb(…)).
func negativeBinomialBlocks(r query.NegativeBinomial) []block {
	family := fmt.Sprintf("Negative Binomial(%s)", one(7, rounded(&r.Theta, 4)))
	return append(fittedBlocks(r.Regression, family), lines{
		fmt.Sprintf("Theta: %s, std. err. %s", one(5, &r.Theta), one(5, &r.ThetaSE)),
		"Log likelihood: " + one(7, &r.LogLikelihood),
	})
}

func negativeBinomialFigure(r query.NegativeBinomial) drawing { return regressionFigure(r.Regression) }

// coefficientTable is R's printCoefmat with four digits: the estimates that of returns, the
// statistic and, if the last of the heads is that of one, its p value.
//
// Source: R 4.2.2, src/library/stats/R/lm.R and printCoefmat.
func coefficientTable(title string, list []query.Coefficient, heads []string, of func(query.Coefficient) []*float64) *table {
	const digits = 4
	withP := strings.HasPrefix(heads[len(heads)-1], "Pr(")
	t := &table{title: title, head: append([]string{""}, heads...), words: 1, marks: withP}
	each := len(heads) - 1
	if withP {
		t.head, each = append(t.head, ""), each-1
	}
	var estimates, statistics, ps []*float64
	marked := false
	for _, c := range list {
		estimates = append(estimates, of(c)...)
		statistics = append(statistics, rounded(c.Statistic, digits-1))
		ps = append(ps, c.P)
		marked = marked || withP && c.P != nil && *c.P < 0.1
	}
	texts := estimateTexts(digits, estimates)
	statistic, p := align(digits, statistics...), pValues(digits-1, ps...)
	for i, c := range list {
		cells := append([]string{c.Name}, texts[i*each:(i+1)*each]...)
		cells = append(cells, statistic[i])
		if withP {
			mark := ""
			if marked {
				mark = stars(c.P)
			}
			cells = append(cells, p[i], mark)
		}
		t.add(cells...)
	}
	if marked {
		t.foot = []string{"---", starsKey}
	}
	return t
}

// estimateTexts writes estimates so that the smallest shows its digits, too.
func estimateTexts(digits int, estimates []*float64) []string {
	least := math.Inf(1)
	for _, v := range estimates {
		if finite(v) && *v != 0 {
			least = min(least, math.Abs(*v))
		}
	}
	decimals := digits
	if !math.IsInf(least, 0) {
		decimals = max(1, digits-1-int(math.Floor(math.Log10(least))))
	}
	short := make([]*float64, len(estimates))
	for i, v := range estimates {
		short[i] = rounded(v, decimals)
	}
	texts := align(digits, short...)
	var lost []*float64 // that would read as 0
	for i, v := range estimates {
		if finite(v) && *v != 0 && strings.Trim(texts[i], "-0.") == "" {
			lost = append(lost, v)
		}
	}
	again := align(digits-1, lost...)
	width := 0
	for i, v := range estimates {
		if finite(v) && *v != 0 && strings.Trim(texts[i], "-0.") == "" {
			texts[i], again = again[0], again[1:]
		}
		width = max(width, len(texts[i]))
	}
	for i := range texts {
		texts[i] = padded(texts[i], width, false)
	}
	return texts
}

func whole(n int64) *float64 { v := float64(n); return &v }

// wide returns one of several texts, as wide as the widest.
func wide(list []string, i int) string {
	width := 0
	for _, text := range list {
		width = max(width, len(text))
	}
	return fmt.Sprintf("%*s", width, list[i])
}

// persons says how many there are, and how many were left out.
func persons(n int64, left query.LeftOut) string {
	text := fmt.Sprintf("%d persons", n)
	if missing := leftOut(left, "for a missing value"); missing != "" {
		text += ", " + missing
	}
	return text
}

// warned has what a method warns of.
func warned(converged bool, warnings []string) []block {
	var l lines
	if !converged {
		l = append(l, "Warning: the fit did not converge")
	}
	for _, w := range warnings {
		l = append(l, "Warning: "+w)
	}
	if l == nil {
		return nil
	}
	return []block{l}
}

func regressionRows(r query.Regression) rows {
	var out rows
	model := Row{Section: "model"}
	out.text(model, "formula", r.Formula)
	out.text(model, "family", string(r.Family))
	out.text(model, "link", string(r.Link))
	out.size(r.N, r.LeftOut)
	for _, c := range r.Coefficients {
		out.coefficient(c)
	}
	out.number(model, "dispersion", r.Dispersion)
	out.float(model, "null deviance", r.NullDeviance)
	out.count(model, "null df", r.NullDF)
	out.float(model, "deviance", r.Deviance)
	out.count(model, "df", r.DF)
	out.number(model, "aic", r.AIC)
	out.fit(r.Iterations, r.Converged, r.Warnings)
	return out
}

func (r *rows) coefficient(c query.Coefficient) {
	at := Row{Section: "coefficient", Name: c.Name}
	r.number(at, "estimate", c.Estimate)
	r.number(at, "se", c.SE)
	r.number(at, "statistic", c.Statistic)
	r.number(at, "p", c.P)
}

// fit adds how an iteration ended.
func (r *rows) fit(iterations int, converged bool, warnings []string) {
	r.count(Row{Section: "model"}, "iterations", int64(iterations))
	r.text(Row{Section: "model"}, "converged", fmt.Sprint(converged))
	r.warnings(warnings)
}

// ratios names what the exponential of a coefficient is, by the link of its model.
var ratios = map[query.Link][2]string{
	query.LinkLogit: {"Odds ratio", "OR"},
	query.LinkLog:   {"Rate ratio", "RR"},
}

// regressionFigure draws the effects: odds or rate ratios, and coefficients where the link
// is the identity. The limits are Wald's.
func regressionFigure(r query.Regression) drawing {
	words, ratio := ratios[r.Link]
	quantile := z95
	switch {
	case r.Family == query.Binomial && r.Link == query.LinkLog:
		words = [2]string{"Risk ratio", "RR"}
	case r.Family == query.Gaussian && r.Link == query.LinkLog:
		words = [2]string{"Ratio of means", "Ratio"}
	case !ratio:
		words = [2]string{"Coefficient", "Coefficient"}
	}
	if r.Family == query.Gaussian && r.DF > 0 {
		quantile = distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(r.DF)}.Quantile(0.975)
	}
	return effects(r.Coefficients, quantile, ratio, words, r.Formula)
}

// z95 is R's qnorm(0.975).
const z95 = 1.959963984540054

// effects is a forest plot of coefficients, without the intercept.
func effects(list []query.Coefficient, quantile float64, ratio bool, words [2]string, formula string) drawing {
	p := figure.Forest{Title: words[0] + "s with 95 % confidence intervals: " + formula, Names: "Term", Effect: words[0] + " (95 % CI)", Numbers: words[1] + " (95 % CI)", Log: ratio}
	transform := func(v float64) float64 { return v }
	if ratio {
		p.None, transform = 1, math.Exp
	}
	for _, c := range list {
		if c.Name == "(Intercept)" {
			continue
		}
		e := figure.Effect{Name: c.Name, Estimate: math.NaN(), Text: "not estimable"}
		if finite(c.Estimate) && finite(c.SE) {
			e.Estimate = transform(*c.Estimate)
			e.Low, e.High = transform(*c.Estimate-quantile**c.SE), transform(*c.Estimate+quantile**c.SE)
			e.Text = interval(e.Estimate, e.Low, e.High)
			if c.P != nil {
				e.P = pValue(2, c.P)
			}
		}
		p.Rows = append(p.Rows, e)
	}
	if len(p.Rows) == 0 {
		return nil
	}
	return p
}

// interval writes an estimate with its limits, as a paper does.
func interval(estimate, low, high float64) string {
	return short(estimate) + " (" + short(low) + " to " + short(high) + ")"
}

// short writes a number with two decimals, or three digits where that shows too little or
// too much.
func short(v float64) string {
	size := math.Abs(v)
	switch {
	case math.IsInf(v, 1):
		return "∞"
	case math.IsInf(v, -1):
		return "-∞"
	case v == 0 || size >= 0.1 && size < 1000:
		return fmt.Sprintf("%.2f", v)
	case size < 1e-3 || size >= 1e6:
		return fmt.Sprintf("%.1e", v)
	case size >= 1000:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
