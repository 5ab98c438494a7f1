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
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// frame makes the site's frame for a method in rounds: a row for each person of the cohort,
// in the order of the persons' numbers.
func (e *Engine) frame(ctx context.Context, a query.Analysis, entries map[omop.PersonID]entry) (release.Answer, error) {
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
			if c.From == query.FromDataset {
				continue
			}
			if values[i], err = e.column(ctx, tx, c, subjects); err != nil {
				return err
			}
		}
		return e.fromDatasets(ctx, tx, a.Columns, subjects, values)
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
	answer, err := frameAnswer(frame, method, subjects, a.Columns)
	if err == nil && slices.Contains(analysis.NoisedKinds(), a.Kind) {
		answer.Frame.Noised, err = analysis.WithNoise(a, 0)
	}
	return answer, err
}

// withoutWeight makes weights of 0 missing values: R leaves such rows out of the fit, so
// that the persons of the model would be fewer than those the gate sees.
func withoutWeight(a query.Analysis, values [][]float64) {
	for i, c := range a.Columns {
		if c.Name != a.Weights() {
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
	case query.FromEvent, query.FromCount:
		return e.events(ctx, tx, c, subjects)
	case query.FromFollowUp, query.FromOutcome:
		return e.followUp(ctx, tx, c, subjects)
	}
	out := make([]float64, len(subjects))
	groups, sex, race := query.ByAgeGroup.Levels(), query.BySex.Levels(), query.ByRace.Levels()
	for i, s := range subjects {
		switch c.From {
		case query.FromAge:
			out[i] = float64(min(max(s.Age(s.entry), 0), query.MaxAge)) // an event dated before birth counts as at birth
		case query.FromAgeGroup:
			out[i] = float64(level(query.ByAgeGroup, groups, s.Demographics, s.entry))
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

// events returns how many events in the window each subject has, up to the most that count,
// which is 1 where the question is whether there is one.
func (e *Engine) events(ctx context.Context, tx *sqldb.Tx, c query.Column, subjects []subject) ([]float64, error) {
	at := places(subjects)
	out, most := make([]float64, len(subjects)), max(c.High, 1)
	for event, err := range e.cfg.Store.Occurrences(ctx, tx, omop.Event{Table: tables[c.Domain], Concepts: c.Concepts}) {
		if err != nil {
			return nil, err
		}
		if i, member := at[event.Person]; member && inWindow(c.Window, subjects[i].entry, event.Date) {
			out[i] = min(out[i]+1, most)
		}
	}
	return out, nil
}

// followUp returns the days of each subject's follow-up, or 1 for whom it ended with the event.
func (e *Engine) followUp(ctx context.Context, tx *sqldb.Tx, c query.Column, subjects []subject) ([]float64, error) {
	first, err := e.firstEvents(ctx, tx, c, subjects)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(subjects))
	for i, s := range subjects {
		end, outcome := min(s.observed, s.entry+omop.Date(c.Window.To)), 0.0
		if first[i] != nil && *first[i] <= end {
			end, outcome = *first[i], 1
		}
		out[i] = outcome
		if c.From == query.FromFollowUp {
			out[i] = float64(end - s.entry)
		}
	}
	return out, nil
}

// firstEvents returns the day of each subject's first event in the window, nil for none.
func (e *Engine) firstEvents(ctx context.Context, tx *sqldb.Tx, c query.Column, subjects []subject) ([]*omop.Date, error) {
	first := make([]*omop.Date, len(subjects))
	if c.Domain == cohort.Death {
		for i, s := range subjects {
			if s.Death != nil && inWindow(c.Window, s.entry, *s.Death) {
				first[i] = s.Death
			}
		}
		return first, nil
	}
	at := places(subjects)
	for event, err := range e.cfg.Store.Occurrences(ctx, tx, omop.Event{Table: tables[c.Domain], Concepts: c.Concepts}) {
		if err != nil {
			return nil, err
		}
		if i, member := at[event.Person]; member && first[i] == nil && inWindow(c.Window, subjects[i].entry, event.Date) {
			first[i] = &event.Date
		}
	}
	return first, nil
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

// frameAnswer collects what the gate has to know besides the frame. For each view of the
// method and each combination of levels that a person without a missing value in it has:
// all persons with it, of whom the answer tells how many it leaves out, those without a
// missing value, and their values.
func frameAnswer(frame *analysis.Frame, method analysis.Iteration, subjects []subject, columns []query.Column) (release.Answer, error) {
	measure, err := measureOfColumns(columns)
	if err != nil {
		return release.Answer{}, err
	}
	out := release.Answer{
		Frame:   &release.Frame{Values: frame, Parameters: method.Parameters(), Times: method.Times()},
		Measure: measure,
		Sets:    make(map[string][][]omop.PersonID),
		Values:  make(map[string][][]release.Value),
		Columns: make(map[string]string),
	}
	for _, s := range subjects {
		out.Used = append(out.Used, s.ID)
	}
	var others [][]omop.PersonID
	var cells []cell
	for _, view := range method.Views() {
		complete, kept, err := frame.Complete(view)
		if err != nil {
			return release.Answer{}, err
		}
		out.Frame.Views = append(out.Frame.Views, complete)
		isKept, inCell := make([]bool, len(subjects)), make([]bool, len(subjects))
		for _, row := range kept {
			isKept[row] = true
		}
		for _, rows := range frame.Crossing(view) {
			some := slices.DeleteFunc(slices.Clone(rows), func(row int) bool { return !isKept[row] })
			if len(some) == 0 {
				continue
			}
			cells = append(cells, cell{view, some})
			out.Labels = append(out.Labels, label(frame, view, some[0]))
			out.Sets[membership] = append(out.Sets[membership], identities(subjects, rows))
			out.Sets[measure] = append(out.Sets[measure], identities(subjects, some))
			for _, row := range rows {
				inCell[row] = true
			}
		}
		var outside []omop.PersonID
		for row, s := range subjects {
			if !inCell[row] {
				outside = append(outside, s.ID)
			}
		}
		others = append(others, outside)
	}
	out.Sets[membership] = append(out.Sets[membership], others...)
	for _, c := range columns {
		if of := measureOfValues(c); of != "" {
			out.Columns[of] = c.Name
			sets, values := valuesIn(cells, frame, c.Name, subjects)
			out.Sets[of] = append(out.Sets[of], sets...)
			out.Values[of] = append(out.Values[of], values...)
		}
	}
	return out, nil
}

// label names a cell by the levels that one of its rows has.
func label(frame *analysis.Frame, view []analysis.Column, row int) string {
	text := ""
	for _, c := range view {
		switch v := frame.Values(c.Name)[row]; c.Kind {
		case analysis.Factor:
			text = joined(text, c.Name+" = "+c.Levels[int(v)])
		case analysis.Logical:
			text = joined(text, c.Name+" = "+[]string{"no", "yes"}[int(v)])
		}
	}
	return text
}

// cell is a combination of levels in a view, with the rows of those who miss nothing in it.
type cell struct {
	view []analysis.Column
	rows []int
}

// valuesIn returns the persons whose values of a column are summed in each cell, and the
// values: nobody where the cell's view is without the column.
func valuesIn(cells []cell, frame *analysis.Frame, name string, subjects []subject) ([][]omop.PersonID, [][]release.Value) {
	sets, values := make([][]omop.PersonID, len(cells)), make([][]release.Value, len(cells))
	numbers := frame.Values(name)
	for i, c := range cells {
		if !slices.ContainsFunc(c.view, func(v analysis.Column) bool { return v.Name == name }) {
			continue
		}
		sets[i] = identities(subjects, c.rows)
		for _, row := range c.rows {
			values[i] = append(values[i], release.Value{Person: subjects[row].ID, Number: numbers[row]})
		}
	}
	return sets, values
}

// measureOfValues names what a column's values measure, whenever they were taken; "" for a
// column whose values are told by who is in a cell.
func measureOfValues(c query.Column) string {
	switch c.From {
	case query.FromAge:
		return string(query.FromAge)
	case query.FromMeasurement:
		return measureOf(c.Concepts[0])
	case query.FromCount, query.FromFollowUp:
		return fmt.Sprintf("%s %s %v", c.From, c.Domain, slices.Compact(slices.Sorted(slices.Values(c.Concepts))))
	case query.FromDataset:
		if c.Kind == query.NumericValues {
			return fmt.Sprintf("dataset %s %q", c.Dataset, c.DatasetColumn())
		}
	}
	return ""
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
		c.Column, c.Name = c.DatasetColumn(), ""
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
