package cohort

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Explain says in plain English who is in the cohort, from when and until when, for
// people who decide whether the question may be asked. Every element of the definition
// that means something is in it, but of the concepts of each set only the first so many, and
// how many more there are; 0 names all. Lines end with a line feed and are indented by two
// spaces a level. What its author named freely is quoted; names of concepts are the author's
// too.
func (d Definition) Explain(concepts int) string {
	e := d.explainer(conceptName)
	e.chapters(d)
	e.conceptSets(d, concepts)
	return e.text.String()
}

// ExplainNamed is [Definition.Explain] for readers with a vocabulary of their own, whom the
// names in a definition could deceive: name says what a concept is, given the name that
// stands in the definition, "" for none. What the concept sets hold is left out;
// [Definition.Used] has it.
func (d Definition) ExplainNamed(name func(concept int64, theirs string) string) string {
	e := d.explainer(name)
	e.chapters(d)
	return e.text.String()
}

func (d Definition) explainer(name func(int64, string) string) *explainer {
	e := &explainer{sets: map[int]string{}, name: name}
	for _, set := range d.ConceptSets {
		e.sets[set.ID] = fmt.Sprintf("%q", oneLine(set.Name))
		if set.Name == "" {
			e.sets[set.ID] = fmt.Sprintf("concept set %d", set.ID)
		}
	}
	return e
}

type explainer struct {
	text  strings.Builder
	level int
	sets  map[int]string // names by id
	name  func(concept int64, theirs string) string
}

func (e *explainer) chapters(d Definition) {
	e.entry(d)
	e.rules(d)
	e.exit(d)
}

// line writes one line at the present level. Texts of the definition cannot begin lines
// of their own.
func (e *explainer) line(format string, args ...any) {
	e.text.WriteString(strings.Repeat("  ", e.level) + fmt.Sprintf(format, args...) + "\n")
}

func (e *explainer) indented(write func()) {
	e.level++
	write()
	e.level--
}

// heading begins a chapter.
func (e *explainer) heading(title string) {
	if e.text.Len() > 0 {
		e.text.WriteString("\n")
	}
	e.line("%s", strings.ToUpper(title))
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func (e *explainer) set(id int) string {
	if name, defined := e.sets[id]; defined {
		return name
	}
	return fmt.Sprintf("a concept set that is not defined (%d)", id)
}

func (e *explainer) entry(d Definition) {
	e.heading("who enters the cohort")
	if len(d.Primary.Criteria) == 1 {
		e.line("A person may enter with this event, called the index event:")
	} else {
		e.line("A person may enter with any one of these events, called the index event:")
	}
	e.indented(func() {
		for _, c := range d.Primary.Criteria {
			e.bullet(e.event(c), c)
		}
	})
	switch p := d.Primary; {
	case p.PriorDays == 0 && p.PostDays == 0:
		e.line("The event must lie in a period in which the person was observed.")
	case p.PostDays == 0:
		e.line("The person must have been observed for at least %s before the event.", counted(p.PriorDays, "day"))
	case p.PriorDays == 0:
		e.line("The person must have been observed for at least %s after the event.", counted(p.PostDays, "day"))
	default:
		e.line("The person must have been observed for at least %s before and %s after the event.", counted(p.PriorDays, "day"), counted(p.PostDays, "day"))
	}
	e.limit(d.Primary.Limit, "such event")
	if d.Additional != nil {
		if d.Additional.size() > 0 {
			e.line("An index event counts only if %s:", holding(*d.Additional))
			e.indented(func() { e.parts(*d.Additional, "the index event") })
		}
		if d.Primary.Limit == All {
			e.limit(d.QualifiedLimit, "remaining event")
		}
	}
	e.line("Other events count only in the same observation period as the index event, unless it says otherwise.")
}

// limit says which of a person's events are kept.
func (e *explainer) limit(l Limit, what string) {
	switch l {
	case First:
		e.line("Of each person, only the first %s is kept.", what)
	case Last:
		e.line("Of each person, only the last %s is kept.", what)
	case All:
		e.line("All %ss of a person are kept.", what)
	}
}

func (e *explainer) rules(d Definition) {
	e.heading("inclusion rules")
	if len(d.Rules) == 0 {
		e.line("There are none.")
	} else {
		e.line("An index event must satisfy %s:", map[bool]string{true: "this rule", false: fmt.Sprintf("all of these %d rules", len(d.Rules))}[len(d.Rules) == 1])
	}
	e.indented(func() {
		for i, rule := range d.Rules {
			name := "(without a name)"
			if words := oneLine(rule.Name); words != "" {
				name = fmt.Sprintf("%q", words)
			}
			if rule.Group.size() == 0 {
				e.line("%d. %s: holds for everybody.", i+1, name)
			} else {
				e.line("%d. %s: %s:", i+1, name, holding(rule.Group))
			}
			e.indented(func() {
				if words := oneLine(rule.Description); words != "" {
					e.line("(In its author's words: %q)", words)
				}
				e.parts(rule.Group, "the index event")
			})
		}
	})
	if many := d.Primary.Limit == All && (d.Additional == nil || d.QualifiedLimit == All); many && (len(d.Rules) > 0 || d.ExpressionLimit != All) {
		e.limit(d.ExpressionLimit, "remaining event")
	}
}

func (e *explainer) exit(d Definition) {
	e.heading("from when until when")
	e.line("A person is in the cohort from the start of the index event on.")
	switch {
	case d.End.Offset != nil:
		anchor := "start"
		if d.End.Offset.FromEnd {
			anchor = "end"
		}
		e.line("They leave it %s, at the latest at the end of the observation period.", shifted(d.End.Offset.Days, "the "+anchor+" of the index event"))
	case d.End.Era != nil:
		e.era(*d.End.Era)
	default:
		e.line("They leave it at the end of the observation period.")
	}
	if len(d.Censoring) > 0 {
		e.line("They leave it earlier on the first day, from the start of the index event on, of:")
		e.indented(func() {
			for _, c := range d.Censoring {
				e.bullet(e.event(c), c)
			}
		})
	}
	if d.EraPad > 0 {
		e.line("Stays of one person that overlap or are at most %s apart become one.", counted(d.EraPad, "day"))
	} else {
		e.line("Stays of one person that overlap become one.")
	}
	switch w := d.CensorWindow; {
	case w.Start != "" && w.End != "":
		e.line("Only the time from %s to %s is looked at: stays are cut off there.", w.Start, w.End)
	case w.Start != "":
		e.line("Only the time from %s on is looked at: stays are cut off there.", w.Start)
	case w.End != "":
		e.line("Only the time up to %s is looked at: stays are cut off there.", w.End)
	}
}

func (e *explainer) era(era CustomEra) {
	e.line("They leave it when the continuous exposure to %s that the index event lies in ends, at the latest or without one at the end of the observation period.", e.set(era.ConceptSet))
	e.indented(func() {
		e.line("Exposures with at most %s between them are continuous.", counted(era.GapDays, "day"))
		if era.DaysSupply != nil {
			e.line("Each exposure is taken to last %s, whatever is recorded.", counted(*era.DaysSupply, "day"))
		}
		if era.Offset != 0 {
			e.line("The exposure is taken to end %s.", shifted(era.Offset, "the end of the last one"))
		}
	})
}

// conceptSets lists what the names stand for, with the first concepts of each.
func (e *explainer) conceptSets(d Definition, shown int) {
	used := d.Used()
	if len(used) == 0 {
		return
	}
	e.heading("concept sets")
	for _, set := range used {
		included, excluded := split(set.Items)
		if len(included) == 0 {
			e.line("%s: no concept at all.", e.set(set.ID))
			continue
		}
		e.line("%s: %s%s", e.set(set.ID), counted(len(included), "concept"), ending(len(excluded)))
		e.indented(func() {
			e.concepts("", included, shown)
			e.concepts("not ", excluded, shown)
		})
	}
}

func ending(excluded int) string {
	if excluded == 0 {
		return ":"
	}
	return fmt.Sprintf(", less %d:", excluded)
}

func split(items []Item) (included, excluded []Item) {
	for _, item := range items {
		if item.Excluded {
			excluded = append(excluded, item)
		} else {
			included = append(included, item)
		}
	}
	return included, excluded
}

func (e *explainer) concepts(prefix string, items []Item, shown int) {
	if shown == 0 {
		shown = len(items)
	}
	shown = min(shown, len(items))
	for _, item := range items[:shown] {
		var with []string
		if item.Descendants {
			with = append(with, "everything below it")
		}
		if item.Mapped {
			with = append(with, "the source concepts that map to it")
		}
		e.line("- %s%s", prefix, strings.Join(slices.Concat([]string{e.name(item.Concept, item.Name)}, with), ", with "))
	}
	if more := items[shown:]; len(more) > 0 {
		below := 0
		for _, item := range more {
			if item.Descendants {
				below++
			}
		}
		e.line("- %sand %d more, %d of them with everything below them", prefix, len(more), below)
	}
}

func conceptName(id int64, name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar // what would act on a terminal
	}, oneLine(name))
	if name == "" {
		return fmt.Sprintf("concept %d", id)
	}
	return fmt.Sprintf("%s (%d)", name, id)
}

// counted says how many there are: 1 day, 2 days.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// shifted says when something is, some days from an anchor.
func shifted(days int, anchor string) string {
	switch {
	case days < 0:
		return counted(-days, "day") + " before " + anchor
	case days > 0:
		return counted(days, "day") + " after " + anchor
	}
	return "at " + anchor
}
