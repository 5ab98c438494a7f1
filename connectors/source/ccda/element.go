package ccda

import (
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// element is one element with what it holds. A nil element holds nothing, so that a path
// of names can be followed without asking at each step.
type element struct {
	private

	name     string
	attrs    []attribute
	text     []byte // its own, without that of children
	children []*element
}

// attr is the value of an attribute, empty if there is none.
func (e *element) attr(name string) string {
	if e == nil {
		return ""
	}
	for _, a := range e.attrs {
		if a.name == name {
			return strings.TrimSpace(a.value)
		}
	}
	return ""
}

// is reports whether e is there and says something, rather than why it does not.
func (e *element) is() bool { return e != nil && e.attr("nullFlavor") == "" }

// words is e's own text with its white space made single.
func (e *element) words() string {
	if e == nil {
		return ""
	}
	return strings.Join(strings.Fields(string(e.text)), " ")
}

// at follows a path of names, taking the first of each.
func (e *element) at(path ...string) *element {
	for _, name := range path {
		var found *element
		for c := range e.each(name) {
			found = c
			break
		}
		e = found
	}
	return e
}

// each yields the children of one name.
func (e *element) each(name string) func(yield func(*element) bool) {
	return func(yield func(*element) bool) {
		if e == nil {
			return
		}
		for _, c := range e.children {
			if c.name == name && !yield(c) {
				return
			}
		}
	}
}

// of reports whether e asserts a template of C-CDA's entries, whatever its version.
func (e *element) of(template string) bool {
	for t := range e.each("templateId") {
		if t.attr("root") == entryTemplates+template {
			return true
		}
	}
	return false
}

// entryTemplates is what the templates of C-CDA's entries begin with.
const entryTemplates = "2.16.840.1.113883.10.20.22.4."

// may reports whether e may be what a template of C-CDA describes: it asserts that one, or
// none of C-CDA's, as documents of other guides do.
func (e *element) may(template string) bool {
	other := false
	for t := range e.each("templateId") {
		root := t.attr("root")
		if root == entryTemplates+template {
			return true
		}
		other = other || strings.HasPrefix(root, entryTemplates)
	}
	return !other
}

// tree reads the element whose start has been read, to its end. Of one with more than
// limit elements and attributes nothing is kept: it is nil, with no error.
func (s *scanner) tree(start token, limit *int) (*element, error) {
	root := &element{name: start.name, attrs: start.attrs}
	path := []*element{root}
	*limit -= 1 + len(start.attrs)
	for len(path) > 0 {
		t, err := s.next()
		if err != nil {
			return nil, err
		}
		top := path[len(path)-1]
		switch t.kind {
		case tokenStart:
			e := &element{name: t.name, attrs: t.attrs}
			if *limit -= 1 + len(t.attrs); *limit >= 0 {
				top.children = append(top.children, e)
			}
			path = append(path, e)
		case tokenText:
			if *limit >= 0 {
				top.text = append(top.text, t.text...)
			}
		case tokenEnd:
			path = path[:len(path)-1]
		}
	}
	if *limit < 0 {
		return nil, nil
	}
	return root, nil
}

// skip reads to the end of the element whose start has been read.
func (s *scanner) skip() error {
	for depth := 1; depth > 0; {
		t, err := s.next()
		if err != nil {
			return err
		}
		switch t.kind {
		case tokenStart:
			depth++
		case tokenEnd:
			depth--
		}
	}
	return nil
}

// tooMany is the problem of a tree over its limit.
func tooMany(line int, path string) *fhir.Problem {
	return &fhir.Problem{Rule: fhir.RuleTooLarge, Line: line, Path: path, Detail: "more elements than the limit"}
}
