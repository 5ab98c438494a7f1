package report

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// propensityBlocks shows the adjusted outcome first, then how it came about.
func propensityBlocks(p query.PropensityEffect) []block {
	blocks := []block{lines{
		fmt.Sprintf("Effect of the treatment (%s) by propensity score: %s", p.Estimand, p.Adjustment),
		persons(p.N, p.LeftOut),
	}}
	blocks = append(blocks, scoreArms(p.Treated, p.Untreated), coefficientTable("Outcome, with robust standard errors:", p.Outcome.Coefficients,
		[]string{"Estimate", "Std. Error", "z value", "Pr(>|z|)"}, func(c query.Coefficient) []*float64 { return []*float64{c.Estimate, c.SE} }))
	blocks = append(blocks, warned(p.Outcome.Converged, p.Outcome.Warnings)...)
	blocks = append(blocks, balanceTable(p.Balance))
	if len(p.Strata) > 0 {
		blocks = append(blocks, strataTable(p.Strata))
	}
	score := regressionBlocks(p.Score)
	return append(append(blocks, lines{"The propensity score:"}), score...)
}

// scoreArms says how many persons the score leaves in each arm, and how many count.
func scoreArms(treated, untreated query.PropensityArm) *table {
	t := &table{head: []string{"", "n", "used", "effective n"}, words: 1}
	effective := align(5, &treated.Effective, &untreated.Effective)
	for i, a := range []struct {
		name string
		query.PropensityArm
	}{{"treated", treated}, {"untreated", untreated}} {
		t.add(a.name, fmt.Sprint(a.N), fmt.Sprint(a.Used), effective[i])
	}
	return t
}

// balanceTable says how alike the arms are in each covariate, in standard deviations.
func balanceTable(list []query.Balance) *table {
	t := &table{title: "Standardized differences:", head: []string{"", "before", "after"}, words: 1}
	var before, after []*float64
	for _, b := range list {
		before, after = append(before, b.Before), append(after, b.After)
	}
	first, second := align(3, before...), align(3, after...)
	for i, b := range list {
		t.add(b.Name, first[i], second[i])
	}
	return t
}

func strataTable(list []query.PropensityStratum) *table {
	t := &table{title: "Strata:", head: []string{"score from", "to", "treated", "untreated"}}
	for _, s := range list {
		t.add(one(4, &s.Low), one(4, &s.High), fmt.Sprint(s.Treated), fmt.Sprint(s.Untreated))
	}
	return t
}

func propensityFigure(p query.PropensityEffect) drawing { return regressionFigure(p.Outcome) }
