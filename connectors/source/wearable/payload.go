package wearable

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// maker says what the answers of one maker look like.
type maker struct {
	// lists are the members of an answer that are lists of any length; their
	// elements are taken one by one.
	lists map[string]func(*batch, node)

	// rest takes an answer without its lists and reports whether it knows it. It is
	// nil if there is nothing else.
	rest func(*batch, node) bool

	// element takes an element of an answer that is itself a list and reports
	// whether it knows it. It is nil if no answer is.
	element func(*batch, node) bool
}

// names are the makers in words.
const names = "fitbit, oura, garmin, google, withings or openmhealth"

var makers = map[string]*maker{
	"fitbit":      &fitbit,
	"oura":        &oura,
	"garmin":      &garmin,
	"google":      &google,
	"withings":    &withings,
	"openmhealth": &openMHealth,
}

// payload reads one answer of the maker.
func (r *reader) payload(at string) error {
	r.in.Renew()
	b := newBatch(r, at)
	first, err := r.in.Token()
	if err != nil {
		return err
	}
	switch first {
	case json.Delim('['):
		err = r.elements(b, at, func(b *batch, n node) {
			if r.maker.element == nil || !r.maker.element(b, n) {
				b.once(RuleUnknownPayload, n.path, "")
			}
		})
		b.understood = true // or said to be unknown
	case json.Delim('{'):
		err = r.members(b)
	}
	if err != nil {
		return err
	}
	if !b.understood {
		b.problem(RuleUnknownPayload, at, "want an answer of the wearable named")
	}
	b.flush()
	return b.stop
}

// members reads an answer that is an object.
func (r *reader) members(b *batch) error {
	rest := map[string]any{}
	for r.in.More() {
		token, err := r.in.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		if _, twice := rest[name]; twice {
			b.once(fhir.RuleDuplicateKey, b.at, "")
		}
		if take := r.maker.lists[name]; take != nil {
			if rest[name], err = r.list(b, b.at+"."+name, take); err != nil {
				return err
			}
			continue
		}
		raw, err := r.in.Value()
		if err != nil {
			return err
		}
		if v, ok := r.parse(b, raw, b.at); ok {
			rest[name] = v
		}
	}
	if r.maker.rest != nil && r.maker.rest(b, node{b: b, path: b.at, v: rest, present: true}) {
		b.understood = true
	}
	if b.stop != nil {
		return b.stop
	}
	return r.in.Expect('}')
}

// list hands the elements of a member that is a list to take, and returns one that is
// something else.
func (r *reader) list(b *batch, path string, take func(*batch, node)) (any, error) {
	first, err := r.in.Token()
	switch first {
	case json.Delim('['):
		b.understood = true
		return nil, r.elements(b, path, take)
	case json.Delim('{'):
		return r.object(b, path)
	case nil:
		b.understood = b.understood || err == nil
	default:
		b.problem(fhir.RuleWrongType, path, "want array")
	}
	return nil, err
}

// elements hands the elements of a list to take.
func (r *reader) elements(b *batch, path string, take func(*batch, node)) error {
	for i := 0; r.in.More(); i++ {
		r.in.Renew()
		raw, err := r.in.Value()
		if err != nil {
			return err
		}
		at := path + "[" + strconv.Itoa(i) + "]"
		v, ok := r.parse(b, raw, at)
		if _, object := v.(map[string]any); ok && !object {
			b.problem(fhir.RuleWrongType, at, "want object")
		} else if ok {
			take(b, node{b: b, path: at, v: v, present: true})
		}
		if b.stop != nil {
			return b.stop
		}
	}
	return r.in.Expect(']')
}

// object reads the rest of an object whose first bracket was read.
func (r *reader) object(b *batch, path string) (map[string]any, error) {
	members := map[string]any{}
	for r.in.More() {
		key, err := r.in.Token()
		if err != nil {
			return nil, err
		}
		raw, err := r.in.Value()
		if err != nil {
			return nil, err
		}
		name, _ := key.(string)
		if v, ok := r.parse(b, raw, path); ok {
			members[name] = v
		}
	}
	return members, r.in.Expect('}')
}

// parse returns raw as strings, [json.Number], slices and maps.
func (r *reader) parse(b *batch, raw []byte, path string) (any, bool) {
	switch deepest, values := measure(raw); {
	case deepest > r.depth:
		b.problem(fhir.RuleTooDeep, path, "")
		return nil, false
	case values > maxValues:
		b.problem(fhir.RuleTooLarge, path, errPart.Detail)
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		b.problem(fhir.RuleMalformedJSON, path, "")
		return nil, false
	}
	return v, true
}

// measure returns how deep raw, which is JSON, nests, and about how many values it has.
func measure(raw []byte) (deepest, values int) {
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			deepest, values = max(deepest, depth), values+1
		case c == '}' || c == ']':
			depth--
		case c == ',':
			values++
		}
	}
	return deepest, values
}
