package cohort

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// unevaluated are the elements that are read but not evaluated, by domain or by domain
// and field, each with the reason.
var unevaluated = map[string]string{
	"LocationRegion":                         "it needs the table location_history, which CDM 5.3 and 5.4 lack",
	"VisitOccurrence.PlaceOfServiceLocation": "it needs the table location_history, which CDM 5.3 and 5.4 lack",
	"VisitDetail.PlaceOfServiceLocation":     "it needs the table location_history, which CDM 5.3 and 5.4 lack",
}

// Evaluable refuses a definition of which some element is not evaluated, and names the first:
// a criterion that is silently ignored is a wrong answer.
func (d Definition) Evaluable() error {
	if findings := d.Unsupported(); len(findings) > 0 {
		return problem.Refusal("cohort.unsupported", fmt.Sprintf("cohort: %s: %s", findings[0].Path, findings[0].Sentence))
	}
	return nil
}

// Unsupported returns an error for each element of the definition that is not evaluated, or
// that names a concept set which is not there. A definition that has one gives no cohort.
func (d Definition) Unsupported() []Finding {
	var findings []Finding
	add := func(path, rule, sentence string) {
		findings = append(findings, Finding{Path: path, Severity: Error, Rule: rule, Sentence: sentence})
	}
	check := func(path, element string) {
		if reason, refused := unevaluated[element]; refused {
			add(path, "unsupported", "it is not evaluated: "+reason)
		}
	}
	sets := make(map[int]bool, len(d.ConceptSets))
	for _, set := range d.ConceptSets {
		sets[set.ID] = true
	}
	d.walk(visitor{
		criterion: func(path string, c Criterion) { check(path, string(c.Domain)) },
		filter:    func(path string, of Domain, f Filter) { check(path, string(of)+"."+f.Field) },
		set: func(path string, id int) {
			if !sets[id] {
				add(path, "undefined-set", fmt.Sprintf("no concept set has the id %d, so nothing can match", id))
			}
		},
	})
	return findings
}
