package cohort

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

func (r *reader) criteria(o object, name string) []Criterion {
	var criteria []Criterion
	o.each(name, func(value any, path string) { criteria = append(criteria, r.criterion(r.object(value, path))) })
	return criteria
}

// criterion reads the object whose one member is named for the domain.
func (r *reader) criterion(o object) Criterion {
	r.part(o.path)
	if len(o.members) != 1 {
		r.fail(o.path, "must name exactly one domain")
	}
	var c Criterion
	for _, domain := range Domains() {
		f, there := o.child(string(domain))
		if !there {
			continue
		}
		t := tables[domain]
		c = Criterion{Domain: domain}
		if !t.keyless {
			c.ConceptSet = f.whole("CodesetId", math.MinInt32, math.MaxInt32)
		}
		if !t.single {
			c.First = f.flag("First")
		}
		c.Filters = r.filters(f, t.fields)
		if adjustment, there := f.child("DateAdjustment"); there {
			c.DateAdjustment = &DateAdjustment{
				StartWithEnd: r.oneOf(adjustment, "StartWith", "START_DATE", "END_DATE") == "END_DATE",
				StartOffset:  adjustment.count("StartOffset", -maxReach, maxReach),
				EndWithStart: r.oneOf(adjustment, "EndWith", "END_DATE", "START_DATE") == "START_DATE",
				EndOffset:    adjustment.count("EndOffset", -maxReach, maxReach),
			}
			adjustment.end()
		}
		if group, there := f.child("CorrelatedCriteria"); there {
			c.Correlated = new(r.group(group))
		}
		f.end()
	}
	o.end()
	if c.Domain == "" {
		r.fail(o.path, "must name a domain")
	}
	return c
}

func (r *reader) group(o object) Group {
	r.part(o.path)
	var g Group
	o.each("CriteriaList", func(value any, path string) {
		g.Criteria = append(g.Criteria, r.correlated(r.object(value, path)))
	})
	o.each("DemographicCriteriaList", func(value any, path string) {
		r.part(path)
		person := r.object(value, path)
		g.Demographics = append(g.Demographics, Demographic{Filters: r.filters(person, demographics)})
		person.end()
	})
	o.each("Groups", func(value any, path string) { g.Groups = append(g.Groups, r.group(r.object(value, path))) })
	kind, count := o.text("Type"), o.whole("Count", 0, maxParts)
	switch g.Type = GroupType(strings.ToUpper(kind)); g.Type {
	case AllOf, AnyOf:
	case AtLeast, AtMost:
		if count != nil {
			g.Count = *count
		} else if g.size() > 0 {
			r.fail(o.at("Count"), "is missing")
		}
	default:
		if kind != "" || g.size() > 0 { // an empty group holds, of whatever type
			r.fail(o.at("Type"), "must be ALL, ANY, AT_LEAST or AT_MOST")
		}
		g.Type = AllOf
	}
	o.end()
	return g
}

// size is how many parts may hold.
func (g Group) size() int { return len(g.Criteria) + len(g.Demographics) + len(g.Groups) }

func (r *reader) correlated(o object) Correlated {
	c := Correlated{
		Criterion:               r.criterion(o.required("Criteria")),
		Start:                   r.window(o.required("StartWindow")),
		SameVisit:               o.flag("RestrictVisit"),
		IgnoreObservationPeriod: o.flag("IgnoreObservationPeriod"),
	}
	if window, there := o.child("EndWindow"); there {
		c.End = new(r.window(window))
	}
	times := o.required("Occurrence")
	c.Occurrence = Occurrence{
		Type:     OccurrenceType(times.count("Type", int(Exactly), int(AtLeastTimes))),
		Count:    times.count("Count", 0, maxCount),
		Distinct: times.flag("IsDistinct"),
	}
	if column := times.text("CountColumn"); column != "" {
		if !slices.Contains(c.Criterion.Domain.columns(), column) {
			r.fail(times.at("CountColumn"), "must be a column of the criterion: "+strings.Join(c.Criterion.Domain.columns(), ", "))
		}
		c.Occurrence.CountColumn = column
	}
	times.end()
	o.end()
	return c
}

// columns are what distinct events of a domain may be told apart by.
func (d Domain) columns() []string {
	return append([]string{"DOMAIN_CONCEPT", "START_DATE", "END_DATE"}, tables[d].columns...)
}

func (r *reader) window(o object) Window {
	w := Window{
		Start:       r.endpoint(o.required("Start")),
		End:         r.endpoint(o.required("End")),
		UseIndexEnd: o.choice("UseIndexEnd"),
		UseEventEnd: o.choice("UseEventEnd"),
	}
	o.end()
	return w
}

func (r *reader) endpoint(o object) Endpoint {
	e := Endpoint{Days: o.whole("Days", -maxReach, maxReach), Coeff: o.count("Coeff", -1, 1)}
	o.end()
	return e
}

// filters reads what is there of the fields, ordered by their names.
func (r *reader) filters(o object, fields []Field) []Filter {
	var filters []Filter
	for _, field := range fields {
		if filter, there := r.filter(o, field); there {
			r.part(o.at(field.Name))
			filters = append(filters, filter)
		}
	}
	slices.SortFunc(filters, func(a, b Filter) int { return cmp.Compare(a.Field, b.Field) })
	return filters
}

// filter reads one field. One that selects nothing is no filter.
func (r *reader) filter(o object, field Field) (Filter, bool) {
	f := Filter{Field: field.Name}
	if field.Excludes {
		f.Exclude = o.flag(field.Name + "Exclude")
	}
	switch field.Kind {
	case KindConcepts:
		return f, r.conceptList(o, &f)
	case KindSource:
		f.Source = o.whole(field.Name, math.MinInt32, math.MaxInt32)
		return f, f.Source != nil
	case KindFlag:
		f.Flag = o.flag(field.Name)
		return f, f.Flag
	}
	value, there := o.child(field.Name)
	if !there {
		return f, false
	}
	switch field.Kind {
	case KindNumber:
		f.Number = r.numericRange(value, fourDecimals)
	case KindInteger:
		f.Number = r.numericRange(value, math.Trunc)
	case KindDate:
		f.Date = r.dateRange(value)
	case KindText:
		f.Text = r.textFilter(value)
	case KindSet:
		f.Set = &SetSelection{Set: value.whole("CodesetId", math.MinInt32, math.MaxInt32), Exclusion: value.flag("IsExclusion")}
		value.end()
	case KindPeriod:
		f.Period = new(r.period(value))
		if *f.Period == (Period{}) {
			r.idle = append(r.idle, value.path)
			return f, false
		}
	}
	return f, true
}

func (r *reader) conceptList(o object, f *Filter) bool {
	_, there := o.members[f.Field].([]any)
	o.each(f.Field, func(value any, path string) {
		id, name, _, _ := r.concept(r.object(value, path))
		f.Concepts, f.Names = append(f.Concepts, id), append(f.Names, name)
	})
	if len(f.Concepts) > 0 {
		return true
	}
	switch {
	case there:
		r.idle = append(r.idle, o.at(f.Field))
	case f.Exclude:
		r.idle = append(r.idle, o.at(f.Field+"Exclude"))
	}
	return false
}
