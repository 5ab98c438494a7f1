package query

import (
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// leavesOutOneIn is of how many of the site's persons, by the latest value of each, a plausible range leaves
// one out at most. Who has an error of typing for a value is then as one without any. A narrower range is a
// cut of whoever asks, and the release gate hears who lies outside.
const leavesOutOneIn = 100

// spread counts whose values of a measurement, of those who permit the use, lie outside of a range. What there
// is of one person comes in a row, the latest last.
type spread struct {
	permission  Permission
	low, high   float64
	persons     int
	outside     int
	last        omop.PersonID
	lastOutside int // 1 if the last person's value so far is
}

func (s *spread) add(p omop.PersonID, v float64) {
	if !s.permission.Permits(p) {
		return
	}
	if s.persons > 0 && p == s.last {
		s.outside -= s.lastOutside
	} else {
		s.persons++
	}
	s.last, s.lastOutside = p, 0
	if v < s.low || v > s.high {
		s.lastOutside = 1
	}
	s.outside += s.lastOutside
}

// narrow reports whether the range is not merely what is plausible.
func (s *spread) narrow() bool { return leavesOutOneIn*s.outside > s.persons }

// outOfRange makes values outside of the range of a measurement missing ones, and returns of whom, by column.
func outOfRange(columns []query.Column, values [][]float64) [][]bool {
	outside := make([][]bool, len(columns))
	for i, c := range columns {
		outside[i] = make([]bool, len(values[i]))
		if c.From != query.FromMeasurement {
			continue
		}
		for k, v := range values[i] {
			if v < c.Low || v > c.High {
				values[i][k], outside[i][k] = math.NaN(), true
			}
		}
	}
	return outside
}

// rangesOf returns who lies within and outside of the ranges of a view's columns, of all persons and of
// those with each level of others, as its numbers add up to them. Who lacks another column of the view is in neither.
func rangesOf(columns []query.Column, frame *analysis.Frame, outside [][]bool, view []analysis.Column, persons []omop.PersonID) (list []release.Cut) {
	within, beyond := make([]bool, len(persons)), make([]bool, len(persons))
	var of query.Column
	for row := range persons {
		lacks := false
		for i, c := range columns {
			if !slices.ContainsFunc(view, func(v analysis.Column) bool { return v.Name == c.Name }) {
				continue
			}
			switch {
			case outside[i][row]:
				beyond[row], of = true, c
			case math.IsNaN(frame.Values(c.Name)[row]):
				lacks = true
			}
		}
		within[row], beyond[row] = !lacks && !beyond[row], !lacks && beyond[row]
	}
	if !slices.Contains(beyond, true) {
		return nil
	}
	for _, by := range margins(view) {
		for _, rows := range frame.Crossing(by) {
			r := release.Cut{Value: rangeOf + measureOfValues(of), Parts: make([][]omop.PersonID, 2), Range: of.Name}
			for _, row := range rows {
				switch {
				case within[row]:
					r.Parts[0] = append(r.Parts[0], persons[row])
				case beyond[row]:
					r.Parts[1] = append(r.Parts[1], persons[row])
				}
			}
			list = append(list, r)
		}
	}
	return list
}

// rangesOfTable returns who lies within and outside of the range of a table's variable, as [rangesOf] does,
// if the range is narrow for the values of all.
func rangesOfTable(subjects []subject, a query.Analysis, values map[omop.PersonID]float64, permission Permission) (list []release.Cut) {
	beyond := func(s subject) bool { _, has := values[s.ID]; return has && !s.hasValue }
	if !slices.ContainsFunc(subjects, beyond) {
		return nil
	}
	all := spread{permission: permission, low: a.Variable.Low, high: a.Variable.High}
	for p, v := range values {
		all.add(p, v)
	}
	if !all.narrow() {
		return nil
	}
	for _, margin := range marginsOfTable(len(a.By), -1) {
		for _, group := range grouped(subjects, a.By, margin) {
			r := release.Cut{Value: rangeOf + measureOf(a.Variable.Concept), Parts: make([][]omop.PersonID, 2), Range: "the variable"}
			for _, s := range group {
				switch {
				case s.hasValue:
					r.Parts[0] = append(r.Parts[0], s.ID)
				case beyond(s):
					r.Parts[1] = append(r.Parts[1], s.ID)
				}
			}
			list = append(list, r)
		}
	}
	return list
}
