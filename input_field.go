package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/spelling"
)

// unknownField returns where the first field stands that a type does not have, -1 if there
// is none, and a hint at the one that was meant. What reads itself is passed over: it names
// its own fields.
func unknownField(raw []byte, t reflect.Type) (at int64, hint string) {
	w := fieldWalk{raw: raw, dec: json.NewDecoder(bytes.NewReader(raw)), found: -1}
	w.value(t)
	return w.found, w.hint
}

// fieldWalk goes through a JSON text and a type side by side.
type fieldWalk struct {
	raw   []byte
	dec   *json.Decoder
	found int64
	hint  string
}

// value passes a value of a type, nil for any. It reports whether to go on.
func (w *fieldWalk) value(t reflect.Type) bool {
	token, err := w.dec.Token()
	if err != nil {
		return false
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t != nil && reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		t = nil
	}
	switch token {
	case json.Delim('{'):
		for w.dec.More() {
			if !w.member(t) {
				return false
			}
		}
	case json.Delim('['):
		var element reflect.Type
		if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
			element = t.Elem()
		}
		for w.dec.More() {
			if !w.value(element) {
				return false
			}
		}
	default:
		return true
	}
	_, err = w.dec.Token() // the end
	return err == nil
}

// member passes a name and its value.
func (w *fieldWalk) member(t reflect.Type) bool {
	at := w.dec.InputOffset()
	key, err := w.dec.Token()
	name, text := key.(string)
	if err != nil || !text {
		return false
	}
	var inner reflect.Type
	if t != nil && t.Kind() == reflect.Map {
		inner = t.Elem()
	}
	if t != nil && t.Kind() == reflect.Struct {
		if inner = fieldType(t, name); inner == nil {
			w.found = at + int64(bytes.IndexByte(w.raw[at:], '"'))
			w.hint = spelling.Hint(name, fieldNames(t)...)
			return false
		}
	}
	return w.value(inner)
}

// fieldType returns the type of a field by its name in JSON, nil for none.
func fieldType(t reflect.Type, name string) reflect.Type {
	for _, f := range reflect.VisibleFields(t) {
		if tag := fieldName(f); tag != "" && strings.EqualFold(tag, name) {
			return f.Type
		}
	}
	return nil
}

// fieldNames are the names of a type's fields in JSON.
func fieldNames(t reflect.Type) (names []string) {
	for _, f := range reflect.VisibleFields(t) {
		if name := fieldName(f); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// fieldName is the name of a field in JSON, "" if it has none.
func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case !f.IsExported() || name == "-":
		return ""
	case name == "" && !f.Anonymous:
		return f.Name
	}
	return name
}
