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
	for _, margin := range marginsOfTable(len(by), age) {
		for _, some := range grouped(subjects, by, margin) {
			parts := make([][]omop.PersonID, len(query.ByAgeGroup.Levels()))
			for _, s := range some {
				parts[s.strata[age]] = append(parts[s.strata[age]], s.ID)
			}
			list = append(list, release.Cut{Value: string(query.FromAge), Parts: parts})
		}
	}
	return list
}

// marginsOfTable returns no stratifiers, each one alone, and all of them, but for one.
func marginsOfTable(stratifiers, but int) [][]int {
	list := [][]int{nil}
	var all []int
	for i := range stratifiers {
		if i != but {
			list, all = append(list, []int{i}), append(all, i)
		}
	}
	if len(all) > 1 {
		list = append(list, all)
	}
	return list
}

// grouped returns those of each combination of levels of some stratifiers that somebody has, in the order
// in which they first come.
func grouped(subjects []subject, by []query.Stratifier, margin []int) (groups [][]subject) {
	at := make(map[int]int)
	for _, s := range subjects {
		key := 0
		for _, i := range margin {
			key = key*len(by[i].Levels()) + s.strata[i]
		}
		group, there := at[key]
		if !there {
			group = len(groups)
			at[key], groups = group, append(groups, nil)
		}
		groups[group] = append(groups[group], s)
	}
	return groups
}

// columnOf returns a column of a question.
func columnOf(a query.Analysis, name string) query.Column {
	return a.Columns[slices.IndexFunc(a.Columns, func(c query.Column) bool { return c.Name == name })]
}
