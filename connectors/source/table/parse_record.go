package table

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// maxRecords is how many records one row can make, not counting the columns of a wide
// table.
const maxRecords = 100

func (p *parser) records(n *yaml.Node) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 || len(n.Content) > maxRecords {
		p.fail(n, "records: want a list of 1 to %d, such as \"- observation:\"", maxRecords)
		return
	}
	for _, one := range n.Content {
		p.entries(one, "records", func(key, value *yaml.Node) {
			at := slices.IndexFunc(kinds, func(k *kind) bool { return k.name == key.Value })
			if at < 0 {
				names := make([]string, len(kinds))
				for i, k := range kinds {
					names[i] = k.name
				}
				p.unknown(key, "records: there is no", key.Value, names)
				return
			}
			p.record(kinds[at], key.Line, value)
		})
	}
	if len(p.faults) > 0 {
		return // columns may be missing that records name
	}
	for i := range p.m.records {
		p.m.records[i].place = p.m.place(&p.m.records[i])
		for j := range i {
			if a, b := &p.m.records[i], &p.m.records[j]; a.kind == b.kind && len(a.when) == 0 && len(b.when) == 0 &&
				a.place == b.place && len(a.wide) == 0 && len(b.wide) == 0 {
				p.fail(&yaml.Node{Line: a.line}, "records: this %s is the same as that of line %d; give one a when:", a.kind.name, b.line)
			}
		}
	}
}

// record reads one record of a kind.
func (p *parser) record(k *kind, line int, n *yaml.Node) {
	r := record{kind: k, line: line}
	what := "a " + k.name
	if strings.ContainsRune("aeiou", rune(k.name[0])) {
		what = "an " + k.name
	}
	known := map[string]func(*yaml.Node){"when": func(v *yaml.Node) { r.when = p.when(v) }}
	for _, f := range slices.Concat(k.required, k.optional) {
		known[fieldNames[f]] = func(v *yaml.Node) { r.fields[f] = p.field(k, f, v) }
	}
	if k.name == "observation" {
		known["wide"] = func(v *yaml.Node) { r.wide = p.wide(v) }
	}
	p.members(n, what, known)
	for _, f := range k.required {
		if r.fields[f].kind == refNone {
			p.fail(n, "%s needs %s", what, fieldNames[f])
		}
	}
	switch value := r.fields[fieldValue].kind != refNone; {
	case k.name != "observation":
	case len(r.wide) > 0 && (value || r.fields[fieldCode].kind != refNone || r.fields[fieldUnit].kind != refNone):
		p.fail(n, "%s: wide: says for each column what its code and unit are, so value, code and unit cannot stand beside it", what)
	case len(r.wide) == 0 && r.fields[fieldCode].kind == refNone:
		p.fail(n, "%s needs code, or wide: with the columns that are values", what)
	}
	if r.fields[fieldSystem].kind == refConst && r.fields[fieldCode].kind == refConst {
		r.check(p, n)
	}
	if system := r.fields[fieldSystem]; system.kind == refConst {
		if r.system = p.m.Name; system.text != localSystem {
			r.system, _ = uriOf(system.text)
		}
	}
	p.m.records = append(p.m.records, r)
}

// check refuses a constant code that its system cannot have.
func (r *record) check(p *parser, n *yaml.Node) {
	if uri, ok := uriOf(r.fields[fieldSystem].text); ok && !fits(uri, r.fields[fieldCode].text) {
		p.fail(n, "%q is no code of %s: its form or check digit is wrong", r.fields[fieldCode].text, r.fields[fieldSystem].text)
	}
}

// field reads a column's name, {const: text}, or for a time [date column, clock column].
func (p *parser) field(k *kind, f field, n *yaml.Node) ref {
	what := k.name + ": " + fieldNames[f]
	switch {
	case n.Kind == yaml.MappingNode:
		r := ref{kind: refConst, column: -1, clock: -1}
		p.members(n, what, map[string]func(*yaml.Node){"const": func(v *yaml.Node) { r.text = p.text(v, what) }})
		if r.text != "" {
			p.constant(k, f, n, r.text)
		}
		return r
	case n.Kind == yaml.SequenceNode && f.isTime() && len(n.Content) == 2:
		return ref{kind: refColumn, column: p.column(n.Content[0], what), clock: p.column(n.Content[1], what)}
	case n.Kind == yaml.ScalarNode:
		return ref{kind: refColumn, column: p.column(n, what), clock: -1}
	case f.isTime():
		p.fail(n, "%s: want a column, {const: 2024-01-31}, or [date column, time of day column]", what)
	default:
		p.fail(n, "%s: want a column or {const: text}", what)
	}
	return ref{}
}

// constant checks what can be checked before a row is read.
func (p *parser) constant(k *kind, f field, n *yaml.Node, text string) {
	what := k.name + ": " + fieldNames[f]
	switch f {
	case fieldSystem:
		if _, ok := uriOf(text); !ok && text != localSystem {
			p.unknown(n, what+": there is no code system", text, systemNames())
		}
	case fieldUnit:
		if !isUnit(text) {
			p.fail(n, "%s: %q is no UCUM unit", what, text)
		}
	case fieldStatus:
		if !slices.Contains(k.statuses, text) {
			p.unknown(n, what+": there is no", text, slices.Clone(k.statuses))
		}
	case fieldSex:
		if _, ok := sexOf(text); !ok {
			p.fail(n, "%s: want male, female, other or unknown", what)
		}
	case fieldTime, fieldStart, fieldEnd, fieldBirth, fieldDeath:
		if _, rule := parseTime(text, p.m.dates, p.m.zone); rule != "" {
			p.fail(n, "%s: %q is no date that dates: allows, such as 2024-01-31", what, text)
		}
	}
}

// when reads column: values.
func (p *parser) when(n *yaml.Node) (all []condition) {
	p.entries(n, "when", func(key, value *yaml.Node) {
		c := condition{column: p.column(key, "when"), values: map[string]bool{}}
		for _, one := range p.list(value, "when: "+key.Value) {
			c.values[clean(one.Value)] = true
		}
		all = append(all, c)
	})
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		p.fail(n, "when: names no column")
	}
	return all
}

// wide reads the columns that are values.
func (p *parser) wide(n *yaml.Node) (all []variable) {
	p.entries(n, "wide", func(key, value *yaml.Node) {
		v := variable{column: p.column(key, "wide")}
		what := "wide: " + key.Value
		text := ""
		p.members(value, what, map[string]func(*yaml.Node){
			"code": func(c *yaml.Node) {
				if code := p.text(c, what); code != "" {
					t := p.translation(c, code)
					v.code.Coding = []fhir.Coding{{System: t.system, Code: t.code}}
				}
			},
			"text": func(c *yaml.Node) { text = p.text(c, what) },
			"unit": func(c *yaml.Node) {
				if unit := p.unit(c, what); unit != "" {
					v.unit = fhir.Quantity{Unit: unit, System: ucums, Code: unit}
				}
			},
		})
		if v.code.IsZero() {
			p.fail(value, "%s: needs code: such as LOINC 1975-2, or a word for a code of the site's own", what)
			return
		}
		if v.code.Text = text; v.code.Coding[0].System == "" {
			v.code.Coding[0].System = p.m.Name
		}
		all = append(all, v)
	})
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		p.fail(n, "wide: names no column")
	}
	return all
}

// place is where in a row a record stands, as a part of its id: the columns of its value
// and code. It does not change when the mapping gets another record.
func (m *Mapping) place(r *record) string {
	var parts []string
	for _, f := range []field{fieldCode, fieldValue} {
		switch one := r.fields[f]; one.kind {
		case refColumn:
			parts = append(parts, m.columns[one.column])
		case refConst:
			parts = append(parts, "="+one.text)
		}
	}
	return strings.Join(parts, "|")
}
