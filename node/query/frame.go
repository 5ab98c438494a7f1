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
	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// frame makes the site's frame for a method in rounds: a row for each person of the cohort,
// in the order of the persons' numbers.
func (e *Engine) frame(ctx context.Context, a query.Analysis, entries map[omop.PersonID]entry, permission Permission) (release.Answer, error) {
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
			if values[i], err = e.column(ctx, tx, c, subjects, permission); err != nil {
				return err
			}
		}
		return e.fromDatasets(ctx, tx, a.Columns, subjects, values)
	})
	if err != nil {
		return release.Answer{}, fmt.Errorf("make frame: %w", err)
	}
	persons := make([]omop.PersonID, len(subjects))
	for i, s := range subjects {
		persons[i] = s.ID
	}
	return FrameAnswer(a, method, persons, values)
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

// withinHorizon ends everybody's watch with the grid of times, as the method does: who had the
// event by a horizon is a cell that another horizon's is compared with.
func withinHorizon(a query.Analysis, values [][]float64) error {
	text, grid := a.Watched()
	if grid == nil {
		return nil
	}
	f, err := formula.Parse(text)
	if err != nil || f.Response == nil || len(f.Response.Columns) != 2 {
		return err
	}
	at := func(name string) int {
		return slices.IndexFunc(a.Columns, func(c query.Column) bool { return c.Name == name })
	}
	stop, event := at(f.Response.Columns[0]), at(f.Response.Columns[1])
	for i, t := range values[stop] {
		if g := analysis.Grid(*grid); !math.IsNaN(t) && g.Outlasts(t) {
			values[stop][i] = max(g.End(), a.Columns[stop].Low)
			values[event][i] = min(values[event][i], 0) // a missing one stays so
		}
	}
	return nil
}

// column returns a column's value of each subject, NaN for none.
func (e *Engine) column(ctx context.Context, tx *sqldb.Tx, c query.Column, subjects []subject, permission Permission) ([]float64, error) {
	switch c.From {
	case query.FromMeasurement:
		return e.measurements(ctx, tx, c, subjects, permission)
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
// Whose value is out of range has none, see [Engine.values]; if the range is narrow, it stands there for
// [FrameAnswer] to see.
func (e *Engine) measurements(ctx context.Context, tx *sqldb.Tx, c query.Column, subjects []subject, permission Permission) ([]float64, error) {
	quantity, err := e.quantity(ctx, "column "+c.Name, c.Concepts[0], c.Unit)
	if err != nil {
		return nil, err
	}
	at := places(subjects)
	out, counts := make([]float64, len(subjects)), make([]int, len(subjects))
	all := spread{permission: permission, low: c.Low, high: c.High}
	for v, err := range e.cfg.Store.AllValues(ctx, tx, quantity) {
		if err != nil {
			return nil, err
		}
		all.add(v.Person, v.Number)
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
		if counts[i] == 0 || !all.narrow() && !(c.Low <= v && v <= c.High) {
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

// FrameAnswer makes a frame of the values of some persons, by column, and collects what else
// the gate has to know. A measurement outside of its range, which is narrow, counts as none.
func FrameAnswer(a query.Analysis, method analysis.Iteration, persons []omop.PersonID, values [][]float64) (release.Answer, error) {
	columns := a.Columns
	outside := outOfRange(columns, values)
	withoutWeight(a, values)
	if err := withinHorizon(a, values); err != nil {
		return release.Answer{}, err
	}
	frame, err := analysis.NewFrame(analysis.ColumnsOf(columns))
	if err != nil {
		return release.Answer{}, err
	}
	row := make([]float64, len(values))
	for i := range persons {
		for c := range values {
			row[c] = values[c][i]
		}
		if err := frame.Append(row); err != nil {
			return release.Answer{}, err
		}
	}
	whole := release.Frame{
		Values: frame, Power: method.Power(), Parameters: method.Parameters(),
		Times: slices.DeleteFunc(method.Times(), func(name string) bool { return !isTime(columns, name) }),
	}
	if whole.Varied, err = variedIn(method, frame); err != nil {
		return release.Answer{}, err
	}
	if slices.Contains(analysis.NoisedKinds(), a.Kind) {
		if whole.Noised, err = analysis.WithNoise(a, 0); err != nil {
			return release.Answer{}, err
		}
	}
	return judged(a, whole, frame, outside, method.Views(), persons)
}

// variedIn says in how many sets of complete rows covariates vary; see [analysis.Iteration].
func variedIn(method analysis.Iteration, frame *analysis.Frame) ([]analysis.Varied, error) {
	complete, _, err := frame.Complete(method.Columns())
	if err != nil {
		return nil, err
	}
	return method.Varied(complete)
}

// judged collects what the gate has to know besides the whole frame, by a frame with a row for
// each person: the same, or what says of them what the whole does. For each view and
// each combination of levels that a person without a missing value in it has: all persons
// with it, of whom the answer tells how many it leaves out, those without a missing value,
// and their values; who has a value outside of a narrow range, by column of that frame, nil without any; and who is told from most by a number of events or the like, as who is in a
// cohort would be.
func judged(a query.Analysis, whole release.Frame, frame *analysis.Frame, outside [][]bool, views [][]analysis.Column, persons []omop.PersonID) (release.Answer, error) {
	columns := a.Columns
	measure, err := measureOfColumns(columns)
	if err != nil {
		return release.Answer{}, err
	}
	for _, m := range a.Models() {
		products, err := analysis.NewProducts(m, analysis.ColumnsOf(columns))
		if err != nil {
			return release.Answer{}, err
		}
		whole.Products = append(whole.Products, products)
	}
	whole.Equations = equationsOf(a, whole.Parameters)
	out := release.Answer{
		Frame:   &whole,
		Used:    persons,
		Measure: measure,
		Sets:    make(map[string][][]omop.PersonID),
		Values:  make(map[string][][]release.Value),
		Columns: make(map[string]string),

		Averaged: make(map[string]bool),
	}
	if out.Choices, err = choices(a); err != nil {
		return release.Answer{}, err
	}
	var others [][]omop.PersonID
	var cells []cell
	for _, view := range views {
		complete, kept, err := frame.Complete(view)
		if err != nil {
			return release.Answer{}, err
		}
		out.Frame.Views = append(out.Frame.Views, complete)
		out.Cuts = append(out.Cuts, cutsOf(a, frame, view, kept, persons)...)
		if outside != nil {
			out.Cuts = append(out.Cuts, rangesOf(columns, frame, outside, view, persons)...)
		}
		isKept, inCell := make([]bool, len(persons)), make([]bool, len(persons))
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
			for _, odd := range frame.Odd(some, append(absent(columns, view), whole.Times...)) {
				others = append(others, identities(persons, odd.Rows))
			}
			out.Sets[membership] = append(out.Sets[membership], identities(persons, rows))
			out.Sets[measure] = append(out.Sets[measure], identities(persons, some))
			for _, row := range rows {
				inCell[row] = true
			}
		}
		var outside []omop.PersonID
		for row, p := range persons {
			if !inCell[row] {
				outside = append(outside, p)
			}
		}
		others = append(others, outside)
	}
	out.Sets[membership] = append(out.Sets[membership], others...)
	for _, c := range columns {
		if of := measureOfValues(c); of != "" {
			out.Columns[of] = c.Name
			sets, values := valuesIn(cells, frame, c, persons)
			out.Sets[of] = append(out.Sets[of], sets...)
			out.Values[of] = append(out.Values[of], values...)
			if additive(c) && !slices.Contains(out.Additive, of) {
				out.Additive = append(out.Additive, of)
			}
			if c.From == query.FromMeasurement {
				out.Averaged[of] = out.Averaged[of] || c.Take == query.TakeMean
			}
		}
	}
	return out, nil
}

// equationsOf is in how many sums of a method a value of one column is, times those of others: of a
// model with each term, of covariances with each column.
func equationsOf(a query.Analysis, parameters int) int {
	switch {
	case len(a.Models()) > 0:
		return parameters
	case a.Describe != nil:
		return len(a.Describe.Values)
	case a.PCA != nil:
		return len(a.PCA.Values)
	}
	return 1
}

// gridOfTimes is cut alike by all methods that read times from a grid.
const gridOfTimes = "grid of times"

// scored is cut alike by all methods with strata, pairs or weights of a propensity score.
const scored = string(query.Propensity)

// rangeOf begins what is cut by the range of a column's values, whatever the method.
const rangeOf = "range of "

var errRange = release.ErrChoice.With("a column stands there twice, with two plausible ranges; give both the same")

// ranged reports whether whoever asks chooses the range of a column's values: who lies outside
// has none, and is counted as left out.
func ranged(c query.Column) bool {
	return c.From == query.FromMeasurement || c.From == query.FromDataset && c.Kind == query.NumericValues
}

// choices returns what a question chose of how values are cut, by what is cut: two ways of it
// differ by those who lie between the cuts. A regression has none: levels are those that data
// have, and what a formula does with a number it does with everybody's.
func choices(a query.Analysis) (map[string]release.Choice, error) {
	out := make(map[string]release.Choice)
	add := func(about string, choice release.Choice, chosen any) (err error) {
		choice.Way, err = wayOf(chosen)
		out[about] = choice
		return err
	}
	if _, grid := a.Watched(); grid != nil {
		if err := add(gridOfTimes, release.Choice{}, grid.Width); err != nil {
			return nil, err
		}
	}
	searched := a.Quantiles != nil || a.Characterize != nil // a search divides the range
	for i, c := range analysis.ColumnsOf(a.Columns) {
		of := measureOfValues(a.Columns[i])
		if of == "" || !searched && !ranged(a.Columns[i]) {
			continue
		}
		about := rangeOf + of
		earlier, known := out[about]
		if err := add(about, release.Choice{Of: of}, []float64{c.Low, c.High}); err != nil {
			return nil, err
		}
		if known && out[about] != earlier {
			return nil, errRange
		}
	}
	kind := string(a.Kind)
	switch s := a.Specs; {
	case s.KaplanMeier != nil:
		return out, add(kind, release.Choice{}, []float64{s.KaplanMeier.Grid.Width, s.KaplanMeier.Restriction})
	case s.Histogram != nil:
		of := measureOfValues(columnOf(a, s.Histogram.Value))
		return out, add(kind+" "+of, release.Choice{Of: of}, s.Histogram.Breaks)
	case s.Predict != nil: // whom it is fitted to is decided by all columns' values, in their order
		if s.Predict.Train != "" {
			kind += " by a column"
		}
		return out, add(kind, release.Choice{}, []any{s.Predict.Formula, nameless(a.Columns), s.Predict.Share, s.Predict.Groups})
	case s.Propensity != nil:
		return out, add(scored, release.Choice{}, []any{scoreOf(a, s.Propensity.Treatment), s.Propensity.Truncate, s.Propensity.Strata, s.Propensity.Caliper})
	case s.Comparison != nil:
		return out, add(scored, release.Choice{}, []any{scoreOf(a, s.Comparison.Treatment), s.Comparison.Truncate, s.Comparison.Strata, s.Comparison.Caliper})
	case s.CaseSeries != nil:
		return out, add(kind, release.Choice{}, intervalsOf(*s.CaseSeries))
	case s.KMeans != nil: // between the borders of two divisions are few, and the centres tell the sums of their values
		measure, err := measureOfColumns(a.Columns)
		if err != nil {
			return nil, err
		}
		for _, c := range a.Columns {
			if err := add(kind+" "+measureOfValues(c), release.Choice{Follows: true}, []any{measure, s.KMeans.Clusters, s.KMeans.Steps}); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// wayOf names what was chosen.
func wayOf(chosen any) (string, error) {
	raw, err := canonical.Marshal(chosen)
	return message.Sum(raw).String(), err
}

// isTime reports whether a method may take a column for a time: a number of events or a
// measurement in its place would be summed without the rules for those.
func isTime(columns []query.Column, name string) bool {
	i := slices.IndexFunc(columns, func(c query.Column) bool { return c.Name == name })
	switch columns[i].From {
	case query.FromAge, query.FromCount, query.FromMeasurement:
		return false
	}
	return true
}

// absent returns the names of the columns that are not of a view.
func absent(columns []query.Column, view []analysis.Column) (names []string) {
	for _, c := range columns {
		if !slices.ContainsFunc(view, func(v analysis.Column) bool { return v.Name == c.Name }) {
			names = append(names, c.Name)
		}
	}
	return names
}

// label names a cell by the levels that one of its rows has.
func label(frame *analysis.Frame, view []analysis.Column, row int) []string {
	var levels []string
	for _, c := range view {
		switch v := frame.Values(c.Name)[row]; c.Kind {
		case analysis.Factor:
			levels = append(levels, c.Name+" = "+c.Levels[int(v)])
		case analysis.Logical:
			levels = append(levels, c.Name+" = "+[]string{"no", "yes"}[int(v)])
		}
	}
	return levels
}

// cell is a combination of levels in a view, with the rows of those who miss nothing in it.
type cell struct {
	view []analysis.Column
	rows []int
}

// valuesIn returns the persons whose values of a column are summed in each cell, and the
// values: nobody where the cell's view is without the column. Who has none of some events adds
// nothing to a sum.
func valuesIn(cells []cell, frame *analysis.Frame, column query.Column, persons []omop.PersonID) ([][]omop.PersonID, [][]release.Value) {
	sets, values := make([][]omop.PersonID, len(cells)), make([][]release.Value, len(cells))
	numbers := frame.Values(column.Name)
	for i, c := range cells {
		if !slices.ContainsFunc(c.view, func(v analysis.Column) bool { return v.Name == column.Name }) {
			continue
		}
		for _, row := range c.rows {
			if measureOfValues(column) == string(query.FromCount) && numbers[row] == 0 {
				continue
			}
			sets[i] = append(sets[i], persons[row])
			values[i] = append(values[i], release.Value{Person: persons[row], Number: numbers[row]})
		}
	}
	return sets, values
}

// additive reports whether a column's values are numbers of events or days, which those of other columns
// may add up to.
func additive(c query.Column) bool {
	return c.From == query.FromCount || c.From == query.FromFollowUp
}

// measureOfValues names what a column's values measure, whenever they were taken; "" for a
// column whose values are told by who is in a cell. Events of any concepts are one measure: of
// two lists, one may have a concept more, which few persons have. So are ages, as one person
// may be of another age in a cohort with another day of entry.
func measureOfValues(c query.Column) string {
	switch c.From {
	case query.FromMeasurement:
		return measureOf(c.Concepts[0])
	case query.FromDays: // which are counted
		return string(query.FromCount)
	case query.FromAge, query.FromCount, query.FromFollowUp:
		return string(c.From)
	case query.FromDataset:
		if c.Kind == query.NumericValues {
			return fmt.Sprintf("dataset %s %q", c.Dataset, c.DatasetColumn())
		}
	}
	return ""
}

func identities(persons []omop.PersonID, rows []int) []omop.PersonID {
	out := make([]omop.PersonID, len(rows))
	for i, row := range rows {
		out[i] = persons[row]
	}
	return out
}

// measureOfColumns names what a model's numbers measure: its columns, whatever they are
// called and in which order they come.
func measureOfColumns(list []query.Column) (string, error) {
	var columns []string
	for _, c := range nameless(list) {
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

// nameless are columns without the names by which a question calls them.
func nameless(columns []query.Column) []query.Column {
	columns = slices.Clone(columns)
	for i := range columns {
		columns[i].Column, columns[i].Name = columns[i].DatasetColumn(), ""
		columns[i].Concepts = slices.Compact(slices.Sorted(slices.Values(columns[i].Concepts)))
	}
	return columns
}

// scoreOf is what a propensity score is made of: its formula, and where the values of the
// columns come from that it names. Another score puts persons into other strata and pairs.
func scoreOf(a query.Analysis, treatment string) []any {
	f, _ := formula.Parse(treatment) // it was parsed before
	columns := slices.DeleteFunc(slices.Clone(a.Columns), func(c query.Column) bool { return !slices.Contains(f.Columns(), c.Name) })
	return []any{f.String(), nameless(columns)}
}
