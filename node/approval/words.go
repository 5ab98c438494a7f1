package approval

import (
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// Words says in plain English what a request asks, for who has to decide about it.
// The purpose is not part of it.
func Words(r query.Request) (string, error) {
	d, err := r.Definition()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	switch v, m := r.Analysis.Variable, r.Analysis.Model; {
	case r.Analysis.Kind == query.Count:
		b.WriteString("How many persons are in the cohort")
	case v != nil:
		fmt.Fprintf(&b, "Analysis %s of each person's %s value of concept %d in %s, between %g and %g, over the cohort", r.Analysis.Kind, v.Take, v.Concept, v.Unit, v.Low, v.High)
	case m != nil:
		family, weights := string(m.Family), ""
		if m.Link != "" {
			family += ", link " + string(m.Link)
		}
		if m.Weights != "" {
			weights = ", weighted by " + m.Weights
		}
		fmt.Fprintf(&b, "Regression (%s) of %s over the cohort, one row a person%s, where", family, m.Formula, weights)
		for i, c := range m.Columns {
			fmt.Fprintf(&b, "%s %s is %s", []string{"", ";"}[min(i, 1)], c.Name, c.Words())
		}
	default:
		fmt.Fprintf(&b, "Analysis %s over the cohort", r.Analysis.Kind)
	}
	for i, by := range r.Analysis.By {
		b.WriteString([]string{", split by ", " and "}[min(i, 1)] + string(by))
	}
	b.WriteString(".\n" + d.Explain())
	return b.String(), nil
}
