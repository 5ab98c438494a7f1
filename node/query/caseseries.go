package query

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// history is what a case series takes of a person: days in rising order.
type history struct {
	subject
	events, exposures []omop.Date
}

// interval is a run of days, both ends included, in which no level changes.
type interval struct {
	from, to omop.Date
	events   int
	levels   []int // by exposure, age and season, as far as they are asked for
}

// caseSeries makes the site's frame for a case series: the intervals of each person of the
// cohort with an event in the observed days.
func (e *Engine) caseSeries(ctx context.Context, a query.Analysis, entries map[omop.PersonID]entry) (release.Answer, error) {
	list, err := e.histories(ctx, a, entries)
	if err != nil {
		return release.Answer{}, fmt.Errorf("make case series: %w", err)
	}
	return seriesAnswer(a, list)
}

// Life is what a case series without ages takes of a person: the first and the last day that is
// observed, and those of events and exposures, rising.
type Life struct {
	Person            omop.PersonID
	From, To          omop.Date
	Events, Exposures []omop.Date
}

// SeriesAnswer is [FrameAnswer] for a case series.
func SeriesAnswer(a query.Analysis, lives []Life) (release.Answer, error) {
	list := make([]history, len(lives))
	for i, l := range lives {
		list[i] = history{subject{Demographics: omop.Demographics{ID: l.Person}, entry: l.From, since: l.From, observed: l.To}, l.Events, l.Exposures}
	}
	return seriesAnswer(a, list)
}

// seriesAnswer makes the frame of some histories, and collects what else the gate has to know.
func seriesAnswer(a query.Analysis, list []history) (release.Answer, error) {
	method, err := analysis.InRounds(a, 0)
	if err != nil {
		return release.Answer{}, err
	}
	columns := analysis.FrameColumns(a)
	frame, err := analysis.NewFrame(columns)
	if err != nil {
		return release.Answer{}, err
	}
	summaries, views := judgedOf(a.CaseSeries.Events, columns[analysis.Levels:])
	persons, err := analysis.NewFrame(summaries)
	if err != nil {
		return release.Answer{}, err
	}
	var used []omop.PersonID
	var cases []omop.PersonID
	for _, h := range list {
		used = append(used, h.ID)
		intervals := h.intervals(a.CaseSeries)
		for _, in := range intervals {
			row := []float64{float64(in.events), float64(in.to - in.from + 1), float64(len(cases))}
			for _, level := range in.levels {
				row = append(row, float64(level))
			}
			if err := frame.Append(row); err != nil {
				return release.Answer{}, err
			}
		}
		if intervals == nil {
			continue
		}
		if err := persons.Append(summary(intervals, columns[analysis.Levels:])); err != nil {
			return release.Answer{}, err
		}
		cases = append(cases, h.ID)
	}
	varied, err := variedIn(method, frame)
	if err != nil {
		return release.Answer{}, err
	}
	whole := release.Frame{Values: frame, Power: method.Power(), Parameters: method.Parameters(), Varied: varied}
	out, err := judged(a, whole, persons, nil, views, cases)
	out.Used = used
	return out, err
}

// histories returns the days of the cohort's persons, in the order of their numbers.
func (e *Engine) histories(ctx context.Context, a query.Analysis, entries map[omop.PersonID]entry) ([]history, error) {
	var list []history
	err := e.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		subjects, err := e.subjects(ctx, tx, entries, nil)
		if err != nil {
			return err
		}
		list = make([]history, len(subjects))
		for i, s := range subjects {
			list[i].subject = s
		}
		at := places(subjects)
		for _, c := range a.Columns {
			for event, err := range e.cfg.Store.Occurrences(ctx, tx, omop.Event{Table: tables[c.Domain], Concepts: c.Concepts}) {
				if err != nil {
					return err
				}
				i, member := at[event.Person]
				if !member {
					continue
				}
				if c.Name == a.CaseSeries.Events {
					list[i].events = append(list[i].events, event.Date)
				} else {
					list[i].exposures = append(list[i].exposures, event.Date)
				}
			}
		}
		for i := range list { // several on a day are one
			list[i].events, list[i].exposures = slices.Compact(list[i].events), slices.Compact(list[i].exposures)
		}
		return nil
	})
	return list, err
}

// observed returns the first and the last day of the person that a case series looks at.
func (h history) observed(w *query.Window) (from, to omop.Date) {
	days := query.Window{From: -query.MaxWindow, To: query.MaxWindow}
	if w != nil {
		days = *w
	}
	return max(h.since, h.entry+omop.Date(days.From)), min(h.subject.observed, h.entry+omop.Date(days.To))
}

// intervals returns the person's observed days cut where a level changes, nil for who has no
// event in them.
func (h history) intervals(s *query.CaseSeriesSpec) []interval {
	from, to := h.observed(s.Window)
	var events []omop.Date
	for _, day := range h.events {
		if from <= day && day <= to {
			events = append(events, day)
		}
	}
	if len(events) == 0 {
		return nil
	}
	if s.First {
		events = events[:1]
	}
	var out []interval
	for _, day := range h.cuts(s, from, to) {
		levels := h.levels(s, day)
		if n := len(out); n > 0 && slices.Equal(out[n-1].levels, levels) {
			continue
		}
		if n := len(out); n > 0 {
			out[n-1].to = day - 1
		}
		out = append(out, interval{from: day, to: to, levels: levels})
	}
	for _, day := range events {
		i := sort.Search(len(out), func(i int) bool { return out[i].to >= day })
		out[i].events = min(out[i].events+1, query.MaxCount)
	}
	return out
}

// cuts returns the days, from the first observed one on, on which a level may change.
func (h history) cuts(s *query.CaseSeriesSpec, from, to omop.Date) []omop.Date {
	cuts := []omop.Date{from}
	for _, exposed := range h.exposures {
		for _, r := range s.Risks {
			cuts = append(cuts, exposed+omop.Date(r.From), exposed+omop.Date(r.To)+1)
		}
	}
	for _, age := range s.Ages {
		until := sort.Search(int(to-from)+1, func(i int) bool { return h.Age(from+omop.Date(i)) >= age })
		cuts = append(cuts, from+omop.Date(until))
	}
	if s.Seasons {
		year, month, _ := from.Time().Date()
		for i := month - (month-1)%quarter; ; i += quarter {
			day := sqldb.Day(year, i, 1)
			if day > to {
				break
			}
			cuts = append(cuts, day)
		}
	}
	slices.Sort(cuts)
	return slices.DeleteFunc(slices.Compact(cuts), func(day omop.Date) bool { return day < from || day > to })
}

// quarter is how many months have one season.
const quarter = 3

// levels returns the levels of a day.
func (h history) levels(s *query.CaseSeriesSpec, day omop.Date) []int {
	levels := []int{h.risk(s.Risks, day)}
	if len(s.Ages) > 0 {
		age := h.Age(day)
		levels = append(levels, sort.Search(len(s.Ages), func(i int) bool { return age < s.Ages[i] }))
	}
	if s.Seasons {
		levels = append(levels, int(day.Time().Month()-time.January)/quarter)
	}
	return levels
}

// risk returns the level of a day by exposure: by the latest one that has a period there.
func (h history) risk(risks []query.RiskPeriod, day omop.Date) int {
	first, last := omop.Date(risks[0].From), omop.Date(risks[len(risks)-1].To)
	begun := sort.Search(len(h.exposures), func(i int) bool { return h.exposures[i]+first > day })
	for k := begun - 1; k >= 0 && day <= h.exposures[k]+last; k-- {
		days := int(day - h.exposures[k])
		if i := slices.IndexFunc(risks, func(r query.RiskPeriod) bool { return r.From <= days && days <= r.To }); i >= 0 {
			return 1 + i
		}
	}
	return 0
}

// judgedOf declares the frame by which the gate judges a case series, a row a person: how many
// events they have and, of each level, whether they were observed and whether they had an event
// in it. Its views are the first column, and both of each level.
func judgedOf(events string, factors []analysis.Column) (columns []analysis.Column, views [][]analysis.Column) {
	columns = []analysis.Column{{Name: events, Kind: analysis.Numeric, High: query.MaxCount}}
	views = [][]analysis.Column{columns[:1:1]}
	for _, f := range factors {
		for level := range f.Levels {
			of := []analysis.Column{
				{Name: fmt.Sprintf("%s %d observed", f.Name, level), Kind: analysis.Logical},
				{Name: fmt.Sprintf("%s %d event", f.Name, level), Kind: analysis.Logical},
			}
			columns, views = append(columns, of...), append(views, of)
		}
	}
	return columns, views
}

// summary is a person's row of that frame.
func summary(intervals []interval, factors []analysis.Column) []float64 {
	total := 0
	var row []float64
	for _, in := range intervals {
		total += in.events
	}
	row = append(row, float64(total))
	for k, f := range factors {
		for level := range f.Levels {
			observed, event := 0.0, 0.0
			for _, in := range intervals {
				if in.levels[k] != level {
					continue
				}
				observed = 1
				if in.events > 0 {
					event = 1
				}
			}
			row = append(row, observed, event)
		}
	}
	return row
}

// intervalsOf is what of a case series says how days are cut, whatever names stand in it. Who is
// in a period with and without its last day may be the same persons, and the events not.
func intervalsOf(s query.CaseSeriesSpec) query.CaseSeriesSpec {
	s.Events, s.Exposures, s.Risks = "", "", slices.Clone(s.Risks)
	for i := range s.Risks {
		s.Risks[i].Name = ""
	}
	return s
}
