package fhir

import "strings"

// ReferenceForm is how a reference points.
type ReferenceForm uint8

const (
	ReferenceNone        ReferenceForm = iota // nothing was sent
	ReferenceLiteral                          // Type/id, or an absolute URL ending so
	ReferenceURN                              // urn:uuid: or urn:oid:, not resolved
	ReferenceContained                        // #id, inside the same resource
	ReferenceConditional                      // Type?search: only a server can answer
	ReferenceLogical                          // an identifier or a display, without a reference
)

// Reference points from one resource to another. A urn: reference whose bundle
// entry is known has been replaced by that entry's type and id ([ReferenceLiteral]).
type Reference struct {
	private

	Form ReferenceForm
	Type string // such as "Patient"; empty if the sender did not say
	ID   string // resource id; the uuid of a urn:uuid:; empty for conditional and logical forms
	URN  string // fullUrl that was referred to, if any
}

// IsZero reports whether nothing was sent.
func (r Reference) IsZero() bool { return r.Form == ReferenceNone }

// isTypeName reports whether s looks like the name of a resource type.
func isTypeName(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool { return !alphanumeric(c) }) < 0
}

func alphanumeric(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// parseReference reads the forms of https://hl7.org/fhir/R4/references.html.
func parseReference(s string) (Reference, bool) {
	switch {
	case strings.HasPrefix(s, "urn:"):
		return Reference{Form: ReferenceURN, ID: strings.TrimPrefix(s, "urn:uuid:"), URN: s}, len(s) > len("urn:")
	case strings.HasPrefix(s, "#"):
		return Reference{Form: ReferenceContained, ID: s[1:]}, true
	}
	if before, _, found := strings.Cut(s, "?"); found {
		name := before[strings.LastIndexByte(before, '/')+1:]
		return Reference{Form: ReferenceConditional, Type: name}, isTypeName(name)
	}
	s, _, _ = strings.Cut(s, "/_history/")
	rest, id, found := cutLast(s, '/')
	if !found {
		return Reference{}, false
	}
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	return Reference{Form: ReferenceLiteral, Type: name, ID: id}, isTypeName(name) && IsResourceID(id)
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func (t *tree) reference(at int, name string) Reference {
	return t.referenceAt(t.typed(at, name, kindObject))
}

func (t *tree) referenceAt(c int) Reference {
	if c == none {
		return Reference{}
	}
	text := t.str(c, "reference")
	if text == "" {
		return Reference{Form: ReferenceLogical, Type: t.str(c, "type")}
	}
	r, ok := parseReference(text)
	if !ok {
		t.fail(RuleInvalidReference, c, "want Type/id, a URL, a urn or #id")
		return Reference{}
	}
	return r
}

func (t *tree) references(at int, name string) []Reference {
	var all []Reference
	t.list(at, name, func(e int) { all = append(all, t.referenceAt(e)) })
	return all
}

// requiredReference reads a reference without which the record belongs to nobody.
func (t *tree) requiredReference(at int, name string) Reference {
	r := t.reference(at, name)
	if r.IsZero() {
		t.missing(at, name)
	}
	return r
}
