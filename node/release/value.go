package release

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// valuesOf begins the measure of the values behind the sums of another measure.
const valuesOf = "values of "

// newValues returns a set of values: for each person, one element for being in it and one
// for the value. So a person who leaves changes two elements, as does a value that becomes
// another, and what is about a number of persons is about [perPerson] times as many elements.
func newValues(values []Value) (set, error) {
	s := make(set, 0, 2*len(values))
	for _, v := range values {
		person, err := numberOf(v.Person)
		if err != nil {
			return nil, err
		}
		raw := binary.LittleEndian.AppendUint64(nil, uint64(person))
		s = append(s, element(raw), element(binary.LittleEndian.AppendUint64(raw, math.Float64bits(v.Number+0)))) // -0 is 0
	}
	slices.Sort(s)
	return slices.Compact(s), nil
}

// element is a number of 63 bits for some bytes. Two of a million fall together with a
// chance of one in ten million.
func element(raw []byte) int64 {
	sum := sha256.Sum256(raw)
	return int64(binary.LittleEndian.Uint64(sum[:]) >> 1)
}

// perPerson returns how many elements of a measure's sets a person makes up.
func perPerson(measure string) int {
	if strings.HasPrefix(measure, valuesOf) {
		return 2
	}
	return 1
}

// behind returns the sets behind each number of the answer, by measure.
func (a Answer) behind() (map[string][]set, error) {
	out := make(map[string][]set)
	for measure, cells := range a.Sets {
		for _, persons := range cells {
			s, err := newSet(persons)
			if err != nil {
				return nil, err
			}
			out[measure] = append(out[measure], s)
		}
	}
	for measure, cells := range a.Values {
		for _, values := range cells {
			s, err := newValues(values)
			if err != nil {
				return nil, err
			}
			out[valuesOf+measure] = append(out[valuesOf+measure], s)
		}
	}
	return out, nil
}
