// Package members finds who belongs to a cohort, and when.
//
// [Evaluate] gives a definition the meaning that circe-be gives it by the SQL it writes,
// run by PostgreSQL: also where that is surprising, because the same definition must have
// the same members everywhere. Comments say where. Concept sets are resolved once, then
// only the events of their concepts are read, and people are gone through side by side in
// one pass.
//
// Source: OHDSI/circe-be, commit 9a80aa71, resources/cohortdefinition/sql and cohortdefinition/builders.
package members

import (
	"context"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Entry is a time that a person spends in a cohort, both days included.
type Entry struct {
	Person     uint32 // ordinal of events.People
	Start, End events.Day
}

// Options restrict and widen an evaluation. The zero value is everybody's entries.
type Options struct {
	// Permit, if it is set, says of a person whether their events may count. It is called
	// from several goroutines.
	Permit func(person uint32) bool

	// Only, if it is set, is the one person to be looked at.
	Only *uint32

	// Attrition asks for what each inclusion rule leaves. It takes longer: all rules are
	// tried on all events.
	Attrition bool

	// Workers is how many people are evaluated at a time. Defaults to the number of
	// processors.
	Workers int

	// Part is how many values, which are events times columns, are read at once of an
	// [events.Parted] source: its people are then gone through part by part. Defaults to
	// 8 M values, some 64 MB.
	Part int

	// Work is how many steps an evaluation may take before it is refused with [ErrWork]: a
	// step is an event that is tested or counted, or a part of a group. A processor takes
	// about a hundred million a second. Defaults to [DefaultWork].
	Work int64
}

// DefaultWork is minutes of one processor: ordinary definitions take hundreds of steps a person.
const DefaultWork = 20_000_000_000

// ErrWork refuses a definition that takes more work or memory than it may.
var ErrWork = problem.Refusal("query.work", "the definition is too much work for this site: fewer criteria or windows")

// Result is what a definition says of a site's people.
type Result struct {
	Entries   []Entry // by person, then start
	Persons   int     // with an entry
	Attrition *Attrition
	Passed    []Passed // by person, each who has an event that the rules are tried on; only with the attrition
}

// Evaluate finds the entries of a definition. It fails on a definition that circe-be makes
// no SQL of, on what the source and the vocabulary fail on, when ctx ends, and with
// [ErrWork] when it takes more than Options.Work or reads the same events too often: more
// than 64 M values again, besides twice those that it reads once.
func Evaluate(ctx context.Context, d cohort.Definition, s events.Source, v events.Vocabulary, o Options) (Result, error) {
	p, err := compile(ctx, d, v)
	if err != nil {
		return Result{}, err
	}
	if o.Only == nil {
		if parted, is := s.(events.Parted); is {
			return p.inParts(ctx, parted, o)
		}
	}
	if err := p.bind(ctx, s); err != nil {
		return Result{}, err
	}
	first, end := uint32(0), uint32(len(p.people.ID))
	if o.Only != nil {
		first, end = *o.Only, *o.Only+1
		if int(first) >= len(p.people.ID) {
			first, end = 0, 0
		}
	}
	r := p.begin(o)
	if err := r.run(ctx, first, end); err != nil {
		return Result{}, err
	}
	return r.result, nil
}

// Needs returns the columns that an evaluation of the definition asks a source for, by domain.
func Needs(d cohort.Definition) (map[cohort.Domain][]events.Column, error) {
	p, err := compile(context.Background(), d, nil)
	if err != nil {
		return nil, err
	}
	needs := map[cohort.Domain][]events.Column{}
	for _, r := range p.requests {
		needs[r.domain] = append(needs[r.domain], r.columns...)
	}
	return needs, nil
}
