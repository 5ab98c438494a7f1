package query

import (
	"slices"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// cutsOf returns how a method divides the complete rows of a view by a value: a histogram
// by its breaks; any other by groups of age, of all and of those with each level of other columns,
// as its numbers add up to them.
func cutsOf(a query.Analysis, frame *analysis.Frame, view []analysis.Column, kept []int, persons []omop.PersonID) (list []release.Cut) {
	if h := a.Histogram; h != nil {
		c, values := columnOf(a, h.Value), frame.Values(h.Value)
		parts := make([][]omop.PersonID, len(h.Breaks)+1)
		for _, row := range kept {
			at := analysis.Histogram{Breaks: h.Breaks}.Bin(values[row])
			parts[at] = append(parts[at], persons[row])
		}
		return []release.Cut{{Value: measureOfValues(c), Parts: parts}}
	}
	isKept := make([]bool, len(persons))
	for _, row := range kept {
		isKept[row] = true
	}
	for i, v := range view {
		if !slices.ContainsFunc(a.Columns, func(c query.Column) bool { return c.Name == v.Name && c.From == query.FromAgeGroup }) {
			continue
		}
		levels := frame.Values(v.Name)
		others := slices.Delete(slices.Clone(view), i, i+1)
		for _, by := range margins(others) {
			for _, rows := range frame.Crossing(by) {
				parts := make([][]omop.PersonID, len(v.Levels))
				for _, row := range rows {
					if isKept[row] {
						parts[int(levels[row])] = append(parts[int(levels[row])], persons[row])
					}
				}
				list = append(list, release.Cut{Value: string(query.FromAge), Parts: parts})
			}
		}
	}
	return list
}

// margins returns no columns, each one with levels alone, and all of them.
func margins(columns []analysis.Column) [][]analysis.Column {
	columns = slices.DeleteFunc(slices.Clone(columns), func(c analysis.Column) bool { return c.Kind == analysis.Numeric })
	list := [][]analysis.Column{nil}
	for _, c := range columns {
		list = append(list, []analysis.Column{c})
	}
	if len(columns) > 1 {
		list = append(list, columns)
	}
	return list
}

// cutsOfTable returns how a count by groups of age divides its persons, as [cutsOf] does.
func cutsOfTable(subjects []subject, by []query.Stratifier) (list []release.Cut) {
	age := slices.Index(by, query.ByAgeGroup)
	if age < 0 {
		return nil
	}
	strata := [][]int{nil} // by which the groups are divided
	var others []int
	for i := range by {
		if i != age {
			strata, others = append(strata, []int{i}), append(others, i)
		}
	}
	if len(others) > 1 {
		strata = append(strata, others)
	}
	for _, margin := range strata {
		groups := make(map[int]int) // to the cut
		for _, s := range subjects {
			key := 0
			for _, i := range margin {
				key = key*len(by[i].Levels()) + s.strata[i]
			}
			at, there := groups[key]
			if !there {
				at = len(list)
				groups[key] = at
				list = append(list, release.Cut{Value: string(query.FromAge), Parts: make([][]omop.PersonID, len(query.ByAgeGroup.Levels()))})
			}
			group := s.strata[age]
			list[at].Parts[group] = append(list[at].Parts[group], s.ID)
		}
	}
	return list
}

// columnOf returns a column of a question.
func columnOf(a query.Analysis, name string) query.Column {
	return a.Columns[slices.IndexFunc(a.Columns, func(c query.Column) bool { return c.Name == name })]
}
