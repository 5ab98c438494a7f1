// Package results turns the sum over the nodes into the public answer.
//
// [Fill] pools the sum and writes the cells. Counts were
// rounded by each site before masking; the numbers of persons behind a mean
// are rounded here, so that no public number is finer than the policy allows.
package results

import (
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Fill pools sum, the words of as many sites as result.Answered names, into
// result's cells. It fails if no honest sites' words add up to sum.
func Fill(result *query.Result, a query.Analysis, sum []uint64) error {
	method, err := analysis.For(a)
	if err != nil {
		return err
	}
	sites := len(result.Answered)
	switch method := method.(type) {
	case analysis.Count:
		pooled, err := method.Pool(sum, sites)
		if err != nil {
			return fmt.Errorf("pool counts: %w", err)
		}
		for _, c := range pooled.Cells {
			result.Cells = append(result.Cells, query.Cell{Levels: c.Levels, N: c.N, SitesWithheld: c.WithheldBy})
		}
		result.Total = &query.Cell{Levels: []string{}, N: pooled.Total}
		result.WithheldCells = pooled.WithheldCells
		result.MaxRoundingError = result.Policy.RoundingError(sites)
	case analysis.Moments:
		pooled, err := method.Pool(sum, sites)
		if err != nil {
			return fmt.Errorf("pool moments: %w", err)
		}
		base := int64(result.Policy.Rounding)
		for _, c := range pooled.Cells {
			cell := summary(c.Summary, base)
			cell.Levels, cell.SitesWithheld = c.Levels, c.WithheldBy
			result.Cells = append(result.Cells, cell)
		}
		total := summary(pooled.Pooled, base)
		result.Total = &total
		result.WithheldCells = pooled.WithheldCells
		result.MaxRoundingError = result.Policy.RoundingError(1)
	}
	for i := range result.Cells {
		result.Cells[i].Levels = slices.Clip(append([]string{}, result.Cells[i].Levels...))
	}
	return nil
}

func summary(s analysis.Summary, base int64) query.Cell {
	n := s.N
	if base > 1 {
		n = (n + base/2) / base * base
	}
	return query.Cell{Levels: []string{}, N: n, Mean: s.Mean, SD: s.SD}
}
