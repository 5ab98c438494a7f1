package report

import (
	"fmt"

	"github.com/trialmesh/trialmesh/federation/report/figure"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func histogramBlocks(h query.FrequencyTable) []block {
	t := &table{title: h.Name, head: []string{"from", "to", "count", "density"}}
	var lows, highs, densities []*float64
	for _, b := range h.Bins {
		lows, highs, densities = append(lows, &b.Low), append(highs, &b.High), append(densities, &b.Density)
	}
	low, high, density := align(7, lows...), align(7, highs...), align(4, densities...)
	for i, b := range h.Bins {
		t.add(low[i], high[i], fmt.Sprint(b.Count), density[i])
	}
	return []block{lines{persons(h.N, h.LeftOut)}, t, lines{fmt.Sprintf("%d persons outside these ranges", h.Outside)}}
}

func histogramRows(h query.FrequencyTable) rows {
	var out rows
	out.size(h.N, h.LeftOut)
	out.count(Row{Section: "model"}, "outside", h.Outside)
	for _, b := range h.Bins {
		at := Row{Section: "bin", Name: h.Name, At: &b.Low}
		out.float(at, "to", b.High)
		out.count(at, "count", b.Count)
		out.float(at, "density", b.Density)
	}
	return out
}

func histogramFigure(h query.FrequencyTable) drawing {
	return measuredFigure(measuredFrequencies{h, ""})
}

// measuredFrequencies is a histogram of values in a unit that the question knows.
type measuredFrequencies struct {
	query.FrequencyTable
	unit string // UCUM code, empty for none
}

func measuredBlocks(h measuredFrequencies) []block { return histogramBlocks(h.FrequencyTable) }

func measuredRows(h measuredFrequencies) rows { return histogramRows(h.FrequencyTable) }

func measuredFigure(h measuredFrequencies) drawing {
	p := figure.Histogram{Title: "Histogram of " + h.Name, Value: h.Name}
	if h.unit != "" {
		p.Value += " (" + query.TimeUnit(h.unit).Name() + ")"
	}
	for _, b := range h.Bins {
		p.Bins = append(p.Bins, figure.Bin{Low: b.Low, High: b.High, Density: b.Density})
	}
	if len(p.Bins) == 0 {
		return nil
	}
	return p
}
