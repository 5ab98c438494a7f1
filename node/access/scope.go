package access

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Action is something that is done with FHIR resources, or several of them together.
type Action uint8

// The actions, in the order in which a scope names them. A search returns what it finds,
// and an update may make a resource that is not there.
//
// Source: HL7 SMART App Launch 2.2, "Scopes for requesting FHIR Resources".
const (
	Create Action = 1 << iota
	Read          // of one resource and its versions
	Update
	Delete
	Search
)

// letters are those of the actions, in their order.
const letters = "cruds"

// String writes actions as a scope does.
func (a Action) String() string {
	var b strings.Builder
	for i := range letters {
		if a&(1<<i) != 0 {
			b.WriteByte(letters[i])
		}
	}
	return b.String()
}

// actions reads what stands behind the dot of a scope: letters in their order, or a
// name of the first version of SMART.
func actions(text string) (Action, bool) {
	switch text {
	case "read":
		return Read | Search, true
	case "write":
		return Create | Update | Delete, true
	case "*":
		return Create | Read | Update | Delete | Search, true
	}
	var a Action
	last := -1
	for _, c := range text {
		at := strings.IndexRune(letters, c)
		if at <= last {
			return 0, false
		}
		a, last = a|1<<at, at
	}
	return a, a != 0
}

// Own is a scope of the node's own routes.
type Own string

// The node's own scopes.
const (
	Ingest         Own = "ingest"
	JobsRead       Own = "jobs.read"
	JobsWrite      Own = "jobs.write"
	ReferenceRead  Own = "reference.read"
	ReferenceWrite Own = "reference.write"
	Quality        Own = "quality"
	Consent        Own = "consent"
	Writeback      Own = "writeback"
	Status         Own = "status"
	Audit          Own = "audit"
)

// Purpose is a scope of the node's own and what it is for.
type Purpose struct {
	Scope Own
	What  string
}

// Owns are the node's own scopes.
func Owns() []Purpose {
	return []Purpose{
		{Ingest, "Bring files and time series"},
		{JobsRead, "See loads and pulls, and what was found in them"},
		{JobsWrite, "Retry and cancel loads, map files again, start and cancel pulls"},
		{ReferenceRead, "See variables, units and codes"},
		{ReferenceWrite, "Change variables and codes"},
		{Quality, "Make and see data quality reports"},
		{Consent, "Record consents, enroll who consented, and see how many there are"},
		{Writeback, "Write to EHRs and see what became of it"},
		{Status, "See how the node stands, what it has series of, and its metrics"},
		{Audit, "See what the node decided"},
	}
}

func isOwn(text string) bool {
	return slices.ContainsFunc(Owns(), func(p Purpose) bool { return p.Scope == Own(text) })
}

// every is the type of a scope for resources of all types.
const every = "*"

// Scopes are what a client may do, or wants to. The zero value is nothing.
type Scopes struct {
	own  map[Own]bool
	fhir map[string]Action // by type, or every
}

// ResourceScope is the scope that allows actions with resources of a type.
func ResourceScope(resourceType string, a Action) string {
	return "system/" + resourceType + "." + a.String()
}

var resourceForm = regexp.MustCompile(`^system/(\*|[A-Z][A-Za-z]{0,63})\.([a-z*]{1,5})$`)

// maxScope bounds the text of scopes, in bytes.
const maxScope = 4096

// ParseScopes reads scopes with spaces between them. There is at least one.
func ParseScopes(text string) (Scopes, error) {
	var all Scopes
	if len(text) > maxScope {
		return all, fmt.Errorf("scopes: at most %d characters", maxScope)
	}
	list := strings.Fields(text)
	if len(list) == 0 {
		return all, errors.New("scopes: there is none")
	}
	for i, one := range list {
		s, ok := parseScope(one)
		if !ok {
			return Scopes{}, fmt.Errorf("scopes: number %d is not known: want system/TYPE.cruds in this order, or one of %s", i+1, ownNames())
		}
		all = all.union(s)
	}
	return all, nil
}

func ownNames() string {
	var names []string
	for _, p := range Owns() {
		names = append(names, string(p.Scope))
	}
	return strings.Join(names, ", ")
}

func parseScope(text string) (Scopes, bool) {
	if isOwn(text) {
		return Scopes{own: map[Own]bool{Own(text): true}}, true
	}
	m := resourceForm.FindStringSubmatch(text)
	if m == nil {
		return Scopes{}, false
	}
	a, ok := actions(m[2])
	return Scopes{fhir: map[string]Action{m[1]: a}}, ok
}

// Allows reports whether s has a scope of the node's own.
func (s Scopes) Allows(own Own) bool { return s.own[own] }

// May reports whether s allows all of the actions with resources of a type.
func (s Scopes) May(resourceType string, a Action) bool { return s.of(resourceType)&a == a && a != 0 }

func (s Scopes) of(resourceType string) Action { return s.fhir[every] | s.fhir[resourceType] }

// IsZero reports whether s allows nothing.
func (s Scopes) IsZero() bool { return len(s.own) == 0 && len(s.fhir) == 0 }

// String writes the scopes in their shortest form and in one order.
func (s Scopes) String() string {
	var list []string
	for name := range s.own {
		list = append(list, string(name))
	}
	for resourceType, a := range s.fhir {
		if resourceType != every {
			a &^= s.fhir[every]
		}
		if a != 0 {
			list = append(list, ResourceScope(resourceType, a))
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// types are those that s names.
func (s Scopes) types() []string { return slices.Sorted(maps.Keys(s.fhir)) }

func (s Scopes) union(t Scopes) Scopes {
	both := Scopes{own: map[Own]bool{}, fhir: map[string]Action{}}
	for _, one := range []Scopes{s, t} {
		maps.Copy(both.own, one.own)
		for resourceType, a := range one.fhir {
			both.fhir[resourceType] |= a
		}
	}
	return both
}

// intersect is what both allow.
func (s Scopes) intersect(t Scopes) Scopes {
	both := Scopes{own: map[Own]bool{}, fhir: map[string]Action{}}
	for name := range s.own {
		if t.own[name] {
			both.own[name] = true
		}
	}
	for _, resourceType := range slices.Concat(s.types(), t.types()) {
		if a := s.of(resourceType) & t.of(resourceType); a != 0 {
			both.fhir[resourceType] = a
		}
	}
	return both
}

// grant is what of the wanted scopes a client with s gets, and its text. A scope that is
// granted as a whole is written as the client wrote it, so that one of the first version
// of SMART stays one.
func (s Scopes) grant(wanted string) (Scopes, string) {
	var got Scopes
	var list []string
	for one := range strings.FieldsSeq(wanted) {
		asked, ok := parseScope(one)
		if !ok {
			continue // what is not known here is not granted, RFC 6749 section 3.3
		}
		part := s.intersect(asked)
		switch text := part.String(); {
		case text == asked.String() && !slices.Contains(list, one):
			list = append(list, one)
		case part.IsZero():
			continue
		case text != asked.String():
			for narrower := range strings.FieldsSeq(text) {
				if !slices.Contains(list, narrower) {
					list = append(list, narrower)
				}
			}
		}
		got = got.union(part)
	}
	return got, strings.Join(list, " ")
}
