package cohort

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/spelling"
)

// reader keeps the first thing that is wrong with a definition and counts its parts.
// After an error everything it returns means nothing.
type reader struct {
	err   error
	parts int
	items int
	idle  []string
}

// object is one JSON object. Each member is taken at most once; what is left when it
// ends is an error, because a member that nobody reads would be silently ignored.
type object struct {
	r       *reader
	path    string
	members map[string]any
	absent  *[]string // members that were asked for and are not there
}

// fault is an error about one element.
type fault struct{ path, what string }

func (f fault) Error() string { return fmt.Sprintf("cohort: %s: %s", f.path, f.what) }

// Unwrap makes it an error that may cross the border.
func (f fault) Unwrap() error { return problem.New(problem.Invalid, f.Error()) }

func invalid(path, what string) error { return fault{path, what} }

func (r *reader) fail(path, what string) {
	if r.err == nil {
		r.err = invalid(path, what)
	}
}

// part counts a criterion, group, filter or rule.
func (r *reader) part(path string) {
	if r.parts++; r.parts > maxParts {
		r.fail(path, fmt.Sprintf("a definition has at most %d parts", maxParts))
	}
}

func (r *reader) object(value any, path string) object {
	members, ok := value.(map[string]any)
	if !ok {
		r.fail(path, "must be an object")
	}
	return object{r: r, path: path, members: members, absent: new([]string)}
}

// at returns the path of a member.
func (o object) at(name string) string {
	if o.path == "" {
		return name
	}
	return o.path + "." + name
}

// take returns a member's value once, nil if it is absent or null.
func (o object) take(name string) any {
	value, there := o.members[name]
	delete(o.members, name)
	if !there && o.absent != nil {
		*o.absent = append(*o.absent, name)
	}
	return value
}

// isNull reports whether a member is there and null.
func (o object) isNull(name string) bool {
	value, there := o.members[name]
	return there && value == nil
}

// skip drops members that mean nothing to evaluation.
func (o object) skip(names ...string) {
	for _, name := range names {
		switch o.take(name).(type) {
		case map[string]any, []any:
			o.r.fail(o.at(name), "must be a text or a number")
		}
	}
}

// end fails if a member was not taken.
func (o object) end() {
	for _, name := range slices.Sorted(maps.Keys(o.members)) {
		hint := ""
		if o.absent != nil {
			hint = spelling.Hint(name, *o.absent...)
		}
		if len(name) > maxName {
			name = name[:maxName] + "..."
		}
		o.r.fail(o.at(strings.ToValidUTF8(name, "")), "is not an element of a cohort definition here"+hint)
	}
}

// child returns a member that is an object, and whether it is there.
func (o object) child(name string) (object, bool) {
	value := o.take(name)
	if value == nil {
		return object{r: o.r, path: o.at(name)}, false
	}
	return o.r.object(value, o.at(name)), true
}

// required is [object.child] for one that must be there.
func (o object) required(name string) object {
	child, there := o.child(name)
	if !there {
		o.r.fail(child.path, "is missing")
	}
	return child
}

func (o object) list(name string) []any {
	value := o.take(name)
	list, ok := value.([]any)
	if value != nil && !ok {
		o.r.fail(o.at(name), "must be a list")
	}
	return list
}

// each calls read for the elements of a list, with their paths.
func (o object) each(name string, read func(value any, path string)) {
	for i, value := range o.list(name) {
		read(value, o.at(name)+"["+strconv.Itoa(i)+"]")
	}
}

func (o object) flag(name string) bool {
	value := o.take(name)
	flag, ok := value.(bool)
	if value != nil && !ok {
		o.r.fail(o.at(name), "must be true or false")
	}
	return flag
}

// choice is [object.flag] where absence means something else than false.
func (o object) choice(name string) *bool {
	if value, there := o.members[name]; !there || value == nil {
		o.take(name)
		return nil
	}
	flag := o.flag(name)
	return &flag
}

// text returns a member that is a text, "" if it is absent.
func (o object) text(name string) string {
	value := o.take(name)
	text, ok := value.(string)
	if value != nil && !ok {
		o.r.fail(o.at(name), "must be a text")
	}
	return text
}

// number returns a number, which ATLAS has also written as a text, and whether it is there.
func (o object) number(name string) (float64, bool) {
	var written string
	switch value := o.take(name).(type) {
	case nil:
		return 0, false
	case json.Number:
		written = value.String()
	case string:
		if written = strings.TrimSpace(value); written == "" {
			return 0, false
		}
	default:
		o.r.fail(o.at(name), "must be a number")
		return 0, false
	}
	n, err := strconv.ParseFloat(written, 64)
	if err != nil || math.IsNaN(n) || math.Abs(n) > maxNumber || strings.ContainsAny(written, "xX_") {
		o.r.fail(o.at(name), fmt.Sprintf("must be a number of at most %.0e", float64(maxNumber)))
		return 0, false
	}
	return n, true
}

// whole returns an integer of lo to hi, nil if it is absent.
func (o object) whole(name string, lo, hi int) *int {
	n, there := o.number(name)
	if !there {
		return nil
	}
	if n != math.Trunc(n) || n < float64(lo) || n > float64(hi) {
		o.r.fail(o.at(name), fmt.Sprintf("must be a whole number of %d to %d", lo, hi))
		return nil
	}
	i := int(n)
	return &i
}

// count is [object.whole] where absence means 0.
func (o object) count(name string, lo, hi int) int {
	if n := o.whole(name, lo, hi); n != nil {
		return *n
	}
	return 0
}
