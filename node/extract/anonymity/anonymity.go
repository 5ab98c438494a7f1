// Package anonymity finds how coarse the quasi-identifiers of a table must be so that
// nobody in it can be told from fewer than k others, and measures what is reached.
//
// Start from [Table] and [Search]. A table holds one record a person: values of its
// quasi-identifiers, each with a hierarchy of ever coarser levels, and of its sensitive
// attributes. Records with the same generalized quasi-identifiers are a class. Search
// looks at every combination of levels that could be the best, and gives the one with
// the least loss whose classes are large (k-anonymity) and varied (l-diversity) enough
// when the records of the others are suppressed. [Solution] says what a record became,
// [Measured] and [Risk] what is left of the danger.
//
// The package sees numbers, not persons, and knows nothing of events and dates: a
// record that is one of many here can be the only one with its history.
package anonymity

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Attribute is a quasi-identifier with its hierarchy.
type Attribute struct {
	Name   string
	Levels []Level // one or more, from fine to coarse
}

// Level is a step of a hierarchy. Of maps a value of the table, not of the level
// before. Values that are equal on one level must be so on all coarser ones.
type Level struct {
	Name string
	Of   func(value int64) int64
}

// Table holds records. Those that are equal are kept once, so that a person takes four
// bytes.
type Table struct {
	attributes []Attribute
	sensitive  []string
	cells      []cell
	index      map[string]int32
	records    []int32 // the cell of each
}

// cell is a combination of values and how many records have it.
type cell struct {
	quasi, sensitive []int64
	records          int
}

// NewTable returns an empty table.
func NewTable(attributes []Attribute, sensitive []string) (*Table, error) {
	for _, a := range attributes {
		if len(a.Levels) == 0 {
			return nil, fmt.Errorf("anonymity: %s has no level", a.Name)
		}
	}
	return &Table{attributes: attributes, sensitive: sensitive, index: map[string]int32{}}, nil
}

// Add adds a record, with one value for each attribute.
func (t *Table) Add(quasi, sensitive []int64) error {
	if len(quasi) != len(t.attributes) || len(sensitive) != len(t.sensitive) {
		return errors.New("anonymity: a record has one value for each attribute")
	}
	key := keyOf(keyOf(nil, quasi), sensitive)
	at, known := t.index[string(key)]
	if !known {
		at = int32(len(t.cells))
		t.index[string(key)] = at
		t.cells = append(t.cells, cell{append([]int64(nil), quasi...), append([]int64(nil), sensitive...), 0})
	}
	t.cells[at].records++
	t.records = append(t.records, at)
	return nil
}

// Records returns how many records were added.
func (t *Table) Records() int { return len(t.records) }

// keyOf appends values to a key of a map.
func keyOf(key []byte, values []int64) []byte {
	for _, v := range values {
		key = binary.BigEndian.AppendUint64(key, uint64(v))
	}
	return key
}

// class is the records that look alike.
type class struct {
	records int
	values  []map[int64]int // records by value, for each sensitive attribute
}

// classes groups the records on the given levels. of has the class of each cell.
func (t *Table) classes(levels []int) (list []*class, of []int32) {
	index := make(map[string]int32)
	of = make([]int32, len(t.cells))
	var key []byte
	for i := range t.cells {
		c := &t.cells[i]
		key = t.generalized(key[:0], c, levels)
		at, known := index[string(key)]
		if !known {
			at = int32(len(list))
			index[string(key)] = at
			fresh := &class{values: make([]map[int64]int, len(t.sensitive))}
			for s := range fresh.values {
				fresh.values[s] = make(map[int64]int)
			}
			list = append(list, fresh)
		}
		of[i] = at
		list[at].records += c.records
		for s, v := range c.sensitive {
			list[at].values[s][v] += c.records
		}
	}
	return list, of
}

// generalized appends what the quasi-identifiers of a cell are on the given levels.
func (t *Table) generalized(key []byte, c *cell, levels []int) []byte {
	for a, v := range c.quasi {
		key = binary.BigEndian.AppendUint64(key, uint64(t.attributes[a].Levels[levels[a]].Of(v)))
	}
	return key
}
