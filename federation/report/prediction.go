package report

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// predictionBlocks shows how good the predictions are, then the model.
func predictionBlocks(p query.Prediction) []block {
	judged := lines{fmt.Sprintf("Judged by %d persons, %d of them with the event", p.N, p.Cases)}
	switch {
	case p.AUC.Value != nil:
		judged = append(judged, "Area under the curve: "+one(5, p.AUC.Value))
	case p.AUC.Low != nil && p.AUC.High != nil:
		judged = append(judged, fmt.Sprintf("Area under the curve: from %s to %s", one(5, p.AUC.Low), one(5, p.AUC.High)))
	}
	judged = append(judged, fmt.Sprintf("Brier score: %s, mean risk %s", one(5, &p.Brier), one(5, &p.MeanRisk)))
	for _, c := range []struct {
		name string
		of   *query.Coefficient
	}{{"Calibration intercept", p.Intercept}, {"Calibration slope", p.Slope}} {
		if c.of != nil {
			judged = append(judged, fmt.Sprintf("%s: %s (standard error %s)", c.name, one(5, c.of.Estimate), one(3, c.of.SE)))
		}
	}
	groups := &table{title: "Calibration:", head: []string{"risk from", "to", "n", "events", "expected"}}
	var expected []*float64
	for _, g := range p.Groups {
		expected = append(expected, &g.Expected)
	}
	texts := align(4, expected...)
	for i, g := range p.Groups {
		groups.add(one(3, &g.Low), one(3, &g.High), fmt.Sprint(g.N), fmt.Sprint(g.Events), texts[i])
	}
	return append([]block{judged, groups, lines{"The model:"}}, regressionBlocks(p.Model)...)
}

func predictionFigure(p query.Prediction) drawing { return regressionFigure(p.Model) }
