package report

import (
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/federation/report/figure"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// timedComparison is a comparison by a time in a unit that the question knows.
type timedComparison struct {
	query.Comparison
	unit query.TimeUnit
}

func comparisonBlocks(c query.Comparison) []block {
	return timedComparisonBlocks(timedComparison{c, query.Days})
}

// timedComparisonBlocks shows the hazard ratios first, then the arms, then how the score made them
// alike.
func timedComparisonBlocks(c timedComparison) []block {
	blocks := []block{
		lines{fmt.Sprintf("Comparison of new users (%s) by propensity score: %s", c.Estimand, c.Adjustment), persons(c.N, c.LeftOut)},
		hazardRatioTable(c.Comparison),
	}
	if arms := comparedArms(c); len(arms.rows) > 0 {
		_, per := scale(c.unit)
		blocks = append(blocks, arms, lines{fmt.Sprintf("Rates are per %s, with Garwood's exact limits; times are in %s.", per, called(c.unit))})
	} else {
		blocks = append(blocks, lines{"The arms are not shown: with those of the pairs they would tell of the few who are in none."})
	}
	blocks = append(blocks, warned(true, c.Adjusted.Hazard.Warnings)...)
	blocks = append(blocks, scoreArms(c.Treated, c.Untreated), balanceTable(c.Balance))
	if worst := leastAlike(c.Balance); worst != "" {
		blocks = append(blocks, lines{worst})
	}
	if len(c.Strata) > 0 {
		blocks = append(blocks, strataTable(c.Strata))
	}
	return append(append(blocks, lines{"The propensity score:"}), regressionBlocks(c.Score)...)
}

// sections are a comparison as everybody is, and by the score.
func sections(c query.Comparison) []struct {
	name string
	query.ComparedArms
} {
	type section = struct {
		name string
		query.ComparedArms
	}
	var list []section
	if c.Crude != nil {
		list = append(list, section{"crude", *c.Crude})
	}
	return append(list, section{"adjusted", c.Adjusted})
}

func hazardRatioTable(c query.Comparison) *table {
	t := &table{
		title: "Hazard ratio of the treated:", words: 1,
		head: []string{"", "exp(coef)", "lower .95", "upper .95", "se(coef)", "robust se", "Pr(>|z|)", "detectable"},
	}
	figures := make([][]*float64, 6)
	var ps []*float64
	for _, s := range sections(c) {
		h := s.Hazard
		for i, v := range []*float64{h.Ratio, h.Low, h.High, h.SE, h.Robust, s.Detectable} {
			figures[i] = append(figures[i], v)
		}
		ps = append(ps, h.P)
	}
	texts, p := make([][]string, len(figures)), pValues(3, ps...)
	for i := range figures {
		texts[i] = align(4, figures[i]...)
	}
	for i, s := range sections(c) {
		robust, detectable := texts[4][i], texts[5][i]
		if s.Hazard.Robust == nil {
			robust = "" // the model has none; it is not missing
		}
		if s.Detectable == nil {
			detectable = ""
		}
		t.add(s.name, texts[0][i], texts[1][i], texts[2][i], texts[3][i], robust, p[i], detectable)
	}
	t.foot = []string{"detectable: the least relative risk that a test at 5 % finds with a power of 80 %"}
	return t
}

// comparedArms has a line for each arm, without and with adjustment where that has arms of
// its own.
func comparedArms(c timedComparison) *table {
	units, _ := scale(c.unit)
	t := &table{title: "Arms:", head: []string{"", "n", "events", "time", "rate", "lower .95", "upper .95", "median"}, words: 1}
	for _, s := range sections(c.Comparison) {
		for _, a := range []struct {
			name string
			arm  *query.ComparedArm
		}{{"untreated", s.Untreated}, {"treated", s.Treated}} {
			if a.arm == nil {
				continue
			}
			name := a.name
			if s.name == "adjusted" {
				name += ", in pairs"
			}
			r := perThousand(a.arm.Rate, units)
			cells := []string{name, fmt.Sprint(r.N), fmt.Sprint(r.Events), one(7, r.Time), one(4, r.Estimate)}
			t.add(append(append(cells, limitCells(r.Exact)...), one(5, a.arm.Survival.Median))...)
		}
	}
	return t
}

// leastAlike names the covariate whose standardized difference stays the largest.
func leastAlike(list []query.Balance) string {
	name, most := "", -1.0
	for _, b := range list {
		if b.After != nil && math.Abs(*b.After) > most {
			name, most = b.Name, math.Abs(*b.After)
		}
	}
	if name == "" {
		return ""
	}
	return fmt.Sprintf("Least alike after adjustment: %s, by %.3f standard deviations; 0.1 is a usual bound.", name, most)
}

// timedComparisonRows has the rates by one unit of time, as the result has them, and what that is.
func timedComparisonRows(c timedComparison) rows {
	var out rows
	out.text(Row{Section: "model"}, "time unit", string(c.unit))
	return append(out, figures(c.Comparison)...)
}

func comparisonRows(c query.Comparison) rows {
	return timedComparisonRows(timedComparison{c, query.Days})
}

func comparisonFigure(c query.Comparison) drawing {
	return timedComparisonFigure(timedComparison{c, query.Days})
}

// timedComparisonFigure draws the curves of the arms, those of the pairs where there are some; or
// the hazard ratios alone.
func timedComparisonFigure(c timedComparison) drawing {
	hazard := func(name string, h query.HazardRatio) string {
		if h.Ratio == nil || h.Low == nil || h.High == nil {
			return name + " not estimable"
		}
		return name + " " + interval(*h.Ratio, *h.Low, *h.High)
	}
	for _, s := range []*query.ComparedArms{&c.Adjusted, c.Crude} {
		if s == nil || s.Untreated == nil || s.Treated == nil || len(s.Untreated.Survival.Curve)+len(s.Treated.Survival.Curve) == 0 {
			continue
		}
		p := figure.Curves{
			Title: "Survival curves of the treated and the untreated", Time: axis(c.unit), Share: "Survival probability",
			Note: hazard("Adjusted HR", c.Adjusted.Hazard),
		}
		for _, a := range []struct {
			name string
			arm  query.SurvivalArm
		}{{"untreated", s.Untreated.Survival}, {"treated", s.Treated.Survival}} {
			arm := curveOf(a.arm)
			arm.Name = a.name
			p.Arms = append(p.Arms, arm)
		}
		return p
	}
	p := figure.Forest{Title: "Hazard ratios of the treated with 95 % confidence intervals", Names: "Comparison", Effect: "Hazard ratio (95 % CI)", Numbers: "HR (95 % CI)", Log: true, None: 1}
	for _, s := range sections(c.Comparison) {
		e := figure.Effect{Name: s.name, Estimate: math.NaN(), Text: "not estimable"}
		if h := s.Hazard; finite(h.Ratio) && finite(h.Low) && finite(h.High) {
			e.Estimate, e.Low, e.High = *h.Ratio, *h.Low, *h.High
			e.Text, e.P = interval(*h.Ratio, *h.Low, *h.High), pValue(2, h.P)
		}
		p.Rows = append(p.Rows, e)
	}
	return p
}
