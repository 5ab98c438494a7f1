package query

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// frame makes the site's frame for a method in rounds: a row for each person of the cohort,
// in the order of the persons' numbers.
func (e *Engine) frame(ctx context.Context, a query.Analysis, entries map[omop.PersonID]omop.Date) (release.Answer, error) {
	method, err := analysis.InRounds(a, 0) // what it reads does not depend on limits
	if err != nil {
		return release.Answer{}, err
	}
	var subjects []subject
	values := make([][]float64, len(a.Columns))
	err = e.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if subjects, err = e.subjects(ctx, tx, entries, nil); err != nil {
			return err
		}
		for i, c := range a.Columns {
			if values[i], err = e.column(ctx, tx, c, subjects); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return release.Answer{}, fmt.Errorf("make frame: %w", err)
	}
	withoutWeight(a, values)
	frame, err := analysis.NewFrame(analysis.ColumnsOf(a.Columns))
	if err != nil {
		return release.Answer{}, err
	}
	row := make([]float64, len(values))
	for i := range subjects {
		for c := range values {
			row[c] = values[c][i]
		}
		if err := frame.Append(row); err != nil {
			return release.Answer{}, err
		}
	}
	return frameAnswer(frame, method, subjects, a.Columns)
}

// withoutWeight makes weights of 0 missing values: R leaves such rows out of the fit, so
// that the persons of the model would be fewer than those the gate sees.
func withoutWeight(a query.Analysis, values [][]float64) {
	for i, c := range a.Columns {
		if a.GLM == nil || c.Name != a.GLM.Weights {
			continue
		}
		for k, v := range values[i] {
			if !(v > 0) {
				values[i][k] = math.NaN()
			}
		}
	}
}

// column returns a column's value of each subject, NaN for none.
func (e *Engine) column(ctx context.Context, tx *sqldb.Tx, c query.Column, subjects []subject) ([]float64, error) {
	switch c.From {
	case query.FromMeasurement:
		return e.measurements(ctx, tx, c, subjects)
	case query.FromEvent:
		return e.events(ctx, tx, c, subjects)
	}
	out := make([]float64, len(subjects))
	sex, race := query.BySex.Levels(), query.ByRace.Levels()
	for i, s := range subjects {
		switch c.From {
		case query.FromAge:
			out[i] = float64(min(max(s.Age(s.entry), 0), query.MaxAge)) // an event dated before birth counts as at birth
		case query.FromSex:
			out[i] = float64(level(query.BySex, sex, s.Demographics, s.entry))
		case query.FromRace:
			out[i] = float64(level(query.ByRace, race, s.Demographics, s.entry))
		default:
			return nil, fmt.Errorf("column %s: unknown origin", c.Name)
		}
	}
	return out, nil
}

// measurements returns the value of each subject that c takes of those in its window.
// Whose value is out of range has none; see [Engine.values].
func (e *Engine) measurements(ctx context.Context, tx *sqldb.Tx, c query.Column, subjects []subject) ([]float64, error) {
	unit, err := e.cfg.Units.UnitConcept(ctx, c.Unit)
	if err != nil {
		return nil, err
	}
	if unit == 0 {
		return nil, ErrUnit
	}
	at := places(subjects)
	out, counts := make([]float64, len(subjects)), make([]int, len(subjects))
	for v, err := range e.cfg.Store.AllValues(ctx, tx, omop.Quantity{Concept: c.Concepts[0], Units: []int64{unit}}) {
		if err != nil {
			return nil, err
		}
		i, member := at[v.Person]
		if !member || !inWindow(c.Window, subjects[i].entry, v.Date) {
			continue
		}
		counts[i]++
		switch {
		case c.Take == query.TakeMean:
			out[i] += (v.Number - out[i]) / float64(counts[i])
		case c.Take == query.TakeLast || counts[i] == 1:
			out[i] = v.Number
		}
	}
	for i, v := range out {
		if counts[i] == 0 || !(c.Low <= v && v <= c.High) {
			out[i] = math.NaN()
		}
	}
	return out, nil
}

// events returns 1 for each subject with an event in the window, else 0.
func (e *Engine) events(ctx context.Context, tx *sqldb.Tx, c query.Column, subjects []subject) ([]float64, error) {
	at := places(subjects)
	out := make([]float64, len(subjects))
	for event, err := range e.cfg.Store.Occurrences(ctx, tx, omop.Event{Table: tables[c.Domain], Concepts: c.Concepts}) {
		if err != nil {
			return nil, err
		}
		if i, member := at[event.Person]; member && inWindow(c.Window, subjects[i].entry, event.Date) {
			out[i] = 1
		}
	}
	return out, nil
}

func places(subjects []subject) map[omop.PersonID]int {
	at := make(map[omop.PersonID]int, len(subjects))
	for i, s := range subjects {
		at[s.ID] = i
	}
	return at
}

func inWindow(w *query.Window, entry, day omop.Date) bool {
	if w == nil {
		return true
	}
	days := int(day - entry)
	return w.From <= days && days <= w.To
}

// frameAnswer collects what the gate has to know besides the frame: for each combination of
// levels that a person without a missing value has, all persons with it, of whom the model
// tells how many it leaves out, those without a missing value, and the values of measurements.
func frameAnswer(frame *analysis.Frame, method analysis.Iteration, subjects []subject, columns []query.Column) (release.Answer, error) {
	complete, kept, err := frame.Complete(method.Columns())
	if err != nil {
		return release.Answer{}, err
	}
	measure, err := measureOfColumns(columns)
	if err != nil {
		return release.Answer{}, err
	}
	out := release.Answer{
		Frame:   &release.Frame{Values: frame, Complete: complete, Parameters: method.Parameters()},
		Measure: measure,
		Sets:    make(map[string][][]omop.PersonID),
		Values:  make(map[string][][]release.Value),
	}
	for _, s := range subjects {
		out.Used = append(out.Used, s.ID)
	}
	isKept, inCell := make([]bool, len(subjects)), make([]bool, len(subjects))
	for _, row := range kept {
		isKept[row] = true
	}
	var cells [][]int // rows without a missing value
	for _, rows := range frame.Crossing(method.Columns()) {
		some := slices.DeleteFunc(slices.Clone(rows), func(row int) bool { return !isKept[row] })
		if len(some) == 0 {
			continue
		}
		cells = append(cells, some)
		out.Sets[membership] = append(out.Sets[membership], identities(subjects, rows))
		for _, row := range rows {
			inCell[row] = true
		}
	}
	var others []omop.PersonID
	for row, s := range subjects {
		if !inCell[row] {
			others = append(others, s.ID)
		}
	}
	out.Sets[membership] = append(out.Sets[membership], others)
	for _, rows := range cells {
		out.Sets[measure] = append(out.Sets[measure], identities(subjects, rows))
	}
	for _, c := range columns {
		if c.From != query.FromMeasurement {
			continue
		}
		of := measureOf(c.Concepts[0])
		out.Sets[of] = out.Sets[measure]
		numbers := frame.Values(c.Name)
		for _, rows := range cells {
			values := make([]release.Value, len(rows))
			for i, row := range rows {
				values[i] = release.Value{Person: subjects[row].ID, Number: numbers[row]}
			}
			out.Values[of] = append(out.Values[of], values)
		}
	}
	return out, nil
}

func identities(subjects []subject, rows []int) []omop.PersonID {
	persons := make([]omop.PersonID, len(rows))
	for i, row := range rows {
		persons[i] = subjects[row].ID
	}
	return persons
}

// measureOfColumns names what a model's numbers measure: its columns, whatever they are
// called and in which order they come.
func measureOfColumns(list []query.Column) (string, error) {
	var columns []string
	for _, c := range list {
		c.Name = ""
		c.Concepts = slices.Compact(slices.Sorted(slices.Values(c.Concepts)))
		raw, err := canonical.Marshal(c)
		if err != nil {
			return "", err
		}
		columns = append(columns, string(raw))
	}
	slices.Sort(columns)
	raw, err := canonical.Marshal(slices.Compact(columns))
	if err != nil {
		return "", err
	}
	return "columns " + message.Sum(raw).String(), nil
}
