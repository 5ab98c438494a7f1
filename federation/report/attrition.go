package report

import (
	"fmt"

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

	// Withheld says that N may not be shown.
	Withheld bool `json:"withheld,omitempty"`
}

func attritionBlocks(a Attrition) []block {
	t := &table{head: []string{"step", "remain", "leave"}, words: 1}
	for i, s := range a.Steps {
		remain, leave := countOr(s.N, s.Withheld), ""
		if i > 0 {
			before := a.Steps[i-1]
			leave = countOr(before.N-s.N, s.Withheld || before.Withheld)
		}
		t.add(s.Name, remain, leave)
	}
	return []block{t}
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
			continue
		}
		out.count(at, "n", s.N)
	}
	return out
}

func attritionFigure(a Attrition) drawing {
	p := figure.Flow{Title: "Attrition"}
	for i, s := range a.Steps {
		stage := figure.Stage{Remain: fmt.Sprintf("%s (n = %s)", s.Name, countOr(s.N, s.Withheld))}
		if i > 0 {
			before := a.Steps[i-1]
			stage.Leave = fmt.Sprintf("Excluded (n = %s)", countOr(before.N-s.N, s.Withheld || before.Withheld))
		}
		p.Steps = append(p.Steps, stage)
	}
	if len(p.Steps) == 0 {
		return nil
	}
	return p
}
