package cohort

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// MaxSize is the largest definition that is read, in bytes. Those of the OHDSI phenotype
// library have up to 530,000.
const MaxSize = 4 << 20

// Limits of a definition's parts. Nesting is bounded by [canonical.MaxDepth].
const (
	maxSets   = 1_000
	maxItems  = 100_000   // of all concept sets and lists together
	maxParts  = 10_000    // criteria, groups, filters and rules
	maxReach  = 1_000_000 // days
	maxCount  = 1_000_000 // of events
	maxNumber = 1e15      // that a value is compared with
	maxText   = 4_000     // bytes of a text that is kept
	maxName   = 64        // bytes of a member's name in an error
)

// MaxRules is how many inclusion rules a definition has at most. OHDSI's own SQL keeps which
// of them hold for an event as bits of a BIGINT.
const MaxRules = 62

// Read reads a cohort definition: Circe JSON, as ATLAS exports it, with the defaults that
// Circe has for what is absent. Null means absent except where Circe gives it a meaning.
// Its error, of kind [problem.Invalid] or [problem.TooLarge], names by path the first
// element that is wrong or unknown. Elements that are known but not evaluated are read;
// [Definition.Unsupported] names them.
//
// Source: OHDSI/circe-be, org.ohdsi.circe.cohortdefinition.
func Read(raw []byte) (Definition, error) {
	if len(raw) > MaxSize {
		return Definition{}, problem.New(problem.TooLarge, fmt.Sprintf("cohort: more than %d bytes", MaxSize))
	}
	raw, err := canonical.Transform(raw)
	if err != nil {
		return Definition{}, problem.New(problem.Invalid, "cohort: "+err.Error())
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var root map[string]any
	if err := dec.Decode(&root); err != nil || root == nil {
		return Definition{}, invalid("definition", "must be an object")
	}
	r := &reader{}
	d := r.definition(object{r: r, members: root})
	if r.err != nil {
		return Definition{}, r.err
	}
	return d, nil
}

func (r *reader) definition(o object) Definition {
	o.skip("Title", "cdmVersionRange")
	d := Definition{ConceptSets: r.conceptSets(o), Primary: r.primary(o.required("PrimaryCriteria"))}
	if group, there := o.child("AdditionalCriteria"); there {
		d.Additional = new(r.group(group))
	}
	d.QualifiedLimit = r.limit(o, "QualifiedLimit", All)
	d.Rules = r.rules(o)
	d.ExpressionLimit = r.limit(o, "ExpressionLimit", All)
	d.End = r.end(o)
	d.Censoring = r.criteria(o, "CensoringCriteria")
	if collapse, there := o.child("CollapseSettings"); there {
		if kind := collapse.text("CollapseType"); kind != "" && kind != "ERA" {
			r.fail(collapse.at("CollapseType"), "must be ERA")
		}
		d.EraPad = collapse.count("EraPad", 0, maxReach)
		collapse.end()
	}
	if window, there := o.child("CensorWindow"); there {
		d.CensorWindow = r.period(window)
	}
	o.end()
	d.Idle = r.idle
	return d
}

func (r *reader) conceptSets(o object) []ConceptSet {
	var sets []ConceptSet
	seen := map[int]bool{}
	o.each("ConceptSets", func(value any, path string) {
		s := r.object(value, path)
		id := s.whole("id", math.MinInt32, math.MaxInt32)
		switch {
		case id == nil:
			r.fail(s.at("id"), "is missing")
			return
		case seen[*id]:
			r.fail(s.at("id"), "stands twice")
		case len(seen) == maxSets:
			r.fail(path, fmt.Sprintf("a definition has at most %d concept sets", maxSets))
		}
		seen[*id] = true
		set := ConceptSet{ID: *id, Name: r.keep(s, "name")}
		expression := s.required("expression")
		if _, there := expression.members["items"]; !there {
			r.fail(expression.at("items"), "is missing")
		}
		expression.each("items", func(value any, path string) {
			set.Items = append(set.Items, r.item(r.object(value, path)))
		})
		expression.end()
		s.end()
		sets = append(sets, set)
	})
	return sets
}

func (r *reader) item(o object) Item {
	item := Item{
		Excluded:    o.flag("isExcluded"),
		Descendants: o.flag("includeDescendants"),
		Mapped:      o.flag("includeMapped"),
	}
	item.Concept, item.Name, item.Standard, item.Invalid = r.concept(o.required("concept"))
	o.end()
	return item
}

// concept reads a concept as ATLAS embeds it. Only its id means anything.
func (r *reader) concept(o object) (id int64, name, standard, invalid string) {
	if r.items++; r.items > maxItems {
		r.fail(o.path, fmt.Sprintf("a definition has at most %d concepts", maxItems))
	}
	if n := o.whole("CONCEPT_ID", 0, maxNumber); n != nil {
		id = int64(*n)
	} else {
		r.fail(o.at("CONCEPT_ID"), "is missing")
	}
	name, standard, invalid = r.keep(o, "CONCEPT_NAME"), r.keep(o, "STANDARD_CONCEPT"), r.keep(o, "INVALID_REASON")
	o.skip("STANDARD_CONCEPT_CAPTION", "INVALID_REASON_CAPTION", "CONCEPT_CODE", "DOMAIN_ID", "VOCABULARY_ID", "CONCEPT_CLASS_ID",
		"VALID_START_DATE", "VALID_END_DATE", "RECORD_COUNT", "DESCENDANT_RECORD_COUNT", "PERSON_COUNT", "DESCENDANT_PERSON_COUNT")
	o.end()
	return id, name, standard, invalid
}

// keep returns a text for people.
func (r *reader) keep(o object, name string) string {
	text := o.text(name)
	if len(text) > maxText {
		r.fail(o.at(name), fmt.Sprintf("has more than %d bytes", maxText))
	}
	return text
}

func (r *reader) primary(o object) Primary {
	p := Primary{Criteria: r.criteria(o, "CriteriaList")}
	if len(p.Criteria) == 0 {
		r.fail(o.at("CriteriaList"), "needs a criterion")
	}
	if window, there := o.child("ObservationWindow"); there {
		p.PriorDays = window.count("PriorDays", 0, maxReach)
		p.PostDays = window.count("PostDays", 0, maxReach)
		window.end()
	}
	p.Limit = r.limit(o, "PrimaryCriteriaLimit", "")
	o.end()
	return p
}

// limit reads a limit: the first event unless it says another, and for a type that is null
// whatever Circe makes of that, or an error.
func (r *reader) limit(o object, name string, ofNull Limit) Limit {
	child, there := o.child(name)
	if !there {
		return First
	}
	defer child.end()
	if child.isNull("Type") && ofNull != "" {
		child.take("Type")
		return ofNull
	}
	if _, there := child.members["Type"]; !there {
		return First
	}
	kind := child.text("Type")
	for _, limit := range []Limit{All, First, Last} {
		if strings.EqualFold(kind, string(limit)) {
			return limit
		}
	}
	r.fail(child.at("Type"), "must be All, First or Last")
	return First
}

func (r *reader) rules(o object) []Rule {
	var rules []Rule
	o.each("InclusionRules", func(value any, path string) {
		if r.part(path); len(rules) == MaxRules {
			r.fail(path, fmt.Sprintf("a definition has at most %d rules, as many as OHDSI's own SQL can tell apart: join some in a group of one rule", MaxRules))
		}
		rule := r.object(value, path)
		rules = append(rules, Rule{
			Name:        r.keep(rule, "name"),
			Description: r.keep(rule, "description"),
			Group:       r.group(rule.required("expression")),
		})
		rule.end()
	})
	return rules
}

func (r *reader) end(o object) EndStrategy {
	var end EndStrategy
	strategy, there := o.child("EndStrategy")
	if !there {
		return end
	}
	if len(strategy.members) != 1 {
		r.fail(strategy.path, "must name one strategy, DateOffset or CustomEra")
	}
	if offset, there := strategy.child("DateOffset"); there {
		end.Offset = &DateOffset{
			FromEnd: r.oneOf(offset, "DateField", "StartDate", "EndDate") == "EndDate",
			Days:    offset.count("Offset", -maxReach, maxReach),
		}
		offset.end()
	}
	if era, there := strategy.child("CustomEra"); there {
		end.Era = &CustomEra{
			GapDays:    era.count("GapDays", 0, maxReach),
			Offset:     era.count("Offset", -maxReach, maxReach),
			DaysSupply: era.whole("DaysSupplyOverride", 0, maxReach),
		}
		if set := era.whole("DrugCodesetId", math.MinInt32, math.MaxInt32); set != nil {
			end.Era.ConceptSet = *set
		} else {
			r.fail(era.at("DrugCodesetId"), "is missing")
		}
		era.end()
	}
	strategy.end()
	if r.err == nil && end.Offset == nil && end.Era == nil {
		r.fail(strategy.path, "must name one strategy, DateOffset or CustomEra")
	}
	return end
}

// oneOf returns the text that is there, the first of those allowed if none is.
func (r *reader) oneOf(o object, name string, allowed ...string) string {
	if _, there := o.members[name]; !there {
		return allowed[0]
	}
	text := o.text(name)
	for _, a := range allowed {
		if text == a {
			return text
		}
	}
	r.fail(o.at(name), "must be "+strings.Join(allowed[:len(allowed)-1], ", ")+" or "+allowed[len(allowed)-1])
	return allowed[0]
}
