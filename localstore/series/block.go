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

// blockReader lists the runs of a block.
type blockReader struct {
	*reader

	load LoadID
	last key
}

func newBlockReader(l *landed) (*blockReader, error) {
	r, err := unseal(l.body)
	if err != nil {
		return nil, err
	}
	return &blockReader{reader: r, load: l.load, last: key{source: l.source}}, nil
}

// next returns the next run, and false at the end or when the block is damaged,
// which err tells.
func (b *blockReader) next() (run, bool) {
	if len(b.rest) == 0 {
		return run{}, false
	}
	b.last.person += b.varint()
	b.last.variable = VariableID(b.varint())
	length := b.uvarint()
	if b.bad || length > uint64(len(b.rest)) {
		b.fail()
		return run{}, false
	}
	return run{key: b.last, load: b.load, body: b.bytes(int(length))}, true
}

func (b *blockReader) err() error {
	if b.bad {
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
