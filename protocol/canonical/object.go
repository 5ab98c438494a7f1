package canonical

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// member is one name of an object, and where it stands with its canonical value.
type member struct {
	name     string
	from, to int
}

func (r *reader) appendObject(out []byte) ([]byte, error) {
	r.at++
	out = append(out, '{')
	if r.take('}') {
		return append(out, '}'), nil
	}
	start := len(out)
	var members []member
	for {
		if r.space(); r.peek() != '"' {
			return nil, r.malformed()
		}
		name, err := r.text()
		if err != nil {
			return nil, err
		}
		if !r.take(':') {
			return nil, r.malformed()
		}
		from := len(out)
		if out, err = r.appendValue(append(appendString(out, name), ':')); err != nil {
			return nil, err
		}
		members = append(members, member{name, from, len(out)})
		if r.take('}') {
			break
		}
		if !r.take(',') {
			return nil, r.malformed()
		}
		out = append(out, ',')
	}
	if r.folded && foldedNames(members) {
		return nil, ErrFoldedName
	}
	out, err := inOrder(out, start, members)
	return append(out, '}'), err
}

// inOrder sorts the members that stand in out from start on.
func inOrder(out []byte, start int, members []member) ([]byte, error) {
	sorted := slices.IsSortedFunc(members, compareNames)
	var given []byte
	if !sorted {
		given = slices.Clone(out[start:])
		slices.SortFunc(members, compareNames)
	}
	for i := 1; i < len(members); i++ {
		if members[i].name == members[i-1].name {
			return nil, ErrDuplicateName
		}
	}
	if sorted {
		return out, nil
	}
	out = out[:start]
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, given[m.from-start:m.to-start]...)
	}
	return out, nil
}

// compareNames orders by UTF-16 code units, RFC 8785 section 3.2.3.
func compareNames(a, b member) int {
	if isASCII(a.name) && isASCII(b.name) {
		return strings.Compare(a.name, b.name)
	}
	return slices.Compare(utf16.Encode([]rune(a.name)), utf16.Encode([]rune(b.name)))
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// foldedNames reports whether two different names differ only in case.
func foldedNames(members []member) bool {
	if len(members) < 2 {
		return false
	}
	seen := make(map[string]string, len(members))
	for _, m := range members {
		folded := fold(m.name)
		if other, ok := seen[folded]; ok && other != m.name {
			return true
		}
		seen[folded] = m.name
	}
	return false
}

// fold maps names that encoding/json takes for one field to one text.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		for least := unicode.SimpleFold(r); ; least = unicode.SimpleFold(least) {
			if least <= r {
				return least
			}
		}
	}, name)
}
