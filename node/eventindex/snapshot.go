package eventindex

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// void is the ordinal of a person of whom a later segment knows better, or who is no more.
const void = math.MaxUint32

// Snapshot is an [events.Source]: one state of the site. It is safe for concurrent use.
type Snapshot struct {
	state    omop.State
	drugEras bool
	people   *events.People
	segments []*segment
	ordinals [][]uint32 // by segment: of its persons, or void
	harmed   *atomic.Bool
	memory   int64 // of one reading
	holders  atomic.Int64
}

var _ events.Parted = (*Snapshot)(nil)

// State is that of the store which the snapshot covers.
func (s *Snapshot) State() omop.State { return s.state }

// People implements [events.Source].
func (s *Snapshot) People() *events.People { return s.people }

func (s *Snapshot) retain() { s.holders.Add(1) }

// Close gives the snapshot back. What it has handed out stays usable.
func (s *Snapshot) Close() {
	if s.holders.Add(-1) == 0 {
		releaseAll(s.segments)
	}
}

// newSnapshot returns the state of segments, oldest first, held once.
func newSnapshot(segments []*segment, m manifest) (*Snapshot, error) {
	s := &Snapshot{state: m.State, drugEras: m.DrugEras, segments: slices.Clone(segments), ordinals: make([][]uint32, len(segments))}
	if err := s.fillPeople(min(m.Base, len(segments))); err != nil {
		return nil, err
	}
	for _, segment := range segments {
		segment.retain()
	}
	s.holders.Store(1)
	return s, nil
}

// member is a person of a segment.
type member struct {
	id      int64
	segment int
	at      uint32
}

// fillPeople finds out which segment knows each person, and reads them.
func (s *Snapshot) fillPeople(base int) error {
	known := make([]*persons, len(s.segments))
	var list, later []member
	for i, segment := range s.segments {
		p, err := segment.persons()
		if err != nil {
			return err
		}
		known[i], s.ordinals[i] = p, slices.Repeat([]uint32{void}, len(p.id))
		for at, id := range p.id {
			if i < base {
				list = append(list, member{id, i, uint32(at)}) //nolint:gosec // persons of a segment
			} else {
				later = append(later, member{id, i, uint32(at)}) //nolint:gosec // likewise
			}
		}
	}
	// Those of a build are in order and are there once.
	slices.SortFunc(later, func(a, b member) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(b.segment, a.segment)) })
	later = slices.CompactFunc(later, func(a, b member) bool { return a.id == b.id })
	all := mergeMembers(list, later)
	all = slices.DeleteFunc(all, func(m member) bool { return known[m.segment].gone[m.at] })
	s.people = s.readPeople(all, known)
	return nil
}

// mergeMembers joins two lists in order; who is in both is taken from later.
func mergeMembers(list, later []member) []member {
	if len(later) == 0 {
		return list
	}
	out := make([]member, 0, len(list)+len(later))
	for _, m := range list {
		for len(later) > 0 && later[0].id < m.id {
			out, later = append(out, later[0]), later[1:]
		}
		if len(later) == 0 || later[0].id != m.id {
			out = append(out, m)
		}
	}
	return append(out, later...)
}

func (s *Snapshot) readPeople(all []member, known []*persons) *events.People {
	n := len(all)
	p := &events.People{
		ID: make([]int64, n), YearOfBirth: make([]int32, n), BirthMonth: make([]int8, n), BirthDay: make([]int8, n),
		Gender: make([]int64, n), Race: make([]int64, n), Ethnicity: make([]int64, n),
		GenderSource: make([]int64, n), RaceSource: make([]int64, n), EthnicitySource: make([]int64, n),
		Periods: make([]int32, 1, n+1),
	}
	concepts := [][]int64{p.Gender, p.Race, p.Ethnicity, p.GenderSource, p.RaceSource, p.EthnicitySource}
	next := make([]int, len(known)) // period of each segment
	for i, m := range all {
		from := known[m.segment]
		s.ordinals[m.segment][m.at] = uint32(i) //nolint:gosec // persons of a site
		p.ID[i] = m.id
		p.YearOfBirth[i] = int32(from.columns[0][m.at]) //nolint:gosec // a year
		p.BirthMonth[i], p.BirthDay[i] = small(from.columns[1][m.at]), small(from.columns[2][m.at])
		for c, column := range concepts {
			column[i] = from.columns[3+c][m.at]
		}
		at := next[m.segment]
		for at < len(from.periodOf) && from.periodOf[at] < m.at {
			at++
		}
		for ; at < len(from.periodOf) && from.periodOf[at] == m.at; at++ {
			p.PeriodStart, p.PeriodEnd = append(p.PeriodStart, day(from.start[at])), append(p.PeriodEnd, day(from.end[at]))
			p.PeriodID, p.PeriodType = append(p.PeriodID, from.periodID[at]), append(p.PeriodType, from.typeID[at])
		}
		next[m.segment] = at
		p.Periods = append(p.Periods, int32(len(p.PeriodID))) //nolint:gosec // periods of a site
	}
	return p
}

func small(v int64) int8 {
	if v == events.Null {
		return 0
	}
	return int8(v) //nolint:gosec // a month or a day of one
}

func day(v int64) events.Day {
	if v == events.Null {
		return events.NoDay
	}
	return events.Day(v) //nolint:gosec // the store has four-digit years
}

// visitID is visit_occurrence_id where the person has that visit, else Null.
const visitID events.Column = "visit_occurrence.visit_occurrence_id"

// Events implements [events.Source]. A domain or a column of a table that the store does
// not have is an [events.NoTableError].
func (s *Snapshot) Events(ctx context.Context, name cohort.Domain, concepts []int64, columns ...events.Column) (*events.Events, error) {
	return s.read(ctx, name, concepts, columns, math.MinInt64, math.MaxInt64)
}

// read reads the events of the persons from low to high.
func (s *Snapshot) read(ctx context.Context, name cohort.Domain, concepts []int64, columns []events.Column, low, high int64) (*events.Events, error) {
	at := place(name)
	if at < 0 || name == cohort.DrugEra && !s.drugEras {
		return nil, events.NoTableError{Name: string(name)}
	}
	q := &reading{ctx: ctx, snapshot: s, place: at, low: low, high: high, memory: s.memory}
	out, err := q.events(sorted(concepts), columns)
	if err != nil {
		return nil, s.noteDamage(fmt.Errorf("events of %s: %w", name, err))
	}
	return out, nil
}

// noteDamage has the index made anew if that is what err is about.
func (s *Snapshot) noteDamage(err error) error {
	if errors.Is(err, ErrDamaged) && s.harmed != nil {
		s.harmed.Store(true)
	}
	return err
}

// sorted returns concepts in order, each once, and nil of nil.
func sorted(concepts []int64) []int64 {
	if concepts == nil {
		return nil
	}
	concepts = slices.Clone(concepts)
	slices.Sort(concepts)
	return slices.Compact(concepts)
}

// Most implements [events.Parted].
func (s *Snapshot) Most(name cohort.Domain, concepts []int64) (int, error) {
	at := place(name)
	if at < 0 {
		return 0, nil // Events says that there are none
	}
	n := 0
	for _, segment := range s.segments {
		spans, err := segment.spans(at, sorted(concepts))
		if err != nil {
			return 0, s.noteDamage(fmt.Errorf("events of %s: %w", name, err))
		}
		for _, span := range spans {
			n += span.to - span.from
		}
	}
	return n, nil
}

// Between implements [events.Parted].
func (s *Snapshot) Between(first, end uint32) events.Source { return &between{s, first, end} }

// between is a snapshot with the events of some of its people.
type between struct {
	*Snapshot
	first, end uint32
}

// Events implements [events.Source].
func (b *between) Events(ctx context.Context, name cohort.Domain, concepts []int64, columns ...events.Column) (*events.Events, error) {
	if b.first >= b.end {
		return &events.Events{}, nil
	}
	return b.read(ctx, name, concepts, columns, b.people.ID[b.first], b.people.ID[b.end-1])
}

// columnsOf finds the attributes that columns name.
func columnsOf(d *domain, columns []events.Column) ([]attribute, error) {
	out := make([]attribute, 0, len(columns))
	for _, name := range columns {
		ask := name
		if name == visitID {
			ask = visitConcept
		}
		i, ok := d.has(ask)
		if !ok {
			return nil, events.NoTableError{Name: string(d.name) + " with " + string(name)}
		}
		a := d.attributes[i]
		a.name = name
		out = append(out, a)
	}
	return out, nil
}
