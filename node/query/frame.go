package query

import (
	"context"
	"fmt"
	"math"

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
	method, err := analysis.InRounds(a)
	if err != nil {
		return release.Answer{}, err
	}
	var subjects []subject
	values := make([][]float64, len(a.Model.Columns))
	err = e.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if subjects, err = e.subjects(ctx, tx, entries, nil); err != nil {
			return err
		}
		for i, c := range a.Model.Columns {
			if values[i], err = e.column(ctx, tx, c, subjects); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return release.Answer{}, fmt.Errorf("make frame: %w", err)
	}
	frame, err := analysis.NewFrame(analysis.ColumnsOf(*a.Model))
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
	return frameAnswer(frame, method, subjects, *a.Model)
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

// frameAnswer collects what the gate has to know besides the frame: that the numbers of a
// method in rounds are about the persons without a missing value. Those behind the sums of
// a measurement are compared with those of other questions about it.
func frameAnswer(frame *analysis.Frame, method analysis.Iteration, subjects []subject, m query.Model) (release.Answer, error) {
	complete, kept, err := frame.Complete(method.Columns())
	if err != nil {
		return release.Answer{}, err
	}
	raw, err := canonical.Marshal(m.Columns)
	if err != nil {
		return release.Answer{}, err
	}
	out := release.Answer{
		Frame:   &release.Frame{Values: frame, Complete: complete, Parameters: method.Parameters()},
		Measure: "columns " + message.Sum(raw).String(),
	}
	for _, s := range subjects {
		out.Used = append(out.Used, s.ID)
	}
	persons := make([]omop.PersonID, len(kept))
	for i, row := range kept {
		persons[i] = subjects[row].ID
	}
	out.Sets = map[string][][]omop.PersonID{membership: {out.Used}, out.Measure: {persons}}
	for _, c := range m.Columns {
		if c.From == query.FromMeasurement {
			out.Sets[measureOf(c.Concepts[0])] = [][]omop.PersonID{persons}
		}
	}
	return out, nil
}
