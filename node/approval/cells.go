package approval

import (
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Cell is one cell of what would leave the site, for the site's own people.
type Cell struct {
	Levels   []string // in the order of Request.Axes
	N        int64    // persons, as the release gate lets them out
	Withheld bool     // kept back by the release gate
	Mean, SD *float64 // of moments, when N allows them
}

// Cells reads the words that one site released for an analysis, before they are masked. Of a
// method in rounds, whose sums are not known yet, it is the persons whom they are over.
func Cells(r query.Request, words []uint64) ([]Cell, error) {
	a := r.Analysis
	if a.Kind.InRounds() {
		return rows(a, words)
	}
	method, err := analysis.For(r)
	if err != nil {
		return nil, err
	}
	var cells []Cell
	switch method := method.(type) {
	case analysis.Count:
		own, err := method.Pool(words, 1)
		if err != nil {
			return nil, fmt.Errorf("show counts: %w", err)
		}
		for _, c := range own.Cells {
			cells = append(cells, Cell{Levels: c.Levels, N: c.N, Withheld: c.WithheldBy > 0})
		}
	case analysis.Attrition:
		own, err := method.Pool(words, 1)
		if err != nil {
			return nil, fmt.Errorf("show attrition: %w", err)
		}
		for _, c := range own.Steps {
			cells = append(cells, Cell{Levels: c.Levels, N: c.N, Withheld: c.WithheldBy > 0})
		}
	case analysis.Moments:
		own, err := method.Pool(words, 1)
		if err != nil {
			return nil, fmt.Errorf("show moments: %w", err)
		}
		for _, c := range own.Cells {
			cells = append(cells, Cell{Levels: c.Levels, N: c.N, Withheld: c.WithheldBy > 0, Mean: c.Mean, SD: c.SD})
		}
	default:
		return nil, fmt.Errorf("show %s: no way to show what would leave", a.Kind)
	}
	return cells, nil
}

func names(columns []analysis.Column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.Name
	}
	return strings.Join(list, ", ")
}

func rows(a query.Analysis, words []uint64) ([]Cell, error) {
	columns := analysis.ColumnsOf(a.Columns)
	frame, err := analysis.FrameOf(columns, words)
	if err != nil {
		return nil, fmt.Errorf("show %s: %w", a.Kind, err)
	}
	method, err := analysis.InRounds(a, 0)
	if err != nil {
		return nil, err
	}
	var cells []Cell
	for _, view := range method.Views() {
		complete, _, err := frame.Complete(view)
		if err != nil {
			return nil, fmt.Errorf("show %s: %w", a.Kind, err)
		}
		cells = append(cells, Cell{Levels: []string{"persons in the sums over " + names(view)}, N: int64(complete.Len())})
	}
	return cells, nil
}
