package report

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// quantilesBlocks has a line for each column and group, and a column for each quantile.
func quantilesBlocks(q query.QuantileTable) []block {
	blocks := []block{lines{persons(q.N, q.LeftOut)}}
	for _, c := range q.Columns {
		t := &table{title: c.Name, head: []string{"", "n"}, words: 1}
		for _, at := range c.All {
			t.head = append(t.head, one(7, percent(at.P))+"%")
		}
		t.add(quantileCells("all", fmt.Sprint(q.N), c.All)...)
		for _, g := range c.Groups {
			t.add(quantileCells(g.Level, fmt.Sprint(g.N), g.Quantiles)...)
		}
		blocks = append(blocks, t)
	}
	return blocks
}

func percent(p float64) *float64 { v := 100 * p; return &v }

func quantileCells(name, n string, list []query.Quantile) []string {
	cells := []string{name, n}
	for _, q := range list {
		cells = append(cells, quantileText(q))
	}
	return cells
}

// quantileText writes a quantile, or the range in which it is.
func quantileText(q query.Quantile) string {
	switch {
	case q.Value != nil:
		return one(5, q.Value)
	case q.Low != nil && q.High != nil:
		return one(5, q.Low) + " to " + one(5, q.High)
	}
	return "NA"
}

func quantilesRows(q query.QuantileTable) rows {
	var out rows
	out.size(q.N, q.LeftOut)
	for _, c := range q.Columns {
		at := Row{Section: "quantile", Name: c.Name}
		out.quantiles(at, c.All)
		for _, g := range c.Groups {
			at.Group = g.Level
			out.count(at, "n", g.N)
			out.quantiles(at, g.Quantiles)
		}
	}
	return out
}

func (r *rows) quantiles(at Row, list []query.Quantile) {
	for _, q := range list {
		at.At = &q.P
		if q.Value == nil && q.Low != nil && q.High != nil {
			r.between(at, "quantile", q.Low, q.High)
			continue
		}
		r.number(at, "quantile", q.Value)
	}
}
