package approval

import (
	"fmt"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Cell is one cell of what would leave the site, for the site's own people. Of a method in
// rounds it is a set of columns whose values are summed together.
type Cell struct {
	Levels   []string // in the order of Request.Axes
	N        int64    // persons, as the release gate lets them out; exactly, of a method in rounds
	Withheld bool     // kept back by the release gate
	Mean, SD *float64 // of moments, when N allows them

	// Of a method in rounds Together names the columns that are summed together, over the
	// persons who have a value of each. Omitted counts those who do not. Where the policy
	// asks for bands, Size is that of N, and N and Omitted are 0.
	Together []string
	Omitted  int64
	Size     Band
}

// Cells reads the words that one site released for an analysis, before they are masked. Of a
// method in rounds, whose sums are not known yet, it is the persons whom they are over, in
// bands if that is asked for. Where the limits ask for noise it is in the words already.
func Cells(r query.Request, words []uint64, bands, noise bool) ([]Cell, error) {
	a := r.Analysis
	switch {
	case a.Kind.InRounds() && noise:
		return blurred(a, words, bands)
	case a.Kind.InRounds():
		return together(a, words, bands)
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
		method.Noise = noise
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

func names(columns []analysis.Column) []string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.Name
	}
	return list
}

// blurred returns the columns of a vector with noise, and the persons it counts.
func blurred(a query.Analysis, words []uint64, bands bool) ([]Cell, error) {
	method, err := analysis.WithNoise(a, 0)
	if err != nil {
		return nil, err
	}
	n, err := method.Counted(words)
	if err != nil {
		return nil, fmt.Errorf("show %s: %w", a.Kind, err)
	}
	cell := Cell{Together: names(method.Columns())}
	if bands {
		cell.Size = BandOf(int(n))
	} else {
		cell.N = n
	}
	return []Cell{cell}, nil
}

func together(a query.Analysis, words []uint64, bands bool) ([]Cell, error) {
	columns := analysis.FrameColumns(a)
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
		cell := Cell{Together: names(view)}
		if bands {
			cell.Size = BandOf(method.Persons(complete))
		} else {
			cell.N = int64(method.Persons(complete))
			cell.Omitted = int64(method.Persons(frame)) - cell.N
		}
		cells = append(cells, cell)
	}
	return cells, nil
}
