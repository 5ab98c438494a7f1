package table

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Bounds of a mapping file.
const (
	maxMapping = 1 << 20 // bytes
	maxNamed   = 4096    // columns
	maxName    = 200     // bytes of a column's name
)

var mappingName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$`)

// Parse reads a mapping file. It is strict: a name that the language does not have, a
// column that is not listed, a unit that is not UCUM and a setting that nothing uses are
// faults. The error is [Faults], with the line of each.
func Parse(text []byte) (*Mapping, error) {
	if len(text) > maxMapping {
		return nil, Faults{{1, "a mapping has at most 1 MiB"}}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, yamlFault(err)
	}
	p := &parser{m: &Mapping{header: true, zone: nil, nulls: map[string]bool{}, patient: -1}}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, Faults{{1, "this is no mapping: it begins with version: 1"}}
	}
	if p.refuseAliases(&doc, 0); len(p.faults) == 0 {
		p.mapping(doc.Content[0])
	}
	if len(p.faults) > 0 {
		sortFaults(p.faults)
		return nil, p.faults
	}
	return p.m, nil
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

// yamlFault is what the YAML library says, with its line if it names one.
func yamlFault(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if found := yamlLine.FindStringSubmatch(text); found != nil {
		line, _ := strconv.Atoi(found[1])
		return Faults{{max(line, 1), "not YAML: " + found[2]}}
	}
	return Faults{{1, "not YAML: " + text}}
}

// mapping reads the whole file: first what the rest refers to, then the rest.
func (p *parser) mapping(n *yaml.Node) {
	m := p.m
	given := map[string]*yaml.Node{}
	keep := func(name string) func(*yaml.Node) { return func(v *yaml.Node) { given[name] = v } }
	known := map[string]func(*yaml.Node){}
	names := []string{
		"version", "name", "columns", "extra", "header", "encoding", "null", "decimal", "dates", "zone", "key", "patient", "codes", "units", "records",
	}
	for _, name := range names {
		known[name] = keep(name)
	}
	p.members(n, "a mapping", known)
	for _, name := range []string{"version", "name", "columns", "patient", "records"} {
		if given[name] == nil {
			p.fail(n, "%s: is missing", name)
		}
	}
	read := func(name string, use func(*yaml.Node)) {
		if v := given[name]; v != nil {
			use(v)
		}
	}
	read("version", func(v *yaml.Node) {
		if v.Value != strconv.Itoa(Version) {
			p.fail(v, "version: this program reads version %d", Version)
		}
	})
	read("name", func(v *yaml.Node) {
		if m.Name = p.text(v, "name"); m.Name != "" && !mappingName.MatchString(m.Name) {
			p.fail(v, "name: want 1 to 64 letters, digits, - and .")
		}
	})
	read("columns", p.columns)
	read("extra", func(v *yaml.Node) { m.extra = p.bool(v, "extra") })
	read("header", func(v *yaml.Node) {
		if m.header = p.bool(v, "header"); !m.header && m.extra {
			p.fail(v, "header: without one all columns have to be listed, so extra cannot be true")
		}
	})
	read("encoding", func(v *yaml.Node) {
		m.latin = choice(p, v, "encoding", map[string]bool{"utf-8": false, "latin-1": true})
	})
	read("null", func(v *yaml.Node) {
		for _, one := range p.list(v, "null") {
			m.nulls[clean(one.Value)] = true
		}
	})
	read("decimal", func(v *yaml.Node) { m.comma = choice(p, v, "decimal", map[string]bool{"point": false, "comma": true}) })
	read("dates", func(v *yaml.Node) { m.dates = choice(p, v, "dates", dateForms) })
	read("zone", p.zone)
	read("key", func(v *yaml.Node) {
		for _, one := range p.list(v, "key") {
			m.key = append(m.key, p.column(one, "key"))
		}
	})
	read("patient", p.patient)
	read("units", p.units)
	read("codes", p.codes)
	read("records", p.records)
	if v := given["codes"]; v != nil {
		p.unusedCodes(v)
	}
}

func (p *parser) columns(n *yaml.Node) {
	list := p.list(n, "columns")
	if len(list) > maxNamed {
		p.fail(n, "columns: want at most %d", maxNamed)
		return
	}
	for _, one := range list {
		switch name := clean(one.Value); {
		case name == "" || one.Tag == "!!null" && one.Style == 0:
			p.fail(one, "columns: a column without a name cannot be listed; leave it out and set extra: true")
		case len(name) > maxName:
			p.fail(one, "columns: a name has at most %d bytes", maxName)
		case slices.Contains(p.m.columns, name):
			p.fail(one, "columns: %q stands there twice", name)
		default:
			p.m.columns = append(p.m.columns, name)
		}
	}
}

// column returns the index of the column that a scalar names, 0 with a fault.
func (p *parser) column(n *yaml.Node, what string) int {
	name := clean(p.text(n, what))
	if name == "" {
		return 0
	}
	at := slices.Index(p.m.columns, name)
	if name == undecided {
		p.fail(n, "%s: is still %q; a person has to say which column it is", what, undecided)
	} else if at < 0 {
		p.unknown(n, what+": columns: does not list", name, slices.Clone(p.m.columns))
	}
	return max(at, 0)
}

// undecided stands in a proposal where a person must decide.
const undecided = "?"

func (p *parser) zone(n *yaml.Node) {
	name := p.text(n, "zone")
	if name == "" {
		return
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		p.fail(n, "zone: %q is no IANA time zone such as Europe/Berlin", name)
		return
	}
	p.m.zone = zone
}

func (p *parser) patient(n *yaml.Node) {
	found := false
	p.members(n, "patient", map[string]func(*yaml.Node){
		"id":        func(v *yaml.Node) { p.m.patient, found = p.column(v, "patient: id"), true },
		"authority": func(v *yaml.Node) { p.m.authority = p.text(v, "patient: authority") },
	})
	if !found {
		p.fail(n, "patient: id is missing: it names the column with the patients' numbers")
	}
}

// codes reads, by column, what cells stand for.
func (p *parser) codes(n *yaml.Node) {
	p.m.codes = map[int]map[string]translation{}
	p.entries(n, "codes", func(key, value *yaml.Node) {
		at := p.column(key, "codes")
		cells := map[string]translation{}
		p.entries(value, "codes: "+key.Value, func(cell, meaning *yaml.Node) {
			if text := p.text(meaning, "codes"); text != "" {
				cells[clean(cell.Value)] = p.translation(meaning, text)
			}
		})
		p.m.codes[at] = cells
	})
}

// translation reads "LOINC 2951-2": a system and a code, or only a word.
func (p *parser) translation(n *yaml.Node, text string) translation {
	at := strings.LastIndexByte(text, ' ')
	if at < 0 {
		return translation{code: text}
	}
	name, code := strings.TrimSpace(text[:at]), text[at+1:]
	uri, ok := uriOf(name)
	switch {
	case !ok:
		p.unknown(n, "there is no code system", name, systemNames()[1:])
	case !fits(uri, code):
		p.fail(n, "%q is no code of %s: its form or check digit is wrong", code, name)
	}
	return translation{uri, code}
}

func (p *parser) units(n *yaml.Node) {
	p.m.units = map[string]string{}
	p.entries(n, "units", func(spelling, code *yaml.Node) {
		if unit := p.unit(code, "units"); unit != "" {
			p.m.units[clean(spelling.Value)] = unit
		}
	})
}

// unit reads a UCUM code.
func (p *parser) unit(n *yaml.Node, what string) string {
	code := p.text(n, what)
	if code != "" && !isUnit(code) {
		p.fail(n, "%s: %q is no UCUM unit", what, code)
	}
	return code
}

// unusedCodes lists columns of codes: that no record reads, as they would do nothing.
func (p *parser) unusedCodes(n *yaml.Node) {
	used := map[int]bool{}
	for _, r := range p.m.records {
		for _, f := range r.fields {
			used[f.column] = used[f.column] || f.kind == refColumn
		}
		for _, v := range r.wide {
			used[v.column] = true
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if at := slices.Index(p.m.columns, clean(key.Value)); at >= 0 && !used[at] && len(p.faults) == 0 {
			p.fail(key, "codes: no record reads column %q", key.Value)
		}
	}
}

// AsFaults returns the faults in err, nil if it has none.
func AsFaults(err error) Faults {
	var f Faults
	errors.As(err, &f)
	return f
}
