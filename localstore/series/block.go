package series

import (
	"encoding/binary"

	"github.com/trialmesh/trialmesh/localstore/omop"
)

// A block is the body of a landed batch: runs of points in the order of person,
// variable and time, each with its length, so that a reader of one person skips
// the others. All points are of one load and one source.

// key names a series.
type key struct {
	person   int64
	variable VariableID
	source   SourceID
}

func (k key) compare(o key) int {
	switch {
	case k.person != o.person:
		return order(k.person < o.person)
	case k.variable != o.variable:
		return order(k.variable < o.variable)
	case k.source != o.source:
		return order(k.source < o.source)
	default:
		return 0
	}
}

func order(less bool) int {
	if less {
		return -1
	}
	return 1
}

// number returns the number of p for the site's own database.
func number(p omop.PersonID) (int64, error) {
	v, err := p.Value()
	if err != nil {
		return 0, err
	}
	return v.(int64), nil
}

// blockWriter writes runs that come in the order of their keys.
type blockWriter struct {
	body, run []byte
	person    int64
}

func (w *blockWriter) add(person int64, variable VariableID, points []Point) {
	if w.body == nil {
		w.body = append(make([]byte, 0, 64<<10), formatVersion)
	}
	w.run = appendRun(w.run[:0], points)
	w.body = binary.AppendVarint(w.body, person-w.person)
	w.body = binary.AppendVarint(w.body, int64(variable))
	w.body = binary.AppendUvarint(w.body, uint64(len(w.run)))
	w.body = append(w.body, w.run...)
	w.person = person
}

// run is one run of a block, not yet decoded.
type run struct {
	key  key
	load LoadID
	body []byte
}

// runs lists the runs of a block to yield until it returns false.
func runs(body []byte, load LoadID, source SourceID, yield func(run) bool) error {
	r, err := unseal(body)
	if err != nil {
		return err
	}
	person := int64(0)
	for len(r.rest) > 0 {
		person += r.varint()
		variable := VariableID(r.varint())
		length := r.uvarint()
		if r.bad || length > uint64(len(r.rest)) {
			return errDamaged
		}
		next := run{key: key{person, variable, source}, load: load, body: r.bytes(int(length))} //nolint:gosec // at most the rest
		if !yield(next) {
			return nil
		}
	}
	if r.bad {
		return errDamaged
	}
	return nil
}

// points adds the points of the run to dst.
func (n run) points(dst []Point) ([]Point, error) {
	r := &reader{rest: n.body}
	from := len(dst)
	dst = r.run(dst, MaxBatch)
	if r.bad || len(r.rest) > 0 {
		return nil, errDamaged
	}
	for i := from; i < len(dst); i++ {
		dst[i].Load, dst[i].Source = n.load, n.key.source
	}
	return dst, nil
}
