package cohort

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Limits of a definition.
const (
	MaxBytes    = 256 << 10
	MaxConcepts = 10_000
	maxCriteria = 100
	maxDays     = 36_500 // of observation before or after an event: a century
)

var domains = map[Domain]bool{
	ConditionOccurrence: true, DrugExposure: true, ProcedureOccurrence: true,
	Measurement: true, Observation: true, VisitOccurrence: true,
}

// Expression is a cohort definition.
type Expression struct {
	// Criteria are the primary criteria; any one of them suffices.
	Criteria []EventCriterion `json:"criteria"`

	// PriorDays and PostDays are the days of observation required around the event.
	PriorDays int `json:"priorDays"`
	PostDays  int `json:"postDays"`
}

// Normal returns the expression in the one form that all definitions of the same
// cohort share: names are gone, criteria and concepts are sorted and stand once.
func (e Expression) Normal() Expression {
	n := Expression{PriorDays: e.PriorDays, PostDays: e.PostDays}
	for _, c := range e.Criteria {
		concepts := slices.Clone(c.Concepts)
		slices.Sort(concepts)
		n.Criteria = append(n.Criteria, EventCriterion{Domain: c.Domain, Concepts: slices.Compact(concepts)})
	}
	compare := func(a, b EventCriterion) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), slices.Compare(a.Concepts, b.Concepts))
	}
	slices.SortFunc(n.Criteria, compare)
	n.Criteria = slices.CompactFunc(n.Criteria, func(a, b EventCriterion) bool { return compare(a, b) == 0 })
	return n
}

// EventCriterion is "an event of this domain with one of these concepts". No
// concepts means any concept.
type EventCriterion struct {
	Domain   Domain  `json:"domain"`
	Concepts []int64 `json:"concepts"`
}

// The wire form. Pointers and raw messages tell "absent" from "present".
type (
	wireExpression struct {
		ConceptSets     []wireConceptSet `json:"ConceptSets"`
		PrimaryCriteria *wirePrimary     `json:"PrimaryCriteria"`
	}
	wireConceptSet struct {
		ID         int    `json:"id"`
		Name       string `json:"name"`
		Expression struct {
			Items []wireItem `json:"items"`
		} `json:"expression"`
	}
	wireItem struct {
		Concept struct {
			ID int64 `json:"CONCEPT_ID"`
		} `json:"concept"`
		IsExcluded         bool `json:"isExcluded"`
		IncludeDescendants bool `json:"includeDescendants"`
		IncludeMapped      bool `json:"includeMapped"`
	}
	wirePrimary struct {
		CriteriaList      []map[Domain]map[string]json.RawMessage `json:"CriteriaList"`
		ObservationWindow struct {
			PriorDays int `json:"PriorDays"`
			PostDays  int `json:"PostDays"`
		} `json:"ObservationWindow"`
		PrimaryCriteriaLimit struct {
			Type string `json:"Type"`
		} `json:"PrimaryCriteriaLimit"`
	}
)

// Parse reads a definition. Its error names the first element that is wrong or
// not evaluated, by path.
func Parse(raw []byte) (Expression, error) {
	if len(raw) > MaxBytes {
		return Expression{}, problem.New(problem.TooLarge, fmt.Sprintf("cohort: more than %d bytes", MaxBytes))
	}
	raw, err := canonical.Transform(raw)
	if err != nil {
		return Expression{}, problem.New(problem.Invalid, "cohort: "+err.Error())
	}
	if err := refuseUnsupported(raw); err != nil {
		return Expression{}, err
	}
	var wire wireExpression
	if err := json.Unmarshal(raw, &wire); err != nil {
		return Expression{}, problem.New(problem.Invalid, "cohort: a field has the wrong type")
	}
	return wire.expression()
}

func (w wireExpression) expression() (Expression, error) {
	sets := make(map[int][]int64, len(w.ConceptSets))
	for i, set := range w.ConceptSets {
		concepts, err := set.concepts(fmt.Sprintf("ConceptSets[%d]", i))
		if err != nil {
			return Expression{}, err
		}
		if _, twice := sets[set.ID]; twice {
			return Expression{}, invalid(fmt.Sprintf("ConceptSets[%d].id", i), "stands twice")
		}
		sets[set.ID] = concepts
	}
	switch {
	case w.PrimaryCriteria == nil:
		return Expression{}, invalid("PrimaryCriteria", "is missing")
	case len(w.PrimaryCriteria.CriteriaList) == 0 || len(w.PrimaryCriteria.CriteriaList) > maxCriteria:
		return Expression{}, invalid("PrimaryCriteria.CriteriaList", fmt.Sprintf("1 to %d criteria", maxCriteria))
	}
	window := w.PrimaryCriteria.ObservationWindow
	if min(window.PriorDays, window.PostDays) < 0 || max(window.PriorDays, window.PostDays) > maxDays {
		return Expression{}, invalid("PrimaryCriteria.ObservationWindow", fmt.Sprintf("0 to %d days", maxDays))
	}
	// With all events or the first, a person enters on the first one's day.
	if limit := w.PrimaryCriteria.PrimaryCriteriaLimit.Type; limit != "" && limit != "First" && limit != "All" {
		return Expression{}, unsupported("PrimaryCriteria.PrimaryCriteriaLimit.Type")
	}
	e := Expression{PriorDays: window.PriorDays, PostDays: window.PostDays}
	for i, object := range w.PrimaryCriteria.CriteriaList {
		c, err := criterion(object, sets, fmt.Sprintf("PrimaryCriteria.CriteriaList[%d]", i))
		if err != nil {
			return Expression{}, err
		}
		e.Criteria = append(e.Criteria, c)
	}
	return e, nil
}

func (s wireConceptSet) concepts(path string) ([]int64, error) {
	if len(s.Expression.Items) == 0 || len(s.Expression.Items) > MaxConcepts {
		return nil, invalid(path+".expression.items", fmt.Sprintf("1 to %d concepts", MaxConcepts))
	}
	var ids []int64
	for i, item := range s.Expression.Items {
		at := fmt.Sprintf("%s.expression.items[%d]", path, i)
		switch {
		case item.Concept.ID <= 0:
			return nil, invalid(at+".concept.CONCEPT_ID", "must be positive")
		case item.IsExcluded:
			return nil, unsupported(at + ".isExcluded")
		case item.IncludeDescendants:
			return nil, unsupported(at + ".includeDescendants")
		case item.IncludeMapped:
			return nil, unsupported(at + ".includeMapped")
		}
		ids = append(ids, item.Concept.ID)
	}
	return ids, nil
}

func criterion(object map[Domain]map[string]json.RawMessage, sets map[int][]int64, path string) (EventCriterion, error) {
	if len(object) != 1 {
		return EventCriterion{}, invalid(path, "must name exactly one domain")
	}
	for domain, fields := range object {
		at := path + "." + string(domain)
		if !domains[domain] {
			return EventCriterion{}, unsupported(at)
		}
		if fields == nil {
			return EventCriterion{}, invalid(at, "must be an object")
		}
		c := EventCriterion{Domain: domain}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			raw := fields[name]
			if name != "CodesetId" {
				return EventCriterion{}, unsupported(at + "." + name)
			}
			var id *int
			if err := json.Unmarshal(raw, &id); err != nil || id == nil {
				return EventCriterion{}, invalid(at+".CodesetId", "must be the id of a concept set")
			}
			concepts, known := sets[*id]
			if !known {
				return EventCriterion{}, invalid(at+".CodesetId", "names no concept set")
			}
			c.Concepts = concepts
		}
		return c, nil
	}
	panic("unreachable: the object has one member")
}

func unsupported(path string) error {
	return problem.Refusal("cohort.unsupported", fmt.Sprintf("cohort: %s is not evaluated by this version; remove it or change it", path))
}
