package approval

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Words says in plain English what a request asks, for who has to decide about it.
// The purpose is not part of it.
func Words(r query.Request) (string, error) {
	who, err := cohortWords(r.Cohort)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	switch v := r.Analysis.Variable; {
	case r.Analysis.Kind == query.Count:
		b.WriteString("How many persons are in the cohort")
	case v != nil:
		fmt.Fprintf(&b, "Analysis %s of each person's %s value of concept %d in %s, between %g and %g, over the cohort", r.Analysis.Kind, v.Take, v.Concept, v.Unit, v.Low, v.High)
	default:
		fmt.Fprintf(&b, "Analysis %s over the cohort", r.Analysis.Kind)
	}
	for i, by := range r.Analysis.By {
		b.WriteString([]string{", split by ", " and "}[min(i, 1)] + string(by))
	}
	b.WriteString(".\n" + who)
	return b.String(), nil
}

// namedConcepts is how many concepts of a criterion are named in words.
const namedConcepts = 20

// cohortWords says who is in a cohort. It is the one place that explains a
// definition to approvers.
func cohortWords(definition json.RawMessage) (string, error) {
	x, err := cohort.Parse(definition)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("In the cohort is whoever has, in any of these domains, a first record of:\n")
	for _, c := range x.Criteria {
		fmt.Fprintf(&b, "  %s: ", c.Domain)
		switch n := len(c.Concepts); {
		case n == 0:
			b.WriteString("any concept\n")
		case n == 1:
			fmt.Fprintf(&b, "concept %d\n", c.Concepts[0])
		default:
			var names []string
			for _, id := range c.Concepts[:min(n, namedConcepts)] {
				names = append(names, fmt.Sprint(id))
			}
			if n > namedConcepts {
				names = append(names, fmt.Sprintf("and %d more", n-namedConcepts))
			}
			fmt.Fprintf(&b, "one of %d concepts: %s\n", n, strings.Join(names, ", "))
		}
	}
	fmt.Fprintf(&b, "within an observation period that began %d days or more before and ends %d days or more after.", x.PriorDays, x.PostDays)
	return b.String(), nil
}
