package cohort

import (
	"fmt"
	"strconv"
	"strings"
)

// comparing are the comparisons in words; those with an extent have its place.
var comparing = map[string]string{
	"lt": "is less than %s", "lte": "is at most %s", "eq": "is %s", "!eq": "is not %s", "gt": "is more than %s", "gte": "is at least %s",
	"bt": "is from %s to %s", "!bt": "is not from %s to %s",
}

// comparingDays are those of days.
var comparingDays = map[string]string{
	"lt": "is before %s", "lte": "is on or before %s", "eq": "is %s", "!eq": "is not %s", "gt": "is after %s", "gte": "is on or after %s",
	"bt": "is from %s to %s", "!bt": "is not from %s to %s",
}

var matching = map[string]string{
	"startsWith": "starts with", "contains": "contains", "endsWith": "ends with", "eq": "is",
	"!startsWith": "does not start with", "!contains": "does not contain", "!endsWith": "does not end with", "!eq": "is not",
}

// demographic says what a filter asks of the person or of the days of the anchor.
func (e *explainer) demographic(f Filter, anchor string) string {
	switch {
	case f.Date != nil:
		field, _ := Person.field(f.Field)
		return "the " + field.Words + " of " + anchor + " " + compare(comparingDays, f.Date.Op, f.Date.Value, f.Date.Extent)
	case f.Number != nil:
		return e.filter(Person, f) + " at " + anchor
	}
	return e.filter(Person, f)
}

// filter says what one field of an event must be.
func (e *explainer) filter(of Domain, f Filter) string {
	field, known := of.field(f.Field)
	if !known {
		field = Field{Words: f.Field}
	}
	its := "its " + field.Words
	if of == Person || field.Reads == Person || strings.HasPrefix(field.Words, "provider's") {
		its = "the " + field.Words
	}
	switch {
	case f.Number != nil:
		n := *f.Number
		unit := ""
		if field.Unit != "" {
			unit = " " + field.Unit + "s"
			if last := n.last(); last == 1 {
				unit = " " + field.Unit
			}
		}
		return its + " " + compare(comparing, n.Op, plain(n.Value), plain(n.Extent)) + unit
	case f.Date != nil:
		return its + " " + compare(comparingDays, f.Date.Op, f.Date.Value, f.Date.Extent)
	case f.Text != nil:
		return fmt.Sprintf("%s %s %q", its, matching[f.Text.Op], f.Text.Text)
	case f.Set != nil:
		return its + " " + e.selection(*f.Set)
	case f.Source != nil:
		return its + " is in " + e.set(*f.Source)
	case f.Flag:
		return its
	case f.Period != nil:
		return its + " " + covering(*f.Period)
	}
	return its + " " + e.anyOf(f)
}

func (n NumericRange) last() float64 {
	if isBetween(n.Op) {
		return n.Extent
	}
	return n.Value
}

func compare(words map[string]string, op, value, extent string) string {
	if isBetween(op) {
		return fmt.Sprintf(words[op], value, extent)
	}
	return fmt.Sprintf(words[op], value)
}

func plain(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

func (e *explainer) selection(s SetSelection) string {
	switch {
	case s.Set == nil && s.Exclusion:
		return "is not recorded"
	case s.Set == nil:
		return "is recorded"
	case s.Exclusion:
		return "is not in " + e.set(*s.Set)
	}
	return "is in " + e.set(*s.Set)
}

func covering(p Period) string {
	switch {
	case p.Start != "" && p.End != "":
		return fmt.Sprintf("covers %s and %s, which are taken as its start and end", p.Start, p.End)
	case p.Start != "":
		return fmt.Sprintf("covers %s, which is taken as its start", p.Start)
	}
	return fmt.Sprintf("covers %s, which is taken as its end", p.End)
}

func (e *explainer) anyOf(f Filter) string {
	names := make([]string, len(f.Concepts))
	for i, id := range f.Concepts {
		name := ""
		if i < len(f.Names) {
			name = f.Names[i]
		}
		names[i] = e.name(id, name)
	}
	switch {
	case len(names) == 1 && f.Exclude:
		return "is not " + names[0]
	case len(names) == 1:
		return "is " + names[0]
	case f.Exclude:
		return "is none of " + strings.Join(names, ", ")
	}
	return "is one of " + strings.Join(names, ", ")
}
