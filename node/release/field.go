package release

import (
	"math/bits"
	"slices"
)

// field is arithmetic modulo a prime below 2^61, which counts what it costs.
type field struct {
	prime uint64
	spent *int // multiplications of whole rows, in numbers
}

func (f field) mul(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return bits.Rem64(hi, lo, f.prime)
}

// inverse of a is a^(p-2).
func (f field) inverse(a uint64) uint64 {
	r := uint64(1)
	for e := f.prime - 2; e > 0; e >>= 1 {
		if e&1 == 1 {
			r = f.mul(r, a)
		}
		a = f.mul(a, a)
	}
	return r
}

// clear makes row zero at column by adding a multiple of by, which is 1 there.
func (f field) clear(row, by []uint64, column int) {
	if row[column] == 0 {
		return
	}
	*f.spent += len(row)
	factor := f.prime - row[column]
	for i, v := range by {
		if v != 0 {
			row[i] = (row[i] + f.mul(factor, v)) % f.prime
		}
	}
}

// scale multiplies row so that it is 1 at column.
func (f field) scale(row []uint64, column int) {
	*f.spent += 128 + len(row)
	factor := f.inverse(row[column])
	for i, v := range row {
		if v != 0 {
			row[i] = f.mul(factor, v)
		}
	}
}

// without returns a basis of those vectors of the space that are zero at column.
func (f field) without(space [][]uint64, column int) [][]uint64 {
	at := slices.IndexFunc(space, func(row []uint64) bool { return row[column] != 0 })
	if at < 0 {
		return space
	}
	pivot := slices.Clone(space[at])
	f.scale(pivot, column)
	rest := make([][]uint64, 0, len(space)-1)
	for i, row := range space {
		if i == at {
			continue
		}
		if row[column] != 0 {
			row = slices.Clone(row)
			f.clear(row, pivot, column)
		}
		rest = append(rest, row)
	}
	return rest
}

// parts splits the space into spaces that have no column of those from from to to in
// common: what is true of a lightest vector is true of one of a part, as its own
// shares in the parts are no heavier. Vectors are reduced first, so that what can
// come apart does.
func (f field) parts(space [][]uint64, from, to int) [][][]uint64 {
	reduced := make([][]uint64, len(space))
	for i, row := range space {
		reduced[i] = slices.Clone(row)
	}
	done := 0
	for c := from; c < to && done < len(reduced); c++ {
		at := slices.IndexFunc(reduced[done:], func(row []uint64) bool { return row[c] != 0 })
		if at < 0 {
			continue
		}
		reduced[done], reduced[done+at] = reduced[done+at], reduced[done]
		f.scale(reduced[done], c)
		for i, row := range reduced {
			if i != done {
				f.clear(row, reduced[done], c)
			}
		}
		done++
	}
	shared := newForest(len(reduced))
	for c := from; c < to; c++ {
		first := -1
		for i, row := range reduced {
			switch {
			case row[c] == 0:
			case first < 0:
				first = i
			default:
				shared.join(first, i)
			}
		}
	}
	var parts [][][]uint64
	for _, part := range shared.parts() {
		var rows [][]uint64
		for _, i := range part {
			rows = append(rows, reduced[i])
		}
		parts = append(parts, rows)
	}
	return parts
}

// basis is a set of linearly independent vectors, in echelon form.
type basis struct {
	field   field
	columns int // of a vector that count; what follows comes along
	rows    [][]uint64
	pivots  []int
}

// add takes a vector, which it changes, if it is independent of the others.
func (b *basis) add(v []uint64) bool {
	for i, row := range b.rows {
		b.field.clear(v, row, b.pivots[i])
	}
	pivot := slices.IndexFunc(v[:b.columns], func(x uint64) bool { return x != 0 })
	if pivot < 0 {
		return false
	}
	b.field.scale(v, pivot)
	b.rows, b.pivots = append(b.rows, v), append(b.pivots, pivot)
	return true
}
