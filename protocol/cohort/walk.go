package cohort

import "strconv"

// visitor is called for the parts of a definition, each before its own parts, with the
// path of the part in the JSON document. Any of its functions may be nil.
type visitor struct {
	criterion  func(path string, c Criterion)
	group      func(path string, g Group)
	correlated func(path string, c Correlated)
	filter     func(path string, of Domain, f Filter)
	set        func(path string, id int) // a reference to a concept set
}

func (d Definition) walk(v visitor) {
	v.criteria("PrimaryCriteria.CriteriaList", d.Primary.Criteria)
	if d.Additional != nil {
		v.visitGroup("AdditionalCriteria", *d.Additional)
	}
	for i, rule := range d.Rules {
		v.visitGroup(rulePath(i), rule.Group)
	}
	v.criteria("CensoringCriteria", d.Censoring)
	if d.End.Era != nil && v.set != nil {
		v.set("EndStrategy.CustomEra.DrugCodesetId", d.End.Era.ConceptSet)
	}
}

func rulePath(i int) string { return element("InclusionRules", i) + ".expression" }

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func (v visitor) criteria(path string, criteria []Criterion) {
	for i, c := range criteria {
		v.visitCriterion(element(path, i), c)
	}
}

func (v visitor) visitCriterion(path string, c Criterion) {
	path += "." + string(c.Domain)
	if v.criterion != nil {
		v.criterion(path, c)
	}
	if c.ConceptSet != nil && v.set != nil {
		v.set(path+".CodesetId", *c.ConceptSet)
	}
	v.filters(path, c.Domain, c.Filters)
	if c.Correlated != nil {
		v.visitGroup(path+".CorrelatedCriteria", *c.Correlated)
	}
}

func (v visitor) filters(path string, of Domain, filters []Filter) {
	for _, f := range filters {
		at := path + "." + f.Field
		if v.filter != nil {
			v.filter(at, of, f)
		}
		switch {
		case v.set == nil:
		case f.Source != nil:
			v.set(at, *f.Source)
		case f.Set != nil && f.Set.Set != nil:
			v.set(at+".CodesetId", *f.Set.Set)
		}
	}
}

func (v visitor) visitGroup(path string, g Group) {
	if v.group != nil {
		v.group(path, g)
	}
	for i, c := range g.Criteria {
		at := element(path+".CriteriaList", i)
		if v.correlated != nil {
			v.correlated(at, c)
		}
		v.visitCriterion(at+".Criteria", c.Criterion)
	}
	for i, person := range g.Demographics {
		v.filters(element(path+".DemographicCriteriaList", i), Person, person.Filters)
	}
	for i, part := range g.Groups {
		v.visitGroup(element(path+".Groups", i), part)
	}
}
