package report

import (
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/federation/report/figure"
)

// Attrition is how many persons each step of a study leaves, from first to last.
type Attrition struct {
	Steps []AttritionStep `json:"steps"`
}

// AttritionStep is a step with who remains after it.
type AttritionStep struct {
	Name string `json:"name"` // for example the name of an inclusion rule
	N    int64  `json:"n"`    // 0 if it is withheld

	// SitesWithheld is how many sites' persons are not in N. Who leaves at the step, or at
	// the next one, cannot be told then.
	SitesWithheld int `json:"sitesWithheld,omitempty"`

	// Withheld says that N may not be shown.
	Withheld bool `json:"withheld,omitempty"`
}

func attritionBlocks(a Attrition) []block {
	t := &table{head: []string{"step", "remain", "leave"}, words: 1}
	partly := slices.ContainsFunc(a.Steps, func(s AttritionStep) bool { return s.SitesWithheld > 0 })
	if partly {
		t.head = append(t.head, "sites withheld")
	}
	for i, s := range a.Steps {
		remain, leave := countOr(s.N, s.Withheld), ""
		if i > 0 {
			before := a.Steps[i-1]
			leave = left(before, s)
		}
		cells := []string{s.Name, remain, leave}
		if partly {
			cells = append(cells, fmt.Sprint(s.SitesWithheld))
		}
		t.add(cells...)
	}
	return []block{t}
}

// left is how many leave at a step, as far as that can be told.
func left(before, s AttritionStep) string {
	return countOr(before.N-s.N, s.Withheld || before.Withheld || s.SitesWithheld > 0 || before.SitesWithheld > 0)
}

func countOr(n int64, hidden bool) string {
	if hidden {
		return withheld
	}
	return fmt.Sprint(n)
}

func attritionRows(a Attrition) rows {
	var out rows
	for i, s := range a.Steps {
		at := Row{Section: "step", Name: s.Name, At: whole(int64(i + 1))}
		if s.Withheld {
			out.withheld(at, "n")
		} else {
			out.count(at, "n", s.N)
		}
		out.count(at, "sites withheld", int64(s.SitesWithheld))
	}
	return out
}

func attritionFigure(a Attrition) drawing {
	p := figure.Flow{Title: "Attrition"}
	for i, s := range a.Steps {
		stage := figure.Stage{Remain: fmt.Sprintf("%s (n = %s)", s.Name, countOr(s.N, s.Withheld))}
		if i > 0 {
			before := a.Steps[i-1]
			stage.Leave = fmt.Sprintf("Excluded (n = %s)", left(before, s))
		}
		p.Steps = append(p.Steps, stage)
	}
	if len(p.Steps) == 0 {
		return nil
	}
	return p
}
