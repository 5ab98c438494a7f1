package cohort

import (
	"strconv"
	"strings"
)

// criterion looks at what an event is said to be.
func (l *linter) criterion(path string, c Criterion) {
	if a := c.DateAdjustment; a != nil {
		start, end := a.StartWithEnd, !a.EndWithStart // whether each is counted from the event's end
		if start == end && a.StartOffset > a.EndOffset {
			l.warn(path+".DateAdjustment", "end-before-start", "the adjusted event ends before it starts")
		}
	}
}

func (l *linter) group(path string, g Group) {
	if g.size() > 0 {
		switch {
		case g.Type == AtLeast && g.Count > g.size():
			l.warn(path+".Count", "never-true", "at least %d of %d parts can never hold", g.Count, g.size())
		case g.Type == AtLeast && g.Count == 0:
			l.warn(path+".Count", "always-true", "at least 0 parts hold for everybody")
		case g.Type == AtMost && g.Count >= g.size():
			l.warn(path+".Count", "always-true", "at most %d of %d parts hold for everybody", g.Count, g.size())
		}
	}
	l.repeated(path+".CriteriaList", keys(g.Criteria))
	l.repeated(path+".DemographicCriteriaList", keys(g.Demographics))
	l.repeated(path+".Groups", keys(g.Groups))
	for i, person := range g.Demographics {
		if len(person.Filters) == 0 {
			l.warn(element(path+".DemographicCriteriaList", i), "always-true", "it asks for nothing, so it holds for everybody")
		}
	}
	for i, part := range g.Groups {
		if part.size() == 0 {
			l.note(element(path+".Groups", i), "always-true", "the group has no criteria, so it holds for everybody")
		}
	}
}

func (l *linter) correlated(path string, c Correlated) {
	l.window(path+".StartWindow", c.Start)
	if c.End != nil {
		l.window(path+".EndWindow", *c.End)
	}
	o, none := c.Occurrence, c.Occurrence.Count == 0
	switch {
	case o.Type == AtLeastTimes && none:
		l.warn(path+".Occurrence", "always-true", "at least 0 events are there for everybody")
	case o.Distinct && none:
		l.note(path+".Occurrence.IsDistinct", "no-effect", "distinct counts nothing where no event is allowed")
	}
}

// window warns where no day lies between its ends. What the observation period decides
// cannot be told.
func (l *linter) window(path string, w Window) {
	if w.Start.Days != nil && w.End.Days != nil && w.Start.Coeff**w.Start.Days > w.End.Coeff**w.End.Days {
		l.warn(path, "window-reversed", "it starts after it ends, so no event lies in it")
	}
	if w.Start.Days == nil && w.Start.Coeff != -1 && w.End.Days != nil || w.End.Days == nil && w.End.Coeff == -1 && w.Start.Days != nil {
		l.warn(path, "window-reversed", "it is open in the wrong direction, so hardly an event lies in it")
	}
}

// oldest is an age in years that nobody has.
const oldest = 130

// filter looks for comparisons that nothing can pass or that are made with something else.
func (l *linter) filter(path string, of Domain, f Filter) {
	field, _ := of.field(f.Field)
	if n := f.Number; n != nil {
		if isBetween(n.Op) && n.Value > n.Extent {
			l.rangeReversed(path, n.Op)
		}
		if field.Unit == "year" && ageless(*n) {
			l.warn(path, "impossible-age", "nobody has such an age")
		}
		if field.Kind == KindInteger && field.Unit == "day" && nonNegativeNever(*n) {
			l.warn(path, "never-true", "no %s is that short", field.Words)
		}
	}
	if r := f.Date; r != nil && isBetween(r.Op) && r.Value > r.Extent {
		l.rangeReversed(path, r.Op)
	}
	if p := f.Period; p != nil && p.Start != "" && p.End != "" && p.Start > p.End {
		l.warn(path, "window-reversed", "it ends before it starts")
	}
	if t := f.Text; t != nil && strings.ContainsAny(t.Text, "%_") {
		l.note(path+".Text", "wildcard", "%% and _ in the text stand for any characters")
	}
	if other, differs := compared[string(of)+"."+f.Field]; differs {
		l.warn(path, "compares-other", "the reference implementation compares %s here", other)
	}
}

func (l *linter) rangeReversed(path, op string) {
	if op == "bt" {
		l.warn(path, "never-true", "the lower end is above the upper, so nothing lies between")
	} else {
		l.warn(path, "always-true", "the lower end is above the upper, so everything lies outside")
	}
}

func ageless(n NumericRange) bool {
	switch n.Op {
	case "eq", "gt", "gte":
		return n.Value < 0 && n.Op == "eq" || n.Value > oldest
	case "bt":
		return n.Extent < 0 || n.Value > oldest
	}
	return nonNegativeNever(n)
}

func nonNegativeNever(n NumericRange) bool {
	switch n.Op {
	case "lt":
		return n.Value <= 0
	case "lte", "eq":
		return n.Value < 0
	case "bt":
		return n.Extent < 0
	}
	return false
}

// compared are the fields for which circe-be (1.12) writes a query about another column.
// Answers follow it, because definitions were tested with it.
var compared = map[string]string{
	"DrugExposure.OccurrenceEndDate": "the start of the exposure, not its end,",
	"DrugEra.GapDays":                "the total of gap days with the numbers of EraLength",
	"Person.RaceCS":                  "the person's sex, not the race,",
	"Person.EthnicityCS":             "the person's sex, not the ethnicity,",
}

// comparePaths orders paths as they stand in a document: numbers by value.
func comparePaths(a, b string) int {
	split := func(r rune) bool { return r == '.' || r == '[' || r == ']' }
	as, bs := strings.FieldsFunc(a, split), strings.FieldsFunc(b, split)
	for i := range min(len(as), len(bs)) {
		m, errA := strconv.Atoi(as[i])
		n, errB := strconv.Atoi(bs[i])
		switch {
		case as[i] == bs[i]:
		case errA == nil && errB == nil:
			return m - n
		default:
			return strings.Compare(as[i], bs[i])
		}
	}
	return len(as) - len(bs)
}
