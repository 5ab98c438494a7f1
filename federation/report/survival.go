package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/federation/report/figure"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// timedSurvival is a survival estimate by a time in a unit that the question knows.
type timedSurvival struct {
	query.Survival
	unit query.TimeUnit
}

func survivalBlocks(s query.Survival) []block {
	return timedSurvivalBlocks(timedSurvival{s, query.Days})
}

// timedSurvivalBlocks reads like R's print and summary of survfit(…), and survdiff(…).
func timedSurvivalBlocks(s timedSurvival) []block {
	t := &table{head: []string{"", "n", "events", "rmean*", "se(rmean)", "median", "0.95LCL", "0.95UCL"}, words: 1}
	columns := make([][]*float64, 7)
	for _, a := range s.Arms {
		for i, v := range []*float64{whole(a.N), whole(a.Events), a.Mean, a.MeanSE, a.Median, a.MedianLow, a.MedianHigh} {
			columns[i] = append(columns[i], v)
		}
	}
	texts := make([][]string, len(columns))
	for i, digits := range []int{7, 7, 3, 3, 7, 7, 7} {
		texts[i] = align(digits, columns[i]...)
	}
	for i, a := range s.Arms {
		cells := []string{armName(a.Name)}
		for c := range columns {
			cells = append(cells, texts[c][i])
		}
		t.add(cells...)
	}
	blocks := []block{
		lines{fmt.Sprintf("survfit(%s)", s.Formula), persons(s.N, s.LeftOut)},
		t,
		lines{fmt.Sprintf("* restricted mean with upper limit = %s; times are in %s", one(7, &s.Restriction), called(s.unit))},
	}
	for _, a := range s.Arms {
		if len(a.Curve) > 0 {
			blocks = append(blocks, curveTable(a))
		}
	}
	merged := 0
	for _, a := range s.Arms {
		merged += a.Merged
	}
	if merged > 0 {
		blocks = append(blocks, lines{fmt.Sprintf("Steps were merged, by %d times: each is of as many events as the least cell at least, and of as many censored or none.", merged)})
	}
	if slices.ContainsFunc(s.Arms, func(a query.SurvivalArm) bool { return len(a.Curve) > 0 && curveOf(a).More }) {
		blocks = append(blocks, lines{"The rest, after the last point, is dotted in a figure."})
	}
	return append(blocks, logRankBlocks(s.Survival)...)
}

func armName(name string) string {
	if name == "" {
		return "all"
	}
	return name
}

func curveTable(a query.SurvivalArm) *table {
	t := &table{title: armName(a.Name), head: []string{"time", "n.risk", "n.event", "n.censor", "survival", "std.err", "lower 95% CI", "upper 95% CI"}}
	columns := make([][]*float64, 8)
	for _, p := range a.Curve {
		for i, v := range []*float64{&p.Time, whole(p.AtRisk), whole(p.Events), whole(p.Censored), &p.Survival, p.SE, p.Low, p.High} {
			columns[i] = append(columns[i], v)
		}
	}
	for i, digits := range []int{7, 7, 7, 7, 3, 3, 3, 3} {
		for row, text := range align(digits, columns[i]...) {
			if i == 0 {
				t.add()
			}
			t.rows[row] = append(t.rows[row], text)
		}
	}
	return t
}

func logRankBlocks(s query.Survival) []block {
	l := s.LogRank
	if l == nil || len(l.Observed) != len(s.Arms) || len(l.Expected) != len(s.Arms) {
		return nil
	}
	t := &table{title: "Log-rank test", head: []string{"", "N", "Observed", "Expected", "(O-E)^2/E"}, words: 1}
	var expected, distance []*float64
	for i := range s.Arms {
		d := math.Pow(l.Observed[i]-l.Expected[i], 2) / l.Expected[i]
		expected, distance = append(expected, &l.Expected[i]), append(distance, &d)
	}
	e, d := align(3, expected...), align(3, distance...)
	for i, a := range s.Arms {
		t.add(armName(a.Name), fmt.Sprint(a.N), one(7, &l.Observed[i]), e[i], d[i])
	}
	return []block{t, lines{fmt.Sprintf("Chisq= %s  on %d degrees of freedom, p= %s", one(3, rounded(&l.Statistic, 1)), l.DF, pValue(1, &l.P))}}
}

func survivalRows(s query.Survival) rows { return timedSurvivalRows(timedSurvival{s, query.Days}) }

func timedSurvivalRows(s timedSurvival) rows {
	var out rows
	out.text(Row{Section: "model"}, "formula", s.Formula)
	out.text(Row{Section: "model"}, "time unit", string(s.unit))
	out.size(s.N, s.LeftOut)
	out.float(Row{Section: "model"}, "restriction", s.Restriction)
	for _, a := range s.Arms {
		at := Row{Section: "arm", Name: a.Name}
		out.count(at, "n", a.N)
		out.count(at, "events", a.Events)
		if a.Merged > 0 {
			out.count(at, "merged times", int64(a.Merged))
		}
		out.number(at, "median", a.Median)
		out.number(at, "median lower", a.MedianLow)
		out.number(at, "median upper", a.MedianHigh)
		out.number(at, "restricted mean", a.Mean)
		out.number(at, "restricted mean se", a.MeanSE)
	}
	if l := s.LogRank; l != nil {
		out.test("log-rank", l.Test)
		for i, a := range s.Arms {
			if i < len(l.Observed) && i < len(l.Expected) {
				out.float(Row{Section: "test", Name: "log-rank", Group: a.Name}, "observed", l.Observed[i])
				out.float(Row{Section: "test", Name: "log-rank", Group: a.Name}, "expected", l.Expected[i])
			}
		}
	}
	for _, a := range s.Arms {
		for _, p := range a.Curve {
			at := Row{Section: "curve", Name: a.Name, At: &p.Time}
			out.count(at, "at risk", p.AtRisk)
			out.count(at, "events", p.Events)
			out.count(at, "censored", p.Censored)
			out.float(at, "survival", p.Survival)
			out.number(at, "se", p.SE)
			out.number(at, "lower", p.Low)
			out.number(at, "upper", p.High)
		}
	}
	return out
}

// curveOf is an arm as it is drawn. Its events are told in all, so those after the last point
// that may be shown are known to be some, but not when.
func curveOf(a query.SurvivalArm) figure.Arm {
	arm, more := figure.Arm{Name: a.Name, N: a.N}, a.Events
	for _, c := range a.Curve {
		more -= c.Events
		step := figure.Step{Time: c.Time, AtRisk: c.AtRisk, Leave: c.Events + c.Censored, Censored: c.Censored > 0, Share: c.Survival, Low: math.NaN(), High: math.NaN()}
		if c.Low != nil && c.High != nil {
			step.Low, step.High = *c.Low, *c.High
		}
		arm.Steps = append(arm.Steps, step)
	}
	arm.More = more > 0
	return arm
}

func survivalFigure(s query.Survival) drawing {
	return timedSurvivalFigure(timedSurvival{s, query.Days})
}

func timedSurvivalFigure(s timedSurvival) drawing {
	p := figure.Curves{Title: "Survival curves: " + s.Formula, Time: axis(s.unit), Share: "Survival probability"}
	p.End = s.Restriction
	there := false
	for _, a := range s.Arms {
		if a.N == 0 {
			continue // a level that nobody has
		}
		there = there || len(a.Curve) > 0
		p.Arms = append(p.Arms, curveOf(a))
	}
	if l := s.LogRank; l != nil {
		p.Note = "Log-rank P = " + pValue(2, &l.P)
		if l.P < 0x1p-52 {
			p.Note = "Log-rank P < 2e-16"
		}
	}
	if !there {
		return nil
	}
	return p
}
