package report

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// plain is the view of a type that has no line in views: its figures by their names, as rows
// and as a table of them.
func plain(t reflect.Type) view {
	return view{
		name:   "a " + spaced(t.Name()),
		blocks: func(v any) []block { return []block{plainTable(figures(v))} },
		rows:   figures,
	}
}

// figures are a result's by their names, as rows.
func figures(v any) rows {
	var out rows
	out.walk(Row{Section: "result"}, "", reflect.ValueOf(v))
	return out
}

func plainTable(list rows) *table {
	t := &table{head: []string{"section", "name", "group", "at", "figure", "value"}, words: 3}
	for _, r := range list {
		value := r.Text
		switch {
		case r.State == bounded:
			value = one(7, r.Low) + " to " + one(7, r.High)
		case r.State != "":
			value = "NA"
		case r.Value != nil:
			value = one(7, r.Value)
		}
		at := ""
		if r.At != nil {
			at = one(7, r.At)
		}
		t.add(r.Section, r.Name, r.Group, at, r.Figure, value)
	}
	return t
}

// walk adds what a value holds. A list of structures is a section, whose parts are named by
// their first text, or by their place.
func (r *rows) walk(at Row, figure string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		switch {
		case !v.IsNil():
			r.walk(at, figure, v.Elem())
		case v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Float64:
			r.number(at, figure, nil)
		}
	case reflect.Float64, reflect.Float32:
		r.float(at, figure, v.Float())
	case reflect.Int, reflect.Int32, reflect.Int64:
		r.count(at, figure, v.Int())
	case reflect.Bool, reflect.String:
		r.text(at, figure, fmt.Sprint(v.Interface()))
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			r.walk(placed(at, figure, v.Index(i), i), figure, v.Index(i))
		}
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(v.Type()) {
			if f.Type == reflect.TypeFor[query.LeftOut]() {
				r.omitted(at, v.FieldByIndex(f.Index).Interface().(query.LeftOut))
			}
			ofLeftOut := len(f.Index) > 1 && v.FieldByIndex(f.Index[:len(f.Index)-1]).Type() == reflect.TypeFor[query.LeftOut]()
			if !f.IsExported() || f.Anonymous || ofLeftOut {
				continue
			}
			inner, name := at, spaced(f.Name)
			if kind := f.Type; kind.Kind() == reflect.Struct || kind.Kind() == reflect.Pointer && kind.Elem().Kind() == reflect.Struct {
				inner.Section = name
			}
			r.walk(inner, name, v.FieldByIndex(f.Index))
		}
	}
}

// placed says which part of a list a value is.
func placed(at Row, section string, v reflect.Value, i int) Row {
	name := ""
	if v.Kind() == reflect.Struct {
		at.Section = section
		for j := range v.NumField() {
			if f := v.Field(j); f.Kind() == reflect.String && v.Type().Field(j).IsExported() {
				name = f.String()
				break
			}
		}
	}
	switch {
	case name == "":
		at.At = whole(int64(i + 1))
	case at.Name == "":
		at.Name = name
	default:
		at.Group = strings.Trim(at.Group+", "+name, ", ")
	}
	return at
}

// spaced is a name of Go in words: LogLikelihood becomes log likelihood, SE se.
func spaced(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]) && unicode.IsUpper(runes[i-1])) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
