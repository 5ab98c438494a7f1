package series

import "encoding/binary"

// Columns are sequences of small integers. Each is a varint in zigzag order as in
// encoding/binary; a 0 is followed by how many more zeros there are, so that a
// regular clock or a constant value takes a few bytes whatever its length.

// appendIntegers adds column, n values of next, to dst.
func appendIntegers(dst []byte, n int, next func(i int) int64) []byte {
	for i := 0; i < n; {
		v := next(i)
		i++
		dst = binary.AppendVarint(dst, v)
		if v != 0 {
			continue
		}
		run := i
		for i < n && next(i) == 0 {
			i++
		}
		dst = binary.AppendUvarint(dst, uint64(i-run))
	}
	return dst
}

// reader takes an encoding apart. After the first damage bad is set and every
// further result is zero.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) byte() byte { return r.bytes(1)[0] }

// bytes returns the next n bytes, n zeros when damaged; n is at most 8 or checked
// against the rest.
func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.fail()
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// count is a uvarint from 1 to limit.
func (r *reader) count(limit int) int {
	n := r.uvarint()
	if n < 1 || n > uint64(limit) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) fail() { r.rest, r.bad = nil, true }

// integers gives a column of n values to set.
func (r *reader) integers(n int, set func(i int, v int64)) {
	for i := 0; i < n && !r.bad; {
		v := r.varint()
		set(i, v)
		i++
		if v != 0 {
			continue
		}
		run := r.uvarint()
		if run > uint64(n-i) {
			r.fail()
			return
		}
		for ; run > 0; run-- {
			set(i, 0)
			i++
		}
	}
}
