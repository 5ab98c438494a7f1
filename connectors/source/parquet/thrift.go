package parquet

import "encoding/binary"

// The library makes room for as many elements as a list of the footer claims before it
// reads one, which may be more than there is memory. An element takes a byte or more, so a
// list that claims more than bytes are left is refused here first.
//
// Source: Apache Thrift, "Thrift Compact protocol encoding".

// Types of values in Thrift's compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftStruct = 12
)

const (
	maxThriftDepth = 32

	// maxThriftParts bounds structures and elements of lists. One may be a byte of the footer
	// and takes the library up to some hundred.
	maxThriftParts = 256 << 10
)

// thrift is what is left of a message.
type thrift struct {
	rest  []byte
	depth int
	parts int
}

// checkStruct returns errCorrupt unless b begins with a structure of which no part claims to
// be larger than b, and errFooter if it has too many parts.
func checkStruct(b []byte) error {
	t := &thrift{rest: b}
	switch ok := t.structure(); {
	case t.parts > maxThriftParts:
		return errFooter
	case !ok:
		return errCorrupt
	}
	return nil
}

func (t *thrift) byte() (byte, bool) {
	if len(t.rest) == 0 {
		return 0, false
	}
	b := t.rest[0]
	t.rest = t.rest[1:]
	return b, true
}

func (t *thrift) varint() (uint64, bool) {
	v, n := binary.Uvarint(t.rest)
	if n <= 0 {
		return 0, false
	}
	t.rest = t.rest[n:]
	return v, true
}

func (t *thrift) skip(n uint64) bool {
	if n > uint64(len(t.rest)) {
		return false
	}
	t.rest = t.rest[n:]
	return true
}

func (t *thrift) structure() bool {
	if t.depth++; t.depth > maxThriftDepth {
		return false
	}
	defer func() { t.depth-- }()
	if t.parts++; t.parts > maxThriftParts {
		return false
	}
	for {
		head, ok := t.byte()
		if !ok || head == 0 {
			return ok
		}
		if head>>4 == 0 { // the field's number follows
			if _, ok := t.varint(); !ok {
				return false
			}
		}
		if kind := head & 15; kind != thriftTrue && kind != thriftFalse && !t.value(kind) {
			return false
		}
	}
}

func (t *thrift) value(kind byte) bool {
	switch {
	case kind == thriftTrue, kind == thriftFalse, kind == thriftByte: // in a list
		return t.skip(1)
	case kind >= thriftI16 && kind <= thriftI64:
		_, ok := t.varint()
		return ok
	case kind == thriftDouble:
		return t.skip(8)
	case kind == thriftBinary:
		n, ok := t.varint()
		return ok && t.skip(n)
	case kind == thriftList, kind == thriftSet:
		return t.list()
	case kind == thriftStruct:
		return t.structure()
	}
	return false // of maps a footer has none
}

func (t *thrift) list() bool {
	if t.depth++; t.depth > maxThriftDepth {
		return false
	}
	defer func() { t.depth-- }()
	head, ok := t.byte()
	n := uint64(head >> 4)
	if ok && n == 15 {
		n, ok = t.varint()
	}
	if !ok || n > uint64(len(t.rest)) {
		return false
	}
	if t.parts += int(n); t.parts > maxThriftParts {
		return false
	}
	for range n {
		if !t.value(head & 15) {
			return false
		}
	}
	return true
}
