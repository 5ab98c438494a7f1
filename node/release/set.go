package release

import (
	"encoding/binary"
	"errors"
	"iter"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/omop"
)

// set is a sorted list of distinct person numbers. It stays inside this
// package and the node's own database.
type set []int64

func newSet(persons []omop.PersonID) (set, error) {
	s := make(set, 0, len(persons))
	for _, p := range persons {
		id, err := numberOf(p)
		if err != nil {
			return nil, err
		}
		s = append(s, id)
	}
	slices.Sort(s)
	return slices.Compact(s), nil
}

func numberOf(p omop.PersonID) (int64, error) {
	v, err := p.Value()
	if err != nil {
		return 0, err
	}
	id, ok := v.(int64)
	if !ok {
		return 0, errors.New("release: a person has no number")
	}
	return id, nil
}

func (s set) persons() ([]omop.PersonID, error) {
	persons := make([]omop.PersonID, len(s))
	for i, id := range s {
		if err := persons[i].Scan(id); err != nil {
			return nil, err
		}
	}
	return persons, nil
}

func union(sets ...set) set {
	u := slices.Concat(sets...)
	slices.Sort(u)
	return slices.Compact(u)
}

// differences returns how many are only in s and only in t.
func (s set) differences(t set) (onlyS, onlyT int) {
	i, j := 0, 0
	for i < len(s) && j < len(t) {
		switch {
		case s[i] == t[j]:
			i++
			j++
		case s[i] < t[j]:
			onlyS++
			i++
		default:
			onlyT++
			j++
		}
	}
	return onlyS + len(s) - i, onlyT + len(t) - j
}

// places yields where in everybody, who include s, the persons of s are.
func (s set) places(everybody set) iter.Seq[int] {
	return func(yield func(int) bool) {
		from := 0
		for _, id := range s {
			for everybody[from] != id {
				from++
			}
			if !yield(from) {
				return
			}
		}
	}
}

// bytes writes the gaps between the numbers as varints.
func (s set) bytes() []byte {
	raw := make([]byte, 0, 2*len(s))
	var last int64
	for _, id := range s {
		raw = binary.AppendVarint(raw, id-last)
		last = id
	}
	return raw
}

func parseSet(raw []byte) (set, error) {
	var s set
	var last int64
	for len(raw) > 0 {
		gap, n := binary.Varint(raw)
		if n <= 0 {
			return nil, errors.New("release: a stored set is damaged")
		}
		last += gap
		s, raw = append(s, last), raw[n:]
	}
	return s, nil
}

// words of a released vector, little-endian.
func wordsToBytes(words []uint64) []byte {
	raw := make([]byte, 0, 8*len(words))
	for _, w := range words {
		raw = binary.LittleEndian.AppendUint64(raw, w)
	}
	return raw
}

func bytesToWords(raw []byte) []uint64 {
	words := make([]uint64, len(raw)/8)
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return words
}
