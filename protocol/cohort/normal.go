package cohort

import (
	"cmp"
	"encoding/json"
	"slices"
)

// Normal returns the definition in one form for all that give the same cohort by the same
// steps: names and what does nothing are gone, concept sets that are not used too, equal
// ones are one, ids follow from content, and whatever may stand in any order is sorted.
// The order of the rules stays, because attrition is counted along it. A set that is not
// defined is an empty one, as in Circe.
//
// It says that two definitions are the same, never that they differ: the same cohort can
// be asked for in ways that only its data would show to be equal.
func (d Definition) Normal() Definition {
	var n normalizer
	n.collect(d)
	out := Definition{
		ConceptSets: n.sets,
		Primary: Primary{
			Criteria:  n.criteria(d.Primary.Criteria),
			PriorDays: d.Primary.PriorDays, PostDays: d.Primary.PostDays,
			Limit: d.Primary.Limit,
		},
		QualifiedLimit:  All,
		ExpressionLimit: d.ExpressionLimit,
		End:             n.end(d.End),
		Censoring:       n.criteria(d.Censoring),
		EraPad:          d.EraPad,
		CensorWindow:    d.CensorWindow,
	}
	if d.Additional != nil {
		out.QualifiedLimit = d.QualifiedLimit
		out.Additional = n.optional(d.Additional, true)
	}
	// Where one event is left, choosing one of them does nothing.
	if d.Primary.Limit != All {
		out.QualifiedLimit = All
	}
	if d.Primary.Limit != All || out.QualifiedLimit != All {
		out.ExpressionLimit = All
	}
	if out.Additional == nil && out.QualifiedLimit != All {
		out.Additional = &Group{Type: AllOf} // the limit counts only beside criteria
	}
	for _, rule := range d.Rules {
		out.Rules = append(out.Rules, Rule{Group: n.group(rule.Group, true)})
	}
	return out
}

// normalizer maps the ids of concept sets to those of the normal form.
type normalizer struct {
	sets []ConceptSet
	ids  map[int]int
}

// collect numbers the sets that are used by their content.
func (n *normalizer) collect(d Definition) {
	content := make(map[int][]Item, len(d.ConceptSets))
	for _, set := range d.ConceptSets {
		content[set.ID] = normalItems(set.Items)
	}
	used := map[int]bool{}
	d.walk(visitor{set: func(_ string, id int) { used[id] = true }})
	byKey, keyOf := map[string][]Item{}, map[int]string{}
	for id := range used {
		keyOf[id] = key(content[id])
		byKey[keyOf[id]] = content[id]
	}
	keys := make([]string, 0, len(byKey))
	for k := range byKey {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for i, k := range keys {
		n.sets = append(n.sets, ConceptSet{ID: i, Items: byKey[k]})
	}
	n.ids = make(map[int]int, len(keyOf))
	for id, k := range keyOf {
		n.ids[id], _ = slices.BinarySearch(keys, k)
	}
}

// normalItems returns the items without those that another one covers, sorted. A set that
// takes away and adds nothing is empty.
func normalItems(items []Item) []Item {
	var sorted []Item
	for _, i := range items {
		sorted = append(sorted, Item{Concept: i.Concept, Excluded: i.Excluded, Descendants: i.Descendants, Mapped: i.Mapped})
	}
	slices.SortFunc(sorted, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Concept, b.Concept), compareFlags(a.Excluded, b.Excluded),
			compareFlags(b.Descendants, a.Descendants), compareFlags(b.Mapped, a.Mapped)) // the wider first
	})
	covers := func(wide, i Item) bool {
		return wide.Concept == i.Concept && wide.Excluded == i.Excluded && (wide.Descendants || !i.Descendants) && (wide.Mapped || !i.Mapped)
	}
	var kept []Item
	for _, i := range sorted {
		// At most two wider items of a concept stand before it, next to it.
		if !slices.ContainsFunc(kept[max(0, len(kept)-2):], func(wide Item) bool { return covers(wide, i) }) {
			kept = append(kept, i)
		}
	}
	if !slices.ContainsFunc(kept, func(i Item) bool { return !i.Excluded }) {
		return nil
	}
	return kept
}

func compareFlags(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// key is a text by which parts are compared.
func key(part any) string {
	raw, err := json.Marshal(part)
	if err != nil {
		panic(err) // numbers, texts and flags; no part holds an infinity
	}
	return string(raw)
}

// arrange sorts parts and drops those that stand twice.
func arrange[T any](parts []T) []T { return distinct(arrangeAll(parts)) }

// arrangeAll sorts parts, in their place, where each of them counts.
func arrangeAll[T any](parts []T) []T {
	type keyed struct {
		key  string
		part T
	}
	sorted := make([]keyed, len(parts))
	for i, p := range parts {
		sorted[i] = keyed{key(p), p}
	}
	slices.SortFunc(sorted, func(a, b keyed) int { return cmp.Compare(a.key, b.key) })
	for i, k := range sorted {
		parts[i] = k.part
	}
	return parts
}

func distinct[T any](sorted []T) []T {
	return slices.CompactFunc(sorted, func(a, b T) bool { return key(a) == key(b) })
}

func (n normalizer) id(id *int) *int {
	if id == nil {
		return nil
	}
	return new(n.ids[*id])
}

func (n normalizer) criteria(criteria []Criterion) []Criterion {
	var out []Criterion
	for _, c := range criteria {
		out = append(out, n.criterion(c))
	}
	return arrange(out)
}

func (n normalizer) criterion(c Criterion) Criterion {
	out := Criterion{
		Domain: c.Domain, ConceptSet: n.id(c.ConceptSet), First: c.First,
		Filters: n.filters(c.Filters), Correlated: n.optional(c.Correlated, false),
	}
	if c.DateAdjustment != nil { // also by nothing: the end must then be there, and not before the start
		out.DateAdjustment = new(*c.DateAdjustment)
	}
	return out
}

func (n normalizer) filters(filters []Filter) []Filter {
	var out []Filter
	for _, f := range filters {
		f.Names = nil
		f.Concepts = slices.Clone(f.Concepts)
		slices.Sort(f.Concepts)
		f.Concepts = slices.Compact(f.Concepts)
		f.Source = n.id(f.Source)
		if f.Set != nil {
			f.Set = &SetSelection{Set: n.id(f.Set.Set), Exclusion: f.Set.Exclusion}
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b Filter) int { return cmp.Compare(a.Field, b.Field) })
	return out
}

// optional returns nil for a group that always holds because it is empty.
func (n normalizer) optional(g *Group, once bool) *Group {
	if g == nil || g.size() == 0 {
		return nil
	}
	return new(n.group(*g, once))
}

// group returns the normal form of a group. Once says that its parts count once each: those
// of a group about a criterion's event count in every observation period that the event
// begins in, and where there are two of these, [AllOf] asks for another number than
// [AnyOf] and [AtLeast] do.
func (n normalizer) group(g Group, once bool) Group {
	out := Group{Type: g.Type}
	for _, c := range g.Criteria {
		out.Criteria = append(out.Criteria, n.correlated(c))
	}
	for _, person := range g.Demographics {
		out.Demographics = append(out.Demographics, Demographic{Filters: n.filters(person.Filters)})
	}
	for _, part := range g.Groups {
		out.Groups = append(out.Groups, n.group(part, once))
	}
	arrangeAll(out.Criteria)
	arrangeAll(out.Demographics)
	arrangeAll(out.Groups)
	switch {
	case g.Type == AtLeast && g.Count == 1:
		out.Type = AnyOf
	case g.Type == AtLeast && g.Count == g.size() && once:
		out.Type = AllOf
	case g.Type == AtLeast || g.Type == AtMost:
		out.Count = g.Count
	}
	if out.Type == AnyOf || out.Type == AllOf && once {
		out.Criteria, out.Demographics, out.Groups = distinct(out.Criteria), distinct(out.Demographics), distinct(out.Groups)
	}
	if out.size() == 0 || once && out.size() == 1 && out.Type == AnyOf {
		out.Type, out.Count = AllOf, 0
	}
	return out
}

func (n normalizer) correlated(c Correlated) Correlated {
	out := Correlated{
		Criterion: n.criterion(c.Criterion), Start: normalWindow(c.Start, false, c.IgnoreObservationPeriod),
		SameVisit: c.SameVisit, IgnoreObservationPeriod: c.IgnoreObservationPeriod,
		Occurrence: Occurrence{Type: c.Occurrence.Type, Count: c.Occurrence.Count, Distinct: c.Occurrence.Distinct},
	}
	if out.Occurrence.Type == AtMostTimes && out.Occurrence.Count == 0 {
		out.Occurrence.Type = Exactly
	}
	if c.Occurrence.Distinct && c.Occurrence.CountColumn != "DOMAIN_CONCEPT" {
		out.Occurrence.CountColumn = c.Occurrence.CountColumn
	}
	if c.End != nil {
		end := normalWindow(*c.End, true, c.IgnoreObservationPeriod)
		if !c.IgnoreObservationPeriod || !end.open() {
			out.End = &end
		}
	}
	return out
}

// open reports whether neither end of the window counts days.
func (w Window) open() bool { return w.Start.Days == nil && w.End.Days == nil }

// normalWindow leaves out flags that say the default. Without days and regardless of the
// observation period, an endpoint excludes nothing, whichever way it points.
func normalWindow(w Window, eventEnd, anyTime bool) Window {
	out := Window{Start: normalEndpoint(w.Start), End: normalEndpoint(w.End)}
	if anyTime && w.Start.Days == nil {
		out.Start.Coeff = -1
	}
	if anyTime && w.End.Days == nil {
		out.End.Coeff = 1
	}
	if w.indexEnd() && !w.open() {
		out.UseIndexEnd = new(true)
	}
	if uses := w.eventEnd(eventEnd); uses != eventEnd && !(anyTime && w.open()) {
		out.UseEventEnd = new(uses)
	}
	return out
}

func (w Window) indexEnd() bool { return w.UseIndexEnd != nil && *w.UseIndexEnd }

// eventEnd reports whether the window is about the end of the criterion's event; the
// default is true for an end window.
func (w Window) eventEnd(byDefault bool) bool {
	if w.UseEventEnd == nil {
		return byDefault
	}
	return *w.UseEventEnd
}

func normalEndpoint(e Endpoint) Endpoint {
	if e.Days == nil {
		if e.Coeff != -1 {
			return Endpoint{Coeff: 1}
		}
		return Endpoint{Coeff: -1}
	}
	days := e.Coeff * *e.Days
	if days < 0 {
		return Endpoint{Coeff: -1, Days: new(-days)}
	}
	return Endpoint{Coeff: 1, Days: &days}
}

func (n normalizer) end(e EndStrategy) EndStrategy {
	var out EndStrategy
	if e.Offset != nil {
		out.Offset = new(*e.Offset)
	}
	if e.Era != nil {
		era := *e.Era
		era.ConceptSet = n.ids[era.ConceptSet]
		if era.DaysSupply != nil {
			era.DaysSupply = new(*era.DaysSupply)
		}
		out.Era = &era
	}
	return out
}
