package analysis

import (
	"bytes"
	"encoding/json"
	"math"
)

// stateTolerance is how far a number of a state may be from the one computed here,
// relative to the larger of it and 1. Processors differ in the last digits of a double,
// and decompositions lose some; to be of use to somebody who wants to see a person's row,
// a state would have to be altogether another one.
const stateTolerance = 1e-6

// Follows reports whether a state that came from elsewhere is the one computed here.
func Follows(came, computed State) bool {
	var a, b any
	for _, s := range []struct {
		raw State
		out *any
	}{{came, &a}, {computed, &b}} {
		if json.NewDecoder(bytes.NewReader(s.raw)).Decode(s.out) != nil {
			return false
		}
	}
	return alike(a, b)
}

func alike(a, b any) bool {
	switch a := a.(type) {
	case float64:
		b, is := b.(float64)
		return is && math.Abs(a-b) <= stateTolerance*max(math.Abs(a), math.Abs(b), 1)
	case []any:
		b, is := b.([]any)
		if !is || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !alike(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, is := b.(map[string]any)
		if !is || len(a) != len(b) {
			return false
		}
		for k := range a {
			if v, there := b[k]; !there || !alike(a[k], v) {
				return false
			}
		}
		return true
	}
	return a == b
}
