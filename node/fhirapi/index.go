package fhirapi

import (
	"net/http"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/trialmesh/trialmesh/localstore/fhirstore"
)

// maxPrefix is how many characters of a string can be searched for.
const maxPrefix = 64

// compartment is the parameter of no type by which a patient's resources are found.
const compartment = "compartment"

// maxTerms bounds what a resource is found by, so that one alone does not fill the
// index. One of US Core's examples has some hundred.
const maxTerms = 5000

var errTerms = refuse(http.StatusRequestEntityTooLarge, "too-costly", "a resource can be found by up to 5,000 beginnings of names, codes, references and dates: it has more")

// index returns what r is found by.
func (r resource) index() (terms []fhirstore.Term, spans []fhirstore.Span, err error) {
	resourceType := r.text("resourceType")
	for _, p := range searches[resourceType] {
		for _, path := range p.paths {
			for _, v := range along(map[string]any(r), path) {
				if len(terms)+len(spans) > maxTerms {
					return nil, nil, errTerms
				}
				if p.kind == kindDate {
					if low, high, ok := spanOf(v); ok {
						spans = append(spans, fhirstore.Span{Param: spanName(resourceType, p.name), Low: low, High: high})
					}
					continue
				}
				for _, text := range p.values(v) {
					terms = append(terms, fhirstore.Term{Type: resourceType, Param: p.name, Value: text})
				}
			}
		}
	}
	for _, path := range belonging {
		for _, v := range along(map[string]any(r), path) {
			if to := local(v); strings.HasPrefix(to, "Patient/") {
				terms = append(terms, fhirstore.Term{Param: compartment, Value: to})
			}
		}
	}
	if len(terms)+len(spans) > maxTerms {
		return nil, nil, errTerms
	}
	return terms, spans, nil
}

func spanName(resourceType, name string) string { return resourceType + "." + name }

// along returns the values at the end of a path; arrays on the way are all followed.
func along(v any, path []string) []any {
	if list, ok := v.([]any); ok {
		var all []any
		for _, element := range list {
			all = append(all, along(element, path)...)
		}
		return all
	}
	if len(path) == 0 {
		return []any{v}
	}
	if object, ok := v.(map[string]any); ok && object[path[0]] != nil {
		return along(object[path[0]], path[1:])
	}
	return nil
}

// values are the texts that a value is found by; [param.search] makes the same.
func (p param) values(v any) []string {
	switch p.kind {
	case kindToken:
		return tokens(v)
	case kindReference:
		return p.pointers(v)
	case kindString:
		var all []string
		for _, text := range textsIn(v) {
			if all = append(all, prefixes(text)...); len(all) > maxTerms {
				break // it is refused
			}
		}
		return all
	}
	return nil
}

// tokens are of a code, a boolean, a Coding, CodeableConcept or Identifier.
func tokens(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{bareToken(v)}
	case bool:
		if v {
			return []string{bareToken("true")}
		}
		return []string{bareToken("false")}
	case map[string]any:
		if codings, ok := v["coding"].([]any); ok {
			var all []string
			for _, c := range codings {
				all = append(all, tokens(c)...)
			}
			return all
		}
		code, ok := v["value"].(string)
		if !ok {
			code, ok = v["code"].(string)
		}
		system, _ := v["system"].(string)
		if !ok {
			return nil
		}
		return []string{bareToken(code), fullToken(system, code), systemToken(system)}
	}
	return nil
}

func bareToken(code string) string         { return "code " + code }
func fullToken(system, code string) string { return "full " + system + "|" + code }
func systemToken(system string) string     { return "system " + system }

// local is the Type/id that a Reference points to, a URL as it is, "" for any other.
func local(v any) string {
	object, _ := v.(map[string]any)
	text, _ := object["reference"].(string)
	if m := localForm.FindStringSubmatch(text); m != nil {
		return m[1] + "/" + m[2]
	}
	if remoteForm.MatchString(text) {
		return text
	}
	return ""
}

// pointers are of a Reference: whole, and by its id alone.
func (p param) pointers(v any) []string {
	to := local(v)
	switch {
	case to == "", p.target != "" && !strings.HasPrefix(to, p.target+"/") && !strings.Contains(to, "/"+p.target+"/"):
		return nil
	case remoteForm.MatchString(to):
		return []string{"to " + to}
	}
	_, id, _ := strings.Cut(to, "/")
	return []string{"to " + to, "id " + id}
}

// textsIn are the texts in a string, HumanName or Address.
func textsIn(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case map[string]any:
		var all []string
		for _, name := range []string{"text", "family", "given", "prefix", "suffix", "line", "city", "district", "state", "postalCode", "country"} {
			for _, text := range along(v, []string{name}) {
				if s, ok := text.(string); ok {
					all = append(all, s)
				}
			}
		}
		return all
	}
	return nil
}

// prefixes are the beginnings of a text, folded, and the text itself.
func prefixes(text string) []string {
	all := []string{exactString(text)}
	folded := []rune(fold(text))
	for n := range min(len(folded), maxPrefix) {
		all = append(all, startString(string(folded[:n+1])))
	}
	return all
}

func exactString(text string) string   { return "exact " + text }
func startString(folded string) string { return "start " + folded }

// fold is text without case, accents and repeated blanks, as a search for strings
// takes it.
func fold(text string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(text) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
