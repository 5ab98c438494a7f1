package cohort

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Severity says how much a finding matters.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // the definition is not evaluated, or refers to nothing
	Warning Severity = "warning" // it hardly means what its author meant
	Note    Severity = "note"    // worth a look
)

// Finding is something that is suspicious about a definition.
type Finding struct {
	Path     string   `json:"path"` // of the element in the JSON document
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"`
	Sentence string   `json:"sentence"`
}

// Lint returns what is suspicious about the definition, in the order of its paths. It
// reads the definition alone: what a concept set resolves to, it cannot know.
func (d Definition) Lint() []Finding {
	l := &linter{sets: map[int]ConceptSet{}}
	l.findings = d.Unsupported()
	for _, set := range d.ConceptSets {
		l.sets[set.ID] = set
	}
	for _, path := range d.Idle {
		l.note(path, "no-effect", "this element selects nothing and is ignored")
	}
	l.conceptSets(d)
	l.limits(d)
	l.exits(d)
	l.rules(d)
	l.repeated("PrimaryCriteria.CriteriaList", keys(d.Primary.Criteria))
	l.repeated("CensoringCriteria", keys(d.Censoring))
	d.walk(visitor{criterion: l.criterion, group: l.group, correlated: l.correlated, filter: l.filter})
	slices.SortStableFunc(l.findings, func(a, b Finding) int {
		return cmp.Or(comparePaths(a.Path, b.Path), cmp.Compare(a.Rule, b.Rule))
	})
	return l.findings
}

// Check reads a definition and returns what is suspicious about it. What cannot be read
// is the one finding there is.
func Check(raw []byte) []Finding {
	d, err := Read(raw)
	if err == nil {
		return d.Lint()
	}
	f := Finding{Severity: Error, Rule: "unreadable", Sentence: strings.TrimPrefix(err.Error(), "cohort: ")}
	if at := (fault{}); errors.As(err, &at) {
		f.Path, f.Sentence = at.path, "it "+at.what
	}
	return []Finding{f}
}

type linter struct {
	sets     map[int]ConceptSet
	findings []Finding
}

func (l *linter) add(severity Severity, path, rule, sentence string, args ...any) {
	l.findings = append(l.findings, Finding{Path: path, Severity: severity, Rule: rule, Sentence: fmt.Sprintf(sentence, args...)})
}

func (l *linter) warn(path, rule, sentence string, args ...any) {
	l.add(Warning, path, rule, sentence, args...)
}

func (l *linter) note(path, rule, sentence string, args ...any) {
	l.add(Note, path, rule, sentence, args...)
}

// conceptSets looks at what the sets hold and who uses them.
func (l *linter) conceptSets(d Definition) {
	used, standard := map[int]bool{}, map[int]bool{} // standard: names the concepts of events
	d.walk(visitor{
		set: func(_ string, id int) { used[id] = true },
		criterion: func(_ string, c Criterion) {
			if c.ConceptSet != nil {
				standard[*c.ConceptSet] = true
			}
		},
	})
	for i, set := range d.ConceptSets {
		path := element("ConceptSets", i)
		included := slices.ContainsFunc(set.Items, func(i Item) bool { return !i.Excluded })
		switch {
		case !used[set.ID]:
			l.note(path, "unused-set", "nothing refers to concept set %q", set.Name)
			continue
		case len(set.Items) == 0:
			l.warn(path, "empty-set", "concept set %q is empty, so nothing is in it", set.Name)
		case !included:
			l.warn(path, "only-excluded", "concept set %q only excludes concepts, so nothing is in it", set.Name)
		}
		l.items(path, set, standard[set.ID])
	}
}

// items looks at what ATLAS displayed about the concepts when the set was saved.
func (l *linter) items(path string, set ConceptSet, standard bool) {
	var invalid, foreign int
	for _, item := range set.Items {
		switch {
		case item.Invalid == "D" || item.Invalid == "U":
			invalid++
		case standard && !item.Mapped && item.Standard == "N":
			foreign++
		}
	}
	if invalid > 0 {
		l.note(path, "invalid-concept", "%d of the %d concepts of %q were no longer valid when it was saved", invalid, len(set.Items), set.Name)
	}
	if foreign > 0 {
		l.note(path, "non-standard-concept", "%d of the %d concepts of %q were not standard when it was saved; events are recorded by standard concepts",
			foreign, len(set.Items), set.Name)
	}
	if items := normalItems(set.Items); len(items) > 0 && len(items) < len(set.Items) {
		l.note(path, "repeated-concept", "%d of the %d concepts of %q are covered by others of the set", len(set.Items)-len(items), len(set.Items), set.Name)
	}
}

// limits looks for a choice among events of which one is left.
func (l *linter) limits(d Definition) {
	left := d.Primary.Limit
	if d.Additional != nil {
		if left != All && d.QualifiedLimit != All && d.QualifiedLimit != left {
			l.note("QualifiedLimit", "limit-without-effect", "PrimaryCriteriaLimit %s leaves one event of a person, so %s chooses nothing", left, d.QualifiedLimit)
		}
		if left == All {
			left = d.QualifiedLimit
		}
	}
	if left != All && d.ExpressionLimit != All && d.ExpressionLimit != left {
		l.note("ExpressionLimit", "limit-without-effect", "an earlier limit, %s, leaves one event of a person, so %s chooses nothing", left, d.ExpressionLimit)
	}
	if c := d.Primary.Criteria; len(c) == 1 && c[0].First && d.Primary.Limit == First && c[0].DateAdjustment == nil {
		l.note("PrimaryCriteria.CriteriaList[0]."+string(c[0].Domain)+".First", "first-twice",
			"PrimaryCriteriaLimit is First too; with First here, a person whose first event fails another condition is not in the cohort")
	}
}

func (l *linter) exits(d Definition) {
	if e := d.End.Offset; e != nil && !e.FromEnd && e.Days < 0 {
		l.warn("EndStrategy.DateOffset.Offset", "end-before-start", "an entry that ends %s before it starts is dropped", counted(-e.Days, "day"))
	}
	if w := d.CensorWindow; w.Start != "" && w.End != "" && w.Start > w.End {
		l.warn("CensorWindow", "window-reversed", "it ends before it starts, so the cohort is empty")
	}
}

func (l *linter) rules(d Definition) {
	groups, names := make([]string, len(d.Rules)), map[string]bool{}
	for i, rule := range d.Normal().Rules {
		groups[i] = key(rule.Group)
		if name := d.Rules[i].Name; names[name] {
			l.note(element("InclusionRules", i), "repeated-name", "another rule has the name %q", name)
		} else {
			names[name] = true
		}
		if d.Rules[i].Group.size() == 0 {
			l.warn(rulePath(i), "always-true", "the rule %q has no criteria, so it holds for everybody", d.Rules[i].Name)
		}
	}
	l.repeated("InclusionRules", groups)
}

// repeated warns of parts that stand in a list twice.
func (l *linter) repeated(path string, keys []string) {
	first := map[string]int{}
	for i, k := range keys {
		if before, twice := first[k]; twice {
			l.warn(element(path, i), "repeated", "it says the same as %s", element(path, before))
		} else {
			first[k] = i
		}
	}
}

func keys[T any](parts []T) []string {
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = key(p)
	}
	return out
}
