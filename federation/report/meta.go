package report

import (
	"fmt"

	"github.com/trialmesh/trialmesh/federation/report/figure"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// metaBlocks reads like metafor's print of rma(…), with R's p values.
func metaBlocks(m query.MetaAnalysis) []block {
	blocks := []block{lines{fmt.Sprintf("Meta-analysis (k = %d)", m.Sites)}}
	if h := m.Heterogeneity; h != nil {
		blocks = append(blocks, lines{
			"tau^2 (variance between sites):                  " + one(4, &h.Tau2),
			fmt.Sprintf("I^2 (total heterogeneity / total variability):   %.2f%%", h.I2),
		}, lines{
			"Test for heterogeneity:",
			fmt.Sprintf("Q(df = %d) = %.4f, p-value %s", m.Sites-1, h.Q, equals(pValue(4, &h.P))),
		})
	}
	t := &table{title: "Model results:", head: []string{"estimate", "se", "statistic", "p", "ci.lb", "ci.ub", ""}, marks: true}
	var cells []string
	for _, v := range []float64{m.Estimate, m.SE, m.Statistic} {
		cells = append(cells, fmt.Sprintf("%.4f", v))
	}
	t.add(append(cells, pValue(4, &m.P), fmt.Sprintf("%.4f", m.Lower), fmt.Sprintf("%.4f", m.Upper), stars(&m.P))...)
	return append(blocks, t)
}

func metaRows(m query.MetaAnalysis) rows {
	var out rows
	model := Row{Section: "model"}
	out.count(model, "sites", int64(m.Sites))
	out.float(model, "estimate", m.Estimate)
	out.float(model, "se", m.SE)
	out.float(model, "lower", m.Lower)
	out.float(model, "upper", m.Upper)
	out.float(model, "statistic", m.Statistic)
	out.float(model, "p", m.P)
	if h := m.Heterogeneity; h != nil {
		at := Row{Section: "heterogeneity"}
		out.float(at, "tau2", h.Tau2)
		out.float(at, "i2", h.I2)
		out.float(at, "q", h.Q)
		out.float(at, "p", h.P)
	}
	return out
}

// metaFigure has the common estimate only: no site's own is released.
func metaFigure(m query.MetaAnalysis) drawing {
	return figure.Forest{
		Title: "Common estimate with its 95 % confidence interval", Names: "Model", Effect: "Estimate (95 % CI)", Numbers: "Estimate (95 % CI)",
		Rows: []figure.Effect{{
			Name: fmt.Sprintf("Common estimate of %d sites", m.Sites), Estimate: m.Estimate, Low: m.Lower, High: m.Upper,
			Text: interval(m.Estimate, m.Lower, m.Upper), P: pValue(2, &m.P), Pooled: true,
		}},
	}
}
