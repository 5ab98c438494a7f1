package eventindex

import (
	"context"
	"errors"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/events"
)

const (
	// mergeSegments is from how many segments on those of updates are put together.
	mergeSegments = 8

	// mergeShare is the part of all persons, one in so many, from which on segments of
	// updates are put together with those of the build.
	mergeShare = 8
)

// Run puts segments together when they are many, until ctx ends. It then waits for what it
// does. What fails is tried again after the next update.
func (x *Index) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-x.wake:
		}
		if err := x.merge(ctx, mergeSegments); err != nil && ctx.Err() == nil {
			x.cfg.Log.WarnContext(ctx, "segments of the event index not put together", "err", full(err))
		}
	}
}

// merge puts the segments of updates together if there are at least so many. Questions and
// updates go on: those of later updates stay behind what it has made.
func (x *Index) merge(ctx context.Context, least int) error {
	x.mu.Lock()
	m, segments := x.man, slices.Clone(x.segments)
	for _, s := range segments {
		s.retain()
	}
	x.mu.Unlock()
	defer releaseAll(segments)
	first := min(m.Base, len(segments))
	if len(segments)-first < least || m.Format == 0 {
		return nil
	}
	defer x.enter("merging")()
	updated, based := 0, 0
	for i, s := range segments {
		if i < first {
			based += s.dir.Persons
		} else {
			updated += s.dir.Persons
		}
	}
	if updated*mergeShare > based {
		first = 0
	}
	made, failed := x.mergeInto(ctx, m, segments, first)
	if err := x.take(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	defer x.give()
	x.making = nil
	now := x.man
	if failed != nil {
		return errors.Join(failed, x.sweepFolder(now.Segments))
	}
	if now.Format == 0 || len(now.Segments) < len(m.Segments) || !slices.Equal(now.Segments[:len(m.Segments)], m.Segments) {
		return x.sweepFolder(now.Segments) // it was made anew meanwhile
	}
	now.Segments = slices.Concat(m.Segments[:first], made, now.Segments[len(m.Segments):])
	if first == 0 {
		now.Base = len(made)
	}
	return x.install(now)
}

// mergeInto writes what segments from first on know into new ones, without what is void.
func (x *Index) mergeInto(ctx context.Context, m manifest, segments []*segment, first int) (names []string, err error) {
	part := segments[first:]
	base := max(0, min(m.Base, len(segments))-first)
	s, err := newSnapshot(part, manifest{State: m.State, Base: base, DrugEras: m.DrugEras})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	ids := s.people.ID
	if first > 0 { // who is gone must stay so: earlier segments have them
		if ids, err = everybody(part); err != nil {
			return nil, err
		}
	}
	for n := 0; n == 0 || n*partPersons < len(ids); n++ {
		if err := x.take(ctx); err != nil {
			return nil, err
		}
		name := x.reserve()
		x.give()
		names = append(names, name)
		low := n * partPersons
		if err := x.mergePart(ctx, s, name, ids[low:min(low+partPersons, len(ids))]); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// reserve gives out a name for a segment. The caller has the turn.
func (x *Index) reserve() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	name := segmentName(x.man.Next)
	x.man.Next++
	x.making = append(x.making, name, name+temporary)
	return name
}

// everybody returns all persons of segments.
func everybody(segments []*segment) ([]int64, error) {
	var ids []int64
	for _, s := range segments {
		more, err := s.whole("person_id", 0)
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// mergePart writes what a snapshot knows of persons.
func (x *Index) mergePart(ctx context.Context, s *Snapshot, name string, ids []int64) error {
	p := newPersons(ids)
	local := make([]uint32, len(s.people.ID)) // by ordinal of the snapshot
	for at, id := range ids {
		i, found := slices.BinarySearch(s.people.ID, id)
		if !found {
			continue
		}
		local[i] = uint32(at) //nolint:gosec // persons of a segment
		p.gone[at] = false
		for c, v := range columnsOfPerson(s.people, i) {
			p.columns[c][at] = v
		}
		for j := s.people.Periods[i]; j < s.people.Periods[i+1]; j++ {
			p.addPeriod(local[i], wholeDay(s.people.PeriodStart[j]), wholeDay(s.people.PeriodEnd[j]), s.people.PeriodID[j], s.people.PeriodType[j])
		}
	}
	w, err := x.beginSegment(name, p)
	if err != nil || len(ids) == 0 {
		return x.endSegment(name, w, err)
	}
	for i := range domains {
		r, err := s.part(ctx, i, ids[0], ids[len(ids)-1], local)
		if err == nil {
			err = w.rows(&domains[i], r)
		}
		if err != nil {
			return w.abandon(err)
		}
	}
	return x.endSegment(name, w, nil)
}

func columnsOfPerson(p *events.People, i int) []int64 {
	return []int64{
		int64(p.YearOfBirth[i]), orNull(p.BirthMonth[i]), orNull(p.BirthDay[i]), p.Gender[i], p.Race[i], p.Ethnicity[i],
		p.GenderSource[i], p.RaceSource[i], p.EthnicitySource[i],
	}
}

func orNull(v int8) int64 {
	if v == 0 {
		return events.Null
	}
	return int64(v)
}

func wholeDay(d events.Day) int64 {
	if d == events.NoDay {
		return events.Null
	}
	return int64(d)
}

// part returns the events of a domain of the persons from low to high.
func (s *Snapshot) part(ctx context.Context, place int, low, high int64, local []uint32) (*rows, error) {
	d := &domains[place]
	names := make([]events.Column, len(d.attributes))
	for i, a := range d.attributes {
		names[i] = a.name
	}
	e, err := (&reading{ctx: ctx, snapshot: s, place: place, low: low, high: high}).events(nil, names)
	if err != nil {
		return nil, err
	}
	r := newRows(d)
	r.concept, r.id, r.visit = e.Domain, e.ID, e.Visit
	r.person, r.start, r.end = make([]uint32, len(e.Person)), make([]int64, len(e.Person)), make([]int64, len(e.Person))
	for i, p := range e.Person {
		r.person[i], r.start[i], r.end[i] = local[p], wholeDay(e.Start[i]), wholeDay(e.End[i])
	}
	for i, a := range d.attributes {
		v := e.Columns[a.name]
		r.attr[i] = omop.Vector{Whole: v.Int, Number: v.Number, Text: v.Text, Absent: v.Absent}
	}
	return r, nil
}
