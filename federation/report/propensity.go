package report

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// propensityBlocks shows the adjusted outcome first, then how it came about.
func propensityBlocks(p query.PropensityEffect) []block {
	blocks := []block{lines{
		fmt.Sprintf("Effect of the treatment (%s) by propensity score: %s", p.Estimand, p.Adjustment),
		persons(p.N, p.Omitted),
	}}
	arms := &table{head: []string{"", "n", "used", "effective n"}, words: 1}
	effective := align(5, &p.Treated.Effective, &p.Untreated.Effective)
	for i, a := range []struct {
		name string
		query.PropensityArm
	}{{"treated", p.Treated}, {"untreated", p.Untreated}} {
		arms.add(a.name, fmt.Sprint(a.N), fmt.Sprint(a.Used), effective[i])
	}
	blocks = append(blocks, arms, coefficientTable("Outcome, with robust standard errors:", p.Outcome.Coefficients,
		[]string{"Estimate", "Std. Error", "z value", "Pr(>|z|)"}, func(c query.Coefficient) []*float64 { return []*float64{c.Estimate, c.SE} }))
	blocks = append(blocks, warned(p.Outcome.Converged, p.Outcome.Warnings)...)
	balance := &table{title: "Standardized differences:", head: []string{"", "before", "after"}, words: 1}
	var before, after []*float64
	for _, b := range p.Balance {
		before, after = append(before, b.Before), append(after, b.After)
	}
	first, second := align(3, before...), align(3, after...)
	for i, b := range p.Balance {
		balance.add(b.Name, first[i], second[i])
	}
	blocks = append(blocks, balance)
	if len(p.Strata) > 0 {
		strata := &table{title: "Strata:", head: []string{"score from", "to", "treated", "untreated"}}
		for _, s := range p.Strata {
			strata.add(one(4, &s.Low), one(4, &s.High), fmt.Sprint(s.Treated), fmt.Sprint(s.Untreated))
		}
		blocks = append(blocks, strata)
	}
	score := regressionBlocks(p.Score)
	return append(append(blocks, lines{"The propensity score:"}), score...)
}

func propensityFigure(p query.PropensityEffect) drawing { return regressionFigure(p.Outcome) }
