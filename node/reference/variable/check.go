package variable

import (
	"math"
	"net/url"
	"regexp"
	"slices"

	"github.com/trialmesh/trialmesh/node/reference"
	"github.com/trialmesh/trialmesh/protocol/ucum"
)

var category = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// Widths of texts, in bytes.
const (
	maxSystem  = 256
	maxCode    = 256
	maxDisplay = 255
)

// check says what is wrong with a whole list.
func check(list []entry) error {
	var faults reference.Faults
	concepts := map[int64][]int{}
	for i := range list {
		e := &list[i]
		e.check(&faults)
		for _, j := range concepts[e.Concept] {
			if f := &list[j]; e.From <= f.To && f.From <= e.To {
				faults.Add(e.line, "%s %s has the concept of %s %s on the same days: its bounds would be ambiguous", e.System, e.Code, f.System, f.Code)
				break
			}
		}
		concepts[e.Concept] = append(concepts[e.Concept], i)
	}
	return faults.Err()
}

func (e *entry) check(faults *reference.Faults) {
	if u, err := url.Parse(e.System); err != nil || !u.IsAbs() || len(e.System) > maxSystem {
		faults.Add(e.line, "system is no URI, such as http://loinc.org")
	}
	switch {
	case e.Code == "" || len(e.Code) > maxCode:
		faults.Add(e.line, "code is empty or over 256 bytes")
	case !category.MatchString(e.Category):
		faults.Add(e.line, "category is not lower-case letters, digits and hyphens, such as vital-signs")
	case len(e.Display) > maxDisplay:
		faults.Add(e.line, "display is over 255 bytes")
	case e.Concept <= 0 || e.Concept > math.MaxInt32:
		faults.Add(e.line, "concept_id is missing, and the vocabulary has no standard concept for the code")
	case e.From > e.To:
		faults.Add(e.line, "valid_to is before valid_from")
	case len(e.Units) == 0:
		faults.Add(e.line, "there is no unit")
	}
	var codes []string
	var concepts []int64
	for i, u := range e.Units {
		line := e.units[i]
		if slices.Contains(codes, u.Code) {
			faults.Add(line, "unit %s comes twice", u.Code)
		}
		if slices.ContainsFunc(u.Concepts, func(c int64) bool { return slices.Contains(concepts, c) }) {
			faults.Add(line, "unit %s has the concept of another unit of the variable", u.Code)
		}
		codes, concepts = append(codes, u.Code), append(concepts, u.Concepts...)
		u.check(line, faults)
	}
}

func (u Unit) check(line int, faults *reference.Faults) {
	_, err := ucum.Parse(u.Code)
	switch {
	case u.Code == "" || err != nil:
		faults.Add(line, "unit is no UCUM code")
	case len(u.Concepts) == 0:
		faults.Add(line, "unit_concept_ids is missing, and the vocabulary has no standard concept for the unit")
	case slices.ContainsFunc(u.Concepts, func(c int64) bool { return c <= 0 || c > math.MaxInt32 }):
		faults.Add(line, "unit_concept_ids holds what is no concept's number")
	}
	if ordered := u.Min <= u.Low && u.Low <= u.High && u.High <= u.Max; !ordered { // nor if one is no number
		faults.Add(line, "bounds are not in order: want min <= low <= high <= max")
	}
}
