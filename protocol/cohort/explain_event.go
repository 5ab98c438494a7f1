package cohort

import (
	"fmt"
	"strconv"
	"strings"
)

// event says what a criterion is about, as in "a condition of X, the first of the person".
func (e *explainer) event(c Criterion) string {
	words := e.noun(c, 1)
	return article(words) + " " + words + e.qualities(c)
}

// noun names an event, or several if their number is not 1.
func (e *explainer) noun(c Criterion, number int) string {
	words := tables[c.Domain].one
	if number != 1 {
		words = tables[c.Domain].many
	}
	if c.ConceptSet != nil {
		words += " of " + e.set(*c.ConceptSet)
	}
	return words
}

// qualities says what an event must be like, to follow [explainer.noun].
func (e *explainer) qualities(c Criterion) string {
	words := ""
	if c.First {
		words += ", the first such of the person"
	}
	var where []string
	for _, f := range c.Filters {
		where = append(where, e.filter(c.Domain, f))
	}
	if len(where) > 0 {
		words += ", where " + strings.Join(where, " and ")
	}
	if a := c.DateAdjustment; a != nil {
		words += fmt.Sprintf(", taken to start %s and to end %s",
			shifted(a.StartOffset, "its "+startOrEnd(a.StartWithEnd)), shifted(a.EndOffset, "its "+startOrEnd(!a.EndWithStart)))
	}
	return words
}

func article(words string) string {
	if strings.ContainsRune("aeio", rune(words[0])) {
		return "an"
	}
	return "a"
}

func startOrEnd(end bool) string {
	if end {
		return "end"
	}
	return "start"
}

// bullet writes one event with what must hold about it.
func (e *explainer) bullet(words string, c Criterion) {
	if c.Correlated == nil || c.Correlated.size() == 0 {
		e.line("- %s", words)
		return
	}
	that := "that " + tables[c.Domain].one
	e.line("- %s; and about %s %s:", words, that, holding(*c.Correlated))
	e.indented(func() { e.parts(*c.Correlated, that) })
}

// holding says how many parts of a group must hold.
func holding(g Group) string {
	if g.size() == 1 && (g.Type == AllOf || g.Type == AnyOf) {
		return "this holds"
	}
	switch {
	case g.Type == AllOf:
		return "all of these hold"
	case g.Type == AnyOf:
		return "at least one of these holds"
	case g.Type == AtLeast:
		return fmt.Sprintf("at least %d of these hold", g.Count)
	case g.Count == 0:
		return "none of these holds"
	}
	return fmt.Sprintf("at most %d of these hold", g.Count)
}

// parts lists what a group says about the event called anchor.
func (e *explainer) parts(g Group, anchor string) {
	for _, c := range g.Criteria {
		words := times(c.Occurrence) + " " + e.noun(c.Criterion, c.Occurrence.Count)
		if c.Occurrence.Distinct {
			words += ", counting those that differ in " + distinctBy(c.Occurrence.CountColumn)
		}
		words += ", " + window(c.Start, false, c.IgnoreObservationPeriod, anchor)
		if c.End != nil {
			words += ", and " + window(*c.End, true, c.IgnoreObservationPeriod, anchor)
		}
		if c.SameVisit {
			words += ", during the same visit as " + anchor
		}
		if c.IgnoreObservationPeriod {
			words += ", even outside the observation period"
		}
		e.bullet(words+e.qualities(c.Criterion), c.Criterion)
	}
	for _, person := range g.Demographics {
		var where []string
		for _, f := range person.Filters {
			where = append(where, e.demographic(f, anchor))
		}
		if len(where) == 0 {
			where = []string{"(no condition on the person)"}
		}
		e.line("- %s", strings.Join(where, " and "))
	}
	for _, part := range g.Groups {
		if part.size() == 0 {
			e.line("- (an empty group, which always holds)")
			continue
		}
		e.line("- %s:", holding(part))
		e.indented(func() { e.parts(part, anchor) })
	}
}

func times(o Occurrence) string {
	switch {
	case o.Count == 0 && o.Type != AtLeastTimes:
		return "no"
	case o.Type == AtLeastTimes:
		return "at least " + strconv.Itoa(o.Count)
	case o.Type == AtMostTimes:
		return "at most " + strconv.Itoa(o.Count)
	}
	return "exactly " + strconv.Itoa(o.Count)
}

// distinctBy names the columns that tell events apart.
func distinctBy(column string) string {
	switch column {
	case "", "DOMAIN_CONCEPT":
		return "their concept"
	case "VISIT_ID":
		return "their visit"
	case "VISIT_DETAIL_ID":
		return "their visit detail"
	}
	return "their " + strings.ToLower(strings.ReplaceAll(column, "_", " "))
}

// window says when an event must start or end relative to another.
func window(w Window, ofEnd, anyTime bool, anchor string) string {
	verb := "starting"
	if w.eventEnd(ofEnd) {
		verb = "ending"
	}
	if w.indexEnd() {
		anchor = "the end of " + anchor
	}
	start, end := normalEndpoint(w.Start), normalEndpoint(w.End)
	switch {
	case start.Days != nil && end.Days != nil && *start.Days == *end.Days && (start.Coeff == end.Coeff || *start.Days == 0):
		return verb + " " + on(start) + " " + anchor
	case start.Days != nil && end.Days != nil:
		return fmt.Sprintf("%s between %s and %s %s", verb, relative(start), relative(end), anchor)
	case start.Days != nil && (end.Coeff == 1 || anyTime):
		return fmt.Sprintf("%s %s %s or later", verb, on(start), anchor)
	case end.Days != nil && (start.Coeff == -1 || anyTime):
		return fmt.Sprintf("%s %s %s or earlier", verb, on(end), anchor)
	case start.Days == nil && end.Days == nil && (anyTime || start.Coeff != end.Coeff && start.Coeff == -1):
		return verb + " at any time"
	}
	return fmt.Sprintf("%s from %s to %s", verb, bound(start, anchor), bound(end, anchor))
}

// relative is an endpoint with days, before its anchor is named.
func relative(e Endpoint) string {
	switch {
	case *e.Days == 0:
		return "the day of"
	case e.Coeff < 0:
		return counted(*e.Days, "day") + " before"
	}
	return counted(*e.Days, "day") + " after"
}

// on is [relative] for a single day.
func on(e Endpoint) string {
	if *e.Days == 0 {
		return "on the day of"
	}
	return relative(e)
}

// bound is an endpoint of a window that is open the wrong way.
func bound(e Endpoint, anchor string) string {
	switch {
	case e.Days != nil:
		return relative(e) + " " + anchor
	case e.Coeff < 0:
		return "the start of the observation period"
	}
	return "the end of the observation period"
}
