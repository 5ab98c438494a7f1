// Package results turns the sum over the nodes into the public answer.
//
// [Fill] pools the sum and writes the cells. Counts were rounded by each site
// before masking. The numbers of persons behind a mean come exact and are
// rounded here for show: the hub knows them, and who compares the means of
// cells with that of all can reckon them.
package results

import (
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Fill pools sum, the words of as many sites as result.Answered names, into
// result's cells. It fails if no honest sites' words add up to sum.
func Fill(result *query.Result, r query.Request, sum []uint64) error {
	method, err := analysis.For(r)
	if err != nil {
		return err
	}
	axes, err := r.Axes()
	if err != nil {
		return err
	}
	cells := 1
	for _, axis := range axes {
		cells *= len(axis.Levels)
	}
	sites := len(result.Answered)
	sum = slices.Clone(sum)
	withheldBy, suppressed, err := analysis.Suppress(method, cells, sum, sites, result.Policy.MinSites)
	if err != nil {
		return err
	}
	switch method := method.(type) {
	case analysis.Count:
		pooled, err := method.Pool(sum, sites)
		if err != nil {
			return fmt.Errorf("pool counts: %w", err)
		}
		for _, c := range pooled.Cells {
			result.Cells = append(result.Cells, query.Cell{Levels: c.Levels, N: c.N})
		}
		result.Total = &query.Cell{Levels: []string{}, N: pooled.Total}
		result.MaxRoundingError = result.Policy.RoundingError(sites)
		result.MaxNoiseSD = result.Policy.NoiseSD(sites)
	case analysis.Attrition:
		pooled, err := method.Pool(sum, sites)
		if err != nil {
			return fmt.Errorf("pool attrition: %w", err)
		}
		for _, c := range pooled.Steps {
			result.Cells = append(result.Cells, query.Cell{Levels: c.Levels, N: c.N})
		}
		result.MaxRoundingError = result.Policy.RoundingError(sites)
		result.MaxNoiseSD = result.Policy.NoiseSD(sites)
	case analysis.Moments:
		method.Noise = result.Policy.Noise != ""
		pooled, err := method.Pool(sum, sites)
		if err != nil {
			return fmt.Errorf("pool moments: %w", err)
		}
		base := int64(result.Policy.Rounding)
		for _, c := range pooled.Cells {
			cell := summary(c.Summary, base)
			cell.Levels = c.Levels
			if method.Noise {
				cell.MeanNoiseSD, cell.SDNoiseSD = method.NoiseSD(c.Summary, result.Policy.NoiseSD(sites))
			}
			result.Cells = append(result.Cells, cell)
		}
		total := summary(pooled.Pooled, base)
		if method.Noise {
			total.MeanNoiseSD, total.SDNoiseSD = method.NoiseSD(pooled.Pooled, result.Policy.NoiseSD(sites)*math.Sqrt(float64(len(pooled.Cells))))
		}
		result.Total = &total
		result.MaxRoundingError = result.Policy.RoundingError(1)
		result.MaxNoiseSD = result.Policy.NoiseSD(sites)
	}
	for i := range result.Cells {
		c := &result.Cells[i]
		c.SitesWithheld, c.Withheld = withheldBy[i], suppressed[i]
		if c.Levels == nil {
			c.Levels = []string{}
		}
		if c.Withheld {
			result.WithheldCells++
		}
	}
	return nil
}

// FillModel puts what a method in rounds came to into the result. Its numbers of persons
// are exact: they are over all sites, and the release gates saw to it that no other sum is
// about nearly the same persons.
func FillModel(result *query.Result, outcome any) error {
	var err error
	result.Outcome, err = query.OutcomeOf(outcome)
	return err
}

func summary(s analysis.Summary, base int64) query.Cell {
	n := s.N
	if base > 1 {
		n = (n + base/2) / base * base
	}
	return query.Cell{Levels: []string{}, N: n, Mean: s.Mean, SD: s.SD}
}
