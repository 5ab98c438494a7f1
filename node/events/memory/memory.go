// Package memory holds the people and events of an OMOP CDM in memory, as columns.
//
// [Read] takes the tables of a folder ([Folder]) or of a database ([Database]) and gives a
// [Source] and the part of the [Vocabulary] that some concept sets need. Columns are found
// by name, in the forms of CDM 5.3 and 5.4; a table that is not there is empty.
package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// Source is an events.Source in memory. It is patient data.
type Source struct {
	people  events.People
	tables  map[cohort.Domain]*table
	missing []string
}

// Missing names the tables that were asked for and are not there, sorted: what they would
// hold counts as nothing.
func (s *Source) Missing() []string { return s.missing }

// table has the events of a domain.
type table struct {
	all events.Events

	// The rows by concept: those of concepts[i] are rows[offsets[i]:offsets[i+1]].
	index    sync.Once
	concepts []int64
	offsets  []uint32
	rows     []uint32
}

// New returns a source of people and events, which it keeps. Events are in their order.
func New(people events.People, all map[cohort.Domain]events.Events) *Source {
	s := &Source{people: people, tables: map[cohort.Domain]*table{}}
	for d, e := range all {
		s.tables[d] = &table{all: e}
	}
	return s
}

// People implements events.Source.
func (s *Source) People() *events.People { return &s.people }

// Events implements events.Source.
func (s *Source) Events(ctx context.Context, d cohort.Domain, concepts []int64, columns ...events.Column) (*events.Events, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	t := s.tables[d]
	if t == nil {
		return &events.Events{}, nil
	}
	if concepts == nil {
		return &t.all, nil
	}
	t.index.Do(t.sort)
	return t.take(t.find(concepts), columns)
}

// sort makes the index.
func (t *table) sort() {
	of := t.all.Domain
	number := map[int64]uint32{}
	for _, c := range of {
		if _, ok := number[c]; !ok {
			number[c] = 0
			t.concepts = append(t.concepts, c)
		}
	}
	slices.Sort(t.concepts)
	for i, c := range t.concepts {
		number[c] = uint32(i)
	}
	t.offsets = make([]uint32, len(t.concepts)+1)
	for _, c := range of {
		t.offsets[number[c]+1]++
	}
	for i := range t.concepts {
		t.offsets[i+1] += t.offsets[i]
	}
	t.rows = make([]uint32, len(of))
	next := slices.Clone(t.offsets)
	for i, c := range of {
		n := number[c]
		t.rows[next[n]] = uint32(i)
		next[n]++
	}
}

// dense is the share of a table's rows, one in so many, from which on rows are marked rather
// than sorted.
const dense = 64

// find returns the rows that have one of the concepts, in their order.
func (t *table) find(concepts []int64) []uint32 {
	var lists [][]uint32
	total := 0
	for _, c := range concepts {
		if i, ok := slices.BinarySearch(t.concepts, c); ok {
			lists = append(lists, t.rows[t.offsets[i]:t.offsets[i+1]])
			total += len(lists[len(lists)-1])
		}
	}
	switch {
	case len(lists) == 0:
		return nil
	case len(lists) == 1:
		return lists[0]
	case total*dense < len(t.all.Person):
		rows := slices.Concat(lists...)
		slices.Sort(rows)
		return slices.Compact(rows)
	}
	marks := make([]bool, len(t.all.Person))
	for _, list := range lists {
		for _, row := range list {
			marks[row] = true
		}
	}
	rows := make([]uint32, 0, total)
	for i, marked := range marks {
		if marked {
			rows = append(rows, uint32(i))
		}
	}
	return rows
}

// take copies rows with the columns.
func (t *table) take(rows []uint32, columns []events.Column) (*events.Events, error) {
	a := &t.all
	e := &events.Events{
		Person: pick(a.Person, rows), Start: pick(a.Start, rows), End: pick(a.End, rows),
		ID: pick(a.ID, rows), Visit: pick(a.Visit, rows), Domain: pick(a.Domain, rows),
		Columns: make(map[events.Column]events.Vector, len(columns)),
	}
	for _, c := range columns {
		v, ok := a.Columns[c]
		if !ok {
			return nil, fmt.Errorf("memory: column %s was not read", c)
		}
		e.Columns[c] = events.Vector{Int: pick(v.Int, rows), Number: pick(v.Number, rows), Text: pick(v.Text, rows), Absent: pick(v.Absent, rows)}
	}
	return e, nil
}

// pick returns the values of rows, nil of nil.
func pick[T any](values []T, rows []uint32) []T {
	if values == nil {
		return nil
	}
	picked := make([]T, len(rows))
	for i, row := range rows {
		picked[i] = values[row]
	}
	return picked
}
