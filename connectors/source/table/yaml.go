package table

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Fault is one thing that is wrong with a mapping file. It may repeat what stands there:
// a mapping holds no patient data.
type Fault struct {
	Line int // of the file, from 1
	Text string
}

// Faults is what [Parse] found wrong, in the order of the file.
type Faults []Fault

// Error returns one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = fmt.Sprintf("line %d: %s", one.Line, one.Text)
	}
	return strings.Join(lines, "\n")
}

// maxFaults is how many faults are listed; who makes more has other worries.
const maxFaults = 20

// parser walks the YAML of a mapping and lists what is wrong.
type parser struct {
	m      *Mapping
	faults Faults
}

func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	if len(p.faults) < maxFaults {
		p.faults = append(p.faults, Fault{max(n.Line, 1), fmt.Sprintf(format, args...)})
	}
}

// entries calls use for the members of a YAML mapping in their order, each key once.
func (p *parser) entries(n *yaml.Node, what string, use func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s: want names with values, one a line", what)
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			p.fail(key, "%s: want a plain name", what)
		case seen[key.Value]:
			p.fail(key, "%s: %q stands there twice", what, key.Value)
		default:
			use(key, value)
		}
		seen[key.Value] = true
	}
}

// members is entries with a fixed set of names.
func (p *parser) members(n *yaml.Node, what string, known map[string]func(*yaml.Node)) {
	p.entries(n, what, func(key, value *yaml.Node) {
		if read := known[key.Value]; read != nil {
			read(value)
			return
		}
		names := make([]string, 0, len(known))
		for name := range known {
			names = append(names, name)
		}
		p.unknown(key, what+" has no", key.Value, names)
	})
}

// unknown says that name is none of names, and which may have been meant.
func (p *parser) unknown(n *yaml.Node, what, name string, names []string) {
	slices.Sort(names)
	if near := nearest(name, names); near != "" {
		p.fail(n, "%s %q; did you mean %q?", what, name, near)
		return
	}
	if len(names) > 30 {
		names = append(slices.Clone(names[:30]), "...")
	}
	p.fail(n, "%s %q; it can be one of: %s", what, name, strings.Join(names, ", "))
}

// text reads a scalar. An empty one is a fault.
func (p *parser) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.Value == "" || n.Tag == "!!null" && n.Style == 0 {
		p.fail(n, "%s: want a text", what)
		return ""
	}
	return n.Value
}

// bool reads true or false.
func (p *parser) bool(n *yaml.Node, what string) bool {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		p.fail(n, "%s: want true or false", what)
		return false
	}
	return strings.EqualFold(n.Value, "true")
}

// list reads a list of scalars; one scalar is a list of one.
func (p *parser) list(n *yaml.Node, what string) (list []*yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		return []*yaml.Node{n}
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.fail(n, "%s: want a list", what)
		return nil
	}
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode {
			p.fail(c, "%s: want a list of plain texts", what)
			return nil
		}
		list = append(list, c)
	}
	return list
}

// choice reads one of a few words.
func choice[T any](p *parser, n *yaml.Node, what string, words map[string]T) (v T) {
	name := p.text(n, what)
	v, ok := words[name]
	if !ok && name != "" {
		names := make([]string, 0, len(words))
		for w := range words {
			names = append(names, w)
		}
		p.unknown(n, what+": there is no", name, names)
	}
	return v
}

// nearest is the name that is most like s, empty if none is alike.
func nearest(s string, names []string) string {
	best, least := "", 2+len(s)/3
	for _, name := range names {
		if d := distance(strings.ToLower(s), strings.ToLower(name)); d < least && d < len(name) {
			best, least = name, d
		}
	}
	return best
}

// distance is how many bytes one has to insert, delete or replace to make b of a
// (Levenshtein).
func distance(a, b string) int {
	const longest = 64
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	costs := make([]int, len(b)+1)
	for j := range costs {
		costs[j] = j
	}
	for i := range len(a) {
		before := costs[0]
		costs[0] = i + 1
		for j := range len(b) {
			replace := before
			if a[i] != b[j] {
				replace++
			}
			before = costs[j+1]
			costs[j+1] = min(replace, before+1, costs[j]+1)
		}
	}
	return costs[len(b)]
}

// refuseAliases lists anchors and aliases: a mapping can be read top to bottom.
func (p *parser) refuseAliases(n *yaml.Node, depth int) {
	switch {
	case n.Kind == yaml.AliasNode, n.Anchor != "":
		p.fail(n, "anchors and aliases (& and *) are not read; write it out")
		return
	case depth > 16:
		p.fail(n, "nested too deep")
		return
	}
	for _, c := range n.Content {
		p.refuseAliases(c, depth+1)
	}
}

func sortFaults(f Faults) {
	slices.SortStableFunc(f, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
}
