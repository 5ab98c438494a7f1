package eventindex

import (
	"context"
	"math"
	"slices"
	"sort"

	"golang.org/x/sync/errgroup"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/events"
)

// reading is one call of Events.
type reading struct {
	ctx       context.Context //nolint:containedctx // of the call
	snapshot  *Snapshot
	place     int
	low, high int64 // persons, inclusive
	memory    int64 // that it may take in bytes, 0 for any
	runs      []run
	total     int
}

// run is the rows of a concept in one segment, and where those of them that count stand in
// what is returned.
type run struct {
	segment int
	span    span
	at      int
	keep    []uint32 // places in the span, nil for all
	persons []uint32
}

func (r *run) len() int { return len(r.persons) }

// events reads the events of concepts, sorted and without doubles, with some columns.
func (q *reading) events(concepts []int64, columns []events.Column) (*events.Events, error) {
	d := &domains[q.place]
	attributes, err := columnsOf(d, columns)
	if err != nil {
		return nil, err
	}
	if err := q.find(concepts, len(columns)); err != nil {
		return nil, err
	}
	out := &events.Events{Person: make([]uint32, 0, q.total), Domain: make([]int64, 0, q.total), Columns: make(map[events.Column]events.Vector, len(columns))}
	for i := range q.runs {
		out.Person = append(out.Person, q.runs[i].persons...)
		for range q.runs[i].persons {
			out.Domain = append(out.Domain, q.runs[i].span.concept)
		}
	}
	vectors := make([]omop.Vector, len(attributes))
	var start, end []events.Day
	group, ctx := errgroup.WithContext(q.ctx)
	group.SetLimit(workers)
	q.ctx = ctx
	for name, into := range map[string]*[]events.Day{"start": &start, "end": &end} {
		group.Go(func() error {
			values, err := q.whole(name)
			*into = make([]events.Day, len(values))
			for i, v := range values {
				(*into)[i] = day(v)
			}
			return err
		})
	}
	for name, into := range map[string]*[]int64{"id": &out.ID, "visit": &out.Visit} {
		group.Go(func() (err error) {
			*into, err = q.whole(name)
			return err
		})
	}
	for i, a := range attributes {
		group.Go(func() (err error) {
			vectors[i], err = q.attribute(a)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out.Start, out.End = start, end
	for i, a := range attributes {
		v := vectors[i]
		if a.name == visitID {
			v.Whole = ifPresent(out.Visit, v.Whole)
		}
		out.Columns[a.name] = events.Vector{Int: v.Whole, Number: v.Number, Text: v.Text, Absent: v.Absent}
	}
	sortEvents(out, q.snapshot.people)
	return out, nil
}

// ifPresent returns values, and Null where other is.
func ifPresent(values, other []int64) []int64 {
	out := make([]int64, len(values))
	for i, v := range values {
		out[i] = v
		if other[i] == events.Null {
			out[i] = events.Null
		}
	}
	return out
}

// What an event takes in bytes: its own columns, and each other one.
const (
	eventBytes  = 4 + 4 + 4 + 3*8
	columnBytes = 8
)

// find finds the rows that count. It refuses more of them than fit into the memory.
func (q *reading) find(concepts []int64, columns int) error {
	each, all := int64(eventBytes+columns*columnBytes), int64(0)
	for i, segment := range q.snapshot.segments {
		if segment.dir.Persons == 0 || segment.dir.Low > q.high || segment.dir.High < q.low {
			continue
		}
		spans, err := segment.spans(q.place, concepts)
		if err != nil {
			return err
		}
		first, last := q.places(i)
		for _, s := range spans {
			r := run{segment: i, span: s}
			if err := q.narrow(&r, first, last); err != nil {
				return err
			}
			q.runs = append(q.runs, r)
			all += int64(r.span.to-r.span.from) * each
		}
	}
	if q.memory > 0 && all > q.memory {
		return events.ErrTooMany
	}
	group, ctx := errgroup.WithContext(q.ctx)
	group.SetLimit(workers)
	for i := range q.runs {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return q.fill(&q.runs[i])
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i := range q.runs {
		q.runs[i].at = q.total
		q.total += q.runs[i].len()
	}
	return nil
}

// everybody reports whether the reading is of all persons.
func (q *reading) everybody() bool { return q.low == math.MinInt64 && q.high == math.MaxInt64 }

// places returns the first and the last place in a segment of the persons whom the reading
// is of, of all if it is of everybody; first is beyond last if there is none.
func (q *reading) places(segment int) (first, last int64) {
	ordinals, ids := q.snapshot.ordinals[segment], q.snapshot.people.ID
	if q.everybody() {
		return 0, int64(len(ordinals)) - 1
	}
	is := func(o uint32) bool { return o != void && ids[o] >= q.low && ids[o] <= q.high }
	first = int64(slices.IndexFunc(ordinals, is))
	if first < 0 {
		return 0, -1
	}
	for last = int64(len(ordinals)) - 1; !is(ordinals[last]); last-- { // there is one
	}
	return first, last
}

// narrow cuts a run to the rows of the persons from first to last, as far as whole blocks
// are saved: the rows of a concept are in the order of persons.
func (q *reading) narrow(r *run, first, last int64) error {
	if first > last {
		r.span.to = r.span.from
		return nil
	}
	if q.everybody() || r.span.to-r.span.from <= blockRows {
		return nil
	}
	c := q.column(r, "person")
	var failed error
	from := r.span.from
	at := func(person int64) int {
		return sort.Search(r.span.to-from, func(i int) bool {
			var v [1]int64
			if err := c.whole(from+i, from+i+1, v[:]); err != nil {
				failed = err
			}
			return v[0] >= person
		})
	}
	low, high := at(first), at(last+1)
	r.span.from, r.span.to = from+low, from+high
	return failed
}

// fill reads the persons of a run and keeps those who are not void.
func (q *reading) fill(r *run) error {
	n := r.span.to - r.span.from
	local := make([]int64, n)
	if err := q.column(r, "person").whole(r.span.from, r.span.to, local); err != nil {
		return err
	}
	ordinals, ids := q.snapshot.ordinals[r.segment], q.snapshot.people.ID
	all := q.everybody()
	r.persons = make([]uint32, 0, n)
	for i, at := range local {
		if at < 0 || at >= int64(len(ordinals)) {
			return q.column(r, "person").damaged(errBlock)
		}
		o := ordinals[at]
		if counts := o != void && (all || ids[o] >= q.low && ids[o] <= q.high); !counts {
			if r.keep == nil {
				r.keep = make([]uint32, i, n)
				for j := range r.keep {
					r.keep[j] = uint32(j) //nolint:gosec // rows of a segment
				}
			}
			continue
		}
		r.persons = append(r.persons, o)
		if r.keep != nil {
			r.keep = append(r.keep, uint32(i)) //nolint:gosec // likewise
		}
	}
	return nil
}

func (q *reading) column(r *run, name string) *column {
	return q.snapshot.segments[r.segment].columns[string(domains[q.place].name)+"/"+name]
}

// each gives fn every run that has rows and the column.
func (q *reading) each(name string, fn func(r *run, c *column) error) error {
	for i := range q.runs {
		r := &q.runs[i]
		if err := q.ctx.Err(); err != nil {
			return err
		}
		if c := q.column(r, name); c != nil && r.len() > 0 {
			if err := fn(r, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// whole reads a column of whole numbers.
func (q *reading) whole(name string) ([]int64, error) {
	out := slices.Repeat([]int64{events.Null}, q.total)
	return out, q.each(name, func(r *run, c *column) error {
		return pick(r, out, func(dst []int64) error { return c.whole(r.span.from, r.span.to, dst) })
	})
}

// pick reads the values of a run to their place in out.
func pick[T any](r *run, out []T, read func([]T) error) error {
	if r.keep == nil {
		return read(out[r.at : r.at+r.len()])
	}
	all := make([]T, r.span.to-r.span.from)
	if err := read(all); err != nil {
		return err
	}
	for i, k := range r.keep {
		out[r.at+i] = all[k]
	}
	return nil
}

func (q *reading) attribute(a attribute) (v omop.Vector, err error) {
	name := string(a.name)
	if a.name == visitID {
		name = string(visitConcept)
	}
	switch a.kind {
	case omop.NumberVector:
		v.Number = slices.Repeat([]float64{math.NaN()}, q.total)
		err = q.each(name, func(r *run, c *column) error {
			return pick(r, v.Number, func(dst []float64) error { return c.numbers(r.span.from, r.span.to, dst) })
		})
	case omop.TextVector:
		v.Text, v.Absent = make([]string, q.total), slices.Repeat([]bool{true}, q.total)
		err = q.each(name, func(r *run, c *column) error {
			n := r.span.to - r.span.from
			text, absent := make([]string, n), make([]bool, n)
			if err := c.text(r.span.from, r.span.to, text, absent); err != nil {
				return err
			}
			for i := range r.persons {
				k := i
				if r.keep != nil {
					k = int(r.keep[i])
				}
				v.Text[r.at+i], v.Absent[r.at+i] = text[k], absent[k]
			}
			return nil
		})
	case omop.WholeVector, omop.DayVector:
		v.Whole, err = q.whole(name)
	}
	return v, err
}

// sortEvents puts events in the order of person, start and id. What comes is in order
// within each run; who has few events is sorted by those alone.
func sortEvents(e *events.Events, people *events.People) {
	n := len(e.Person)
	less := func(a, b uint32) bool {
		if e.Start[a] != e.Start[b] {
			return e.Start[a] < e.Start[b]
		}
		return e.ID[a] < e.ID[b]
	}
	sorted := true
	for i := 1; i < n && sorted; i++ {
		p, q := e.Person[i-1], e.Person[i]
		sorted = p < q || p == q && !less(uint32(i), uint32(i-1)) //nolint:gosec // events of a site
	}
	if sorted {
		return
	}
	// By person: how many come before each, then each to its place.
	next := make([]uint32, len(people.ID)+1)
	for _, p := range e.Person {
		next[p+1]++
	}
	for i := 1; i < len(next); i++ {
		next[i] += next[i-1]
	}
	places := make([]uint32, n)
	for i, p := range e.Person {
		places[next[p]] = uint32(i) //nolint:gosec // likewise
		next[p]++
	}
	for from := 0; from < n; {
		to := from + 1
		for to < n && e.Person[places[to]] == e.Person[places[from]] {
			to++
		}
		if of := places[from:to]; len(of) > 1 {
			slices.SortFunc(of, func(a, b uint32) int {
				if less(a, b) {
					return -1
				}
				if less(b, a) {
					return 1
				}
				return 0
			})
		}
		from = to
	}
	e.Person, e.Start, e.End, e.ID = gather(e.Person, places), gather(e.Start, places), gather(e.End, places), gather(e.ID, places)
	e.Visit, e.Domain = gather(e.Visit, places), gather(e.Domain, places)
	for name, v := range e.Columns {
		e.Columns[name] = events.Vector{Int: gather(v.Int, places), Number: gather(v.Number, places), Text: gather(v.Text, places), Absent: gather(v.Absent, places)}
	}
}
