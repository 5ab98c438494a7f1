package hl7v2

import "strings"

// delimiters are the characters of MSH-1 and MSH-2. A fifth one of MSH-2, for
// truncation, is of no use to a reader.
type delimiters struct{ field, component, repeat, escape, sub byte }

// parseDelimiters reads the beginning of an MSH segment. They must be five different
// printable characters that a segment's name or a number cannot hold; the last may be
// absent, as in old messages without subcomponents.
func parseDelimiters(msh string) (delimiters, bool) {
	if len(msh) < 7 || msh[:3] != "MSH" {
		return delimiters{}, false
	}
	d := delimiters{field: msh[3], component: msh[4], repeat: msh[5], escape: msh[6]}
	if len(msh) > 7 && msh[7] != d.field {
		d.sub = msh[7]
	}
	all := []byte{d.field, d.component, d.repeat, d.escape, d.sub}
	for i, c := range all {
		if c == 0 && i == 4 {
			break
		}
		if c <= ' ' || c > '~' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			return delimiters{}, false
		}
		if strings.IndexByte(string(all[:i]), c) >= 0 {
			return delimiters{}, false
		}
	}
	return d, true
}

// field is the text of a field, repetition, component or subcomponent as sent. Each
// accessor goes one level down; where there is only one part, it is the whole, so an
// element that a later version split is read in both forms.
type field struct {
	private

	raw string
	d   *delimiters
}

// null is what a sender writes to say that a value is to be deleted. For a record that
// replaces the earlier one it is the same as an absent value.
const null = `""`

// empty reports whether the element says nothing.
func (f field) empty() bool {
	if f.raw == "" || f.raw == null {
		return true
	}
	for i := range len(f.raw) {
		switch c := f.raw[i]; c {
		case f.d.component, f.d.repeat, f.d.sub, ' ':
		default:
			return false
		}
	}
	return true
}

// repeats are the repetitions that say something.
func (f field) repeats() []field {
	if f.empty() {
		return nil
	}
	if strings.IndexByte(f.raw, f.d.repeat) < 0 {
		return []field{f}
	}
	var all []field
	for part := range strings.SplitSeq(f.raw, string(f.d.repeat)) {
		if one := (field{raw: part, d: f.d}); !one.empty() {
			all = append(all, one)
		}
	}
	return all
}

// at is component i, from 1, of the first repetition.
func (f field) at(i int) field {
	raw, _, _ := strings.Cut(f.raw, string(f.d.repeat))
	return field{raw: part(raw, f.d.component, i), d: f.d}
}

// sub is subcomponent i, from 1, of a component.
func (f field) sub(i int) field {
	if f.d.sub == 0 {
		if i > 1 {
			return field{d: f.d}
		}
		return f
	}
	return field{raw: part(f.raw, f.d.sub, i), d: f.d}
}

// part is the i-th of the parts of s between separators, from 1; empty beyond the end.
func part(s string, separator byte, i int) string {
	for ; i > 1; i-- {
		at := strings.IndexByte(s, separator)
		if at < 0 {
			return ""
		}
		s = s[at+1:]
	}
	if at := strings.IndexByte(s, separator); at >= 0 {
		return s[:at]
	}
	return s
}

// text is the element without escapes and surrounding blanks. Delimiters below its
// level are kept: a sender who forgot to escape them meant them.
func (f field) text() string {
	if f.raw == null {
		return ""
	}
	return strings.TrimSpace(unescape(f.raw, f.d))
}
