package cohort

import (
	"cmp"
	"maps"
	"slices"
)

// Reads returns every domain that evaluating the definition looks at, sorted: those of
// primary, correlated and censoring criteria, the drug exposures behind an end strategy,
// [Person] where age, sex, race or ethnicity decides, and [VisitOccurrence] where the
// visit of another event does. Observation periods, which bound every event, are named
// only if a criterion does so.
func (d Definition) Reads() []Domain {
	reads := map[Domain]bool{}
	d.walk(visitor{
		criterion: func(_ string, c Criterion) { reads[c.Domain] = true },
		correlated: func(_ string, c Correlated) {
			if c.SameVisit || c.Occurrence.Distinct && c.Occurrence.CountColumn == "VISIT_ID" {
				reads[VisitOccurrence] = true
			}
		},
		filter: func(_ string, of Domain, f Filter) {
			if of == Person {
				reads[Person] = true
			}
			if field, known := of.field(f.Field); known && field.Reads != "" {
				reads[field.Reads] = true
			}
		},
	})
	if d.End.Era != nil {
		reads[DrugExposure] = true
	}
	return slices.Sorted(maps.Keys(reads))
}

// Whole returns the domains of which some criterion takes events whatever their concept,
// sorted. Observation periods have none.
func (d Definition) Whole() []Domain {
	whole := map[Domain]bool{}
	d.walk(visitor{criterion: func(_ string, c Criterion) {
		if c.ConceptSet == nil && c.Domain != ObservationPeriod {
			whole[c.Domain] = true
		}
	}})
	return slices.Sorted(maps.Keys(whole))
}

// Used returns the concept sets that something in the definition refers to, in their order.
func (d Definition) Used() []ConceptSet {
	used := map[int]bool{}
	d.walk(visitor{set: func(_ string, id int) { used[id] = true }})
	var sets []ConceptSet
	for _, set := range d.ConceptSets {
		if used[set.ID] {
			sets = append(sets, set)
		}
	}
	return sets
}

// Mentioned returns the concepts that criteria name by themselves, outside of concept sets,
// with the names that stand beside them: each pair once, in order of the concepts. Concept
// 0, "no matching concept", is not among them.
func (d Definition) Mentioned() []Item {
	mentioned := map[Item]bool{}
	d.walk(visitor{filter: func(_ string, _ Domain, f Filter) {
		for i, id := range f.Concepts {
			item := Item{Concept: id}
			if i < len(f.Names) {
				item.Name = f.Names[i]
			}
			if id != 0 {
				mentioned[item] = true
			}
		}
	}})
	return slices.SortedFunc(maps.Keys(mentioned), func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Concept, b.Concept), cmp.Compare(a.Name, b.Name))
	})
}

// field returns the domain's field of a name.
func (d Domain) field(name string) (Field, bool) {
	fields := tables[d].fields
	if d == Person {
		fields = demographics
	}
	i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return Field{}, false
	}
	return fields[i], true
}
