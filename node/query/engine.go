// Package query evaluates a question over one site's OMOP tables.
//
// [Engine.Evaluate] finds the cohort, keeps only persons who permit the use,
// and computes the site's half of the analysis. What it returns has not passed
// the release gate: it is an answer for node/release and for nobody else.
package query

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/eventindex"
	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Permission says whose records may be used.
type Permission interface {
	// Permits reports whether the person's record may be used for the question.
	Permits(p omop.PersonID) bool
}

// Units knows the site's vocabulary of units.
type Units interface {
	// UnitConcept returns the standard concept of a UCUM code, 0 for none.
	UnitConcept(ctx context.Context, ucum string) (int64, error)
}

// Vocabulary is the site's, which may be replaced at any time.
type Vocabulary interface {
	events.Vocabulary

	// Version names what is loaded. Different content never has the same name.
	Version(ctx context.Context) (string, error)
}

// ErrLoading says that the vocabulary was replaced again and again while a cohort was
// looked for: ask again once it is loaded.
var ErrLoading = problem.New(problem.Unavailable, "the site's vocabulary is being loaded")

// attempts is how often a cohort is looked for while the vocabulary is replaced.
const attempts = 3

// ErrUnit refuses a unit that the site's vocabulary does not have. Its detail names the field.
// It says nothing of records: a vocabulary is the same whoever is in them.
var ErrUnit = problem.Refusal("query.unit", "the site's vocabulary does not have the variable's unit")

// Config configures an [Engine]. All fields are required.
type Config struct {
	DB    *sqldb.DB
	Store *omop.Store

	// Index finds the cohorts.
	Index *eventindex.Index

	// Vocabulary resolves their concept sets.
	Vocabulary Vocabulary

	Units Units

	// Datasets are the site's.
	Datasets *dataset.Store
}

// Engine evaluates questions. It is safe for concurrent use.
type Engine struct {
	cfg    Config
	latest *latest
}

// NewEngine returns an Engine over the site's tables and their index.
func NewEngine(cfg Config) *Engine { return &Engine{cfg, newLatest()} }

// entry is when a person enters the cohort, and since and until when they are observed then.
// Of an attrition it is how many rules in turn hold for who enters by the primary criteria.
type entry struct {
	day, since, observed omop.Date
	rules                int
}

// subject is a person of the cohort.
type subject struct {
	omop.Demographics
	entry    omop.Date
	since    omop.Date // the beginning of the observation period that the entry is in
	observed omop.Date // and its end
	strata   []int
	cell     int
	value    float64
	hasValue bool
}

// Evaluate answers a request. The cohort is that of one state of the tables, the values of
// its persons are those of one state, the same or a later one.
func (e *Engine) Evaluate(ctx context.Context, r query.Request, permission Permission) (release.Answer, error) {
	entries, err := e.asked(ctx, r, permission)
	if err != nil {
		return release.Answer{}, fmt.Errorf("evaluate question: %w", err)
	}
	if r.Analysis.CaseSeries != nil {
		return e.caseSeries(ctx, r.Analysis, entries)
	}
	if r.Analysis.Kind.InRounds() {
		return e.frame(ctx, r.Analysis, entries, permission)
	}
	method, err := analysis.For(r)
	if err != nil {
		return release.Answer{}, err
	}
	var subjects []subject
	var values map[omop.PersonID]float64
	err = e.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if subjects, err = e.subjects(ctx, tx, entries, r.Analysis.By); err != nil {
			return err
		}
		values, err = e.values(ctx, tx, r.Analysis.Variable)
		return err
	})
	if err != nil {
		return release.Answer{}, fmt.Errorf("evaluate question: %w", err)
	}
	for i := range subjects {
		if r.Analysis.Attrition {
			subjects[i].cell = entries[subjects[i].ID].rules
			subjects[i].strata = []int{subjects[i].cell}
		}
		subjects[i].value, subjects[i].hasValue = lookup(values, r.Analysis.Variable, subjects[i].ID)
	}
	table, err := method.Tabulate(func(yield func(analysis.Row, error) bool) {
		for _, s := range subjects {
			if !yield(analysis.Row{Strata: s.strata, Value: s.value, HasValue: s.hasValue}, nil) {
				return
			}
		}
	})
	if err != nil {
		return release.Answer{}, fmt.Errorf("evaluate question: %w", err)
	}
	out, err := answer(table, subjects, r.Analysis)
	if err != nil {
		return release.Answer{}, err
	}
	out.Cuts = append(out.Cuts, rangesOfTable(subjects, r.Analysis, values, permission)...)
	axes, err := r.Axes()
	if err != nil {
		return release.Answer{}, err
	}
	out.Labels = labels(axes)
	r.Analysis.By = nil
	out.Whole, err = r.Question()
	return out, err
}

// labels names the cells of a table by their levels, the last axis fastest.
func labels(axes []query.Axis) [][]string {
	list := [][]string{nil}
	for _, axis := range axes {
		var next [][]string
		for _, before := range list {
			for _, level := range axis.Levels {
				next = append(next, append(slices.Clone(before), axis.Name+" = "+level))
			}
		}
		list = next
	}
	return list
}

// lookup returns a person's value of a variable, if it has one. Whose latest value is out of
// range has none: an earlier one in its place would let two ranges over the same persons
// differ by one person's values, which the release gate could not see.
func lookup(values map[omop.PersonID]float64, of *query.Variable, p omop.PersonID) (float64, bool) {
	if v, found := values[p]; found && of.Low <= v && v <= of.High {
		return v, true
	}
	return 0, false
}

// tables of the domains.
var tables = map[cohort.Domain]omop.Table{
	cohort.ConditionOccurrence: omop.ConditionTable,
	cohort.DrugExposure:        omop.DrugTable,
	cohort.ProcedureOccurrence: omop.ProcedureTable,
	cohort.Measurement:         omop.MeasurementTable,
	cohort.Observation:         omop.ObservationTable,
	cohort.VisitOccurrence:     omop.VisitTable,
}

// asked returns the permitted persons whom a request is about.
func (e *Engine) asked(ctx context.Context, r query.Request, permission Permission) (map[omop.PersonID]entry, error) {
	if r.Dataset != "" {
		return e.everybody(ctx, r.Dataset, permission)
	}
	definition, err := r.Definition()
	if err != nil {
		return nil, err
	}
	return e.entries(ctx, definition, permission, r.Analysis.Attrition)
}

// entries returns the permitted persons of the cohort with the day of their first entry, or
// of its attrition all who enter by the primary criteria, as of all that was committed
// before the call. One vocabulary has made the index's eras and
// resolved the concept sets.
func (e *Engine) entries(ctx context.Context, d cohort.Definition, permission Permission, attrition bool) (map[omop.PersonID]entry, error) {
	before, err := e.cfg.Vocabulary.Version(ctx)
	if err != nil {
		return nil, err
	}
	for range attempts {
		entries, failed := e.find(ctx, d, permission, attrition)
		after, err := e.cfg.Vocabulary.Version(ctx)
		if err != nil {
			return nil, errors.Join(failed, err)
		}
		if after == before {
			return entries, failed
		}
		before = after
	}
	return nil, ErrLoading
}

// find makes one attempt at that.
func (e *Engine) find(ctx context.Context, d cohort.Definition, permission Permission, attrition bool) (map[omop.PersonID]entry, error) {
	state, err := e.cfg.Index.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer state.Close()
	people := state.People()
	found, err := members.Evaluate(ctx, d.Normal(), state, e.cfg.Vocabulary, members.Options{
		Permit:    func(person uint32) bool { return permission.Permits(personOf(people, person)) },
		Attrition: attrition,
	})
	if missing := (events.NoTableError{}); errors.As(err, &missing) {
		return nil, problem.Refusal("query.no-table", fmt.Sprintf("the site keeps no records of the kind %s, which the cohort needs", missing.Name))
	}
	if err != nil {
		return nil, err
	}
	entries := make(map[omop.PersonID]entry, max(found.Persons, len(found.Passed)))
	if attrition {
		for _, p := range found.Passed {
			entries[personOf(people, p.Person)] = entry{rules: p.Rules}
		}
		return entries, nil
	}
	for _, e := range found.Entries {
		person := personOf(people, e.Person)
		if first, known := entries[person]; !known || omop.Date(e.Start) < first.day {
			since, until := observed(people, e.Person, e.Start)
			entries[person] = entry{day: omop.Date(e.Start), since: since, observed: until}
		}
	}
	return entries, nil
}

// observed returns the ends of the observation period that a day is in, that day if it is in
// none.
func observed(people *events.People, person uint32, day events.Day) (since, until omop.Date) {
	start, end := day, day
	for i := people.Periods[person]; i < people.Periods[person+1]; i++ {
		if people.PeriodStart[i] <= day && day <= people.PeriodEnd[i] {
			start, end = min(start, people.PeriodStart[i]), max(end, people.PeriodEnd[i])
		}
	}
	return omop.Date(start), omop.Date(end)
}

func personOf(people *events.People, ordinal uint32) (id omop.PersonID) {
	if err := id.Scan(people.ID[ordinal]); err != nil {
		panic(err) // a number is what it reads
	}
	return id
}

// subjects returns the cohort in the order of the persons' numbers, each with
// the level of every stratifier. Who is no more since the cohort was found is left out.
func (e *Engine) subjects(ctx context.Context, tx *sqldb.Tx, entries map[omop.PersonID]entry, by []query.Stratifier) ([]subject, error) {
	subjects := make([]subject, 0, len(entries))
	for person, err := range e.cfg.Store.Persons(ctx, tx) {
		if err != nil {
			return nil, err
		}
		entered, member := entries[person.ID]
		if !member {
			continue
		}
		s := subject{Demographics: person, entry: entered.day, since: entered.since, observed: entered.observed, strata: make([]int, len(by))}
		for i, stratifier := range by {
			levels := stratifier.Levels()
			s.strata[i] = level(stratifier, levels, person, entered.day)
			s.cell = s.cell*len(levels) + s.strata[i]
		}
		subjects = append(subjects, s)
	}
	return subjects, nil
}

// level returns the index of a person's level on the day of entry.
func level(s query.Stratifier, levels []query.Level, p omop.Demographics, day omop.Date) int {
	matches := func(l query.Level) bool {
		switch s {
		case query.BySex:
			return slices.Contains(l.Concepts, p.GenderConceptID)
		case query.ByRace:
			return slices.Contains(l.Concepts, p.RaceConceptID)
		case query.ByAgeGroup:
			age := max(p.Age(day), 0) // an event dated before birth counts as at birth
			return l.MinAge <= age && age <= l.MaxAge
		}
		return false
	}
	if i := slices.IndexFunc(levels, matches); i >= 0 {
		return i
	}
	return len(levels) - 1
}

// values returns everyone's value of a variable, nil if there is none to look up.
func (e *Engine) values(ctx context.Context, tx *sqldb.Tx, v *query.Variable) (map[omop.PersonID]float64, error) {
	if v == nil {
		return nil, nil
	}
	quantity, err := e.quantity(ctx, "analysis.variable", v.Concept, v.Unit)
	if err != nil {
		return nil, err
	}
	return e.latest.get(ctx, tx, e.cfg.Store, quantity)
}

// quantity returns what a field of the question measures. The unit is a code, which only the
// site's vocabulary can tell: without it nobody would have a value, and the gate would say no
// more than that its cells are too small. The concept is compared as it is with those of the
// records, which may be the site's own, of no vocabulary.
func (e *Engine) quantity(ctx context.Context, field string, concept int64, unit string) (omop.Quantity, error) {
	id, err := e.cfg.Units.UnitConcept(ctx, unit)
	if err != nil {
		return omop.Quantity{}, err
	}
	if id == 0 {
		return omop.Quantity{}, ErrUnit.With(fmt.Sprintf("%s, unit %.64q", field, unit))
	}
	return omop.Quantity{Concept: concept, Units: []int64{id}}, nil
}

// membership is the measure of counts: who is in the cohort.
const membership = release.Membership

// measureOf names the measure of a measurement's sums.
func measureOf(concept int64) string { return fmt.Sprintf("concept %d", concept) }

// answer collects what the gate has to know besides the table.
func answer(table analysis.Table, subjects []subject, a query.Analysis) (release.Answer, error) {
	members := make([][]omop.PersonID, len(table.Cells))
	measured := make([][]omop.PersonID, len(table.Cells))
	values := make([][]release.Value, len(table.Cells))
	out := release.Answer{Table: table, Measure: membership, Sets: map[string][][]omop.PersonID{membership: members}, Nested: a.Attrition, Cuts: cutsOfTable(subjects, a.By)}
	for _, s := range subjects {
		out.Used = append(out.Used, s.ID)
		members[s.cell] = append(members[s.cell], s.ID)
		if s.hasValue {
			measured[s.cell] = append(measured[s.cell], s.ID)
			values[s.cell] = append(values[s.cell], release.Value{Person: s.ID, Number: s.value})
		}
	}
	if a.Attrition { // who is in a step is in those before
		for i := len(members) - 2; i >= 0; i-- {
			members[i] = slices.Concat(members[i], members[i+1])
		}
	}
	if v := a.Variable; v != nil {
		out.Measure = measureOf(v.Concept)
		out.Sets[out.Measure] = measured
		out.Values = map[string][][]release.Value{out.Measure: values}
		out.Columns = map[string]string{out.Measure: "the variable"}
		out.Averaged = map[string]bool{out.Measure: false}
		way, err := wayOf([]float64{v.Low, v.High})
		if err != nil {
			return release.Answer{}, err
		}
		out.Choices = map[string]release.Choice{rangeOf + out.Measure: {Way: way, Of: out.Measure}}
	}
	return out, nil
}
