package report

import (
	"cmp"
	"fmt"

	"github.com/trialmesh/trialmesh/federation/report/figure"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// statedMeta is a meta-analysis with what the question says of it.
type statedMeta struct {
	query.MetaAnalysis
	of     string // what is pooled
	how    string // by which model
	effect string // what is pooled, in a word
}

// statedBy says what the question pools and how.
func (a Answer) statedBy(spec query.MetaSpec, m query.MetaAnalysis) statedMeta {
	out := statedMeta{MetaAnalysis: m, how: "fixed effect"}
	if spec.Between != "" {
		out.how = "random effects; tau^2 by " + spec.Between
	}
	if spec.Adjust {
		out.how += "; Hartung and Knapp's standard error"
	}
	if spec.Model != nil {
		out.effect = "Coefficient"
		out.of = "coefficient " + spec.Term + " of " + spec.Model.Formula
		return out
	}
	second, first := "the second level of "+spec.By, "the first"
	for _, c := range a.Request.Analysis.Columns {
		if c.Name == spec.By && len(c.Levels) == 2 {
			second, first = spec.By+" "+c.Levels[1], c.Levels[0]
		}
	}
	out.effect = "Difference of means"
	out.of = "mean of " + spec.Value + ", " + second + " less " + first
	return out
}

func metaBlocks(m query.MetaAnalysis) []block {
	return statedMetaBlocks(statedMeta{MetaAnalysis: m})
}

// statedMetaBlocks reads like metafor's print of rma(…), with R's p values.
func statedMetaBlocks(m statedMeta) []block {
	title := fmt.Sprintf("Meta-analysis (k = %d", m.Sites)
	if m.how != "" {
		title += "; " + m.how
	}
	blocks := []block{lines{title + ")"}}
	if m.of != "" {
		blocks = append(blocks, lines{"Pooled: " + m.of})
	}
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

func metaRows(m query.MetaAnalysis) rows { return statedMetaRows(statedMeta{MetaAnalysis: m}) }

func statedMetaRows(m statedMeta) rows {
	var out rows
	model := Row{Section: "model"}
	out.text(model, "pooled", m.of)
	out.text(model, "method", m.how)
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

func metaFigure(m query.MetaAnalysis) drawing {
	return statedMetaFigure(statedMeta{MetaAnalysis: m})
}

// statedMetaFigure has the common estimate only: no site's own is released.
func statedMetaFigure(m statedMeta) drawing {
	effect := cmp.Or(m.effect, "Estimate") + " (95 % CI)"
	return figure.Forest{
		Title: "Common estimate with its 95 % confidence interval", Names: "Model", Effect: effect, Numbers: "Estimate (95 % CI)",
		Rows: []figure.Effect{{
			Name: fmt.Sprintf("Common estimate of %d sites", m.Sites), Estimate: m.Estimate, Low: m.Lower, High: m.Upper,
			Text: interval(m.Estimate, m.Lower, m.Upper), P: pValue(2, &m.P), Pooled: true,
		}},
	}
}
