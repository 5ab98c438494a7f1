package query

import (
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// Axis is a way in which the cells of an answer are told apart.
type Axis struct {
	Name   string
	Levels []string
}

// StepAxis is the name of the axis of an attrition. Its first level is who enters by the
// primary criteria, the others are who is left after each inclusion rule in turn: each is
// a part of the one before.
const StepAxis = "step"

// maxStep bounds the name of a step, in bytes.
const maxStep = 120

// Axes returns the axes of the cells that answer a question by a table, none if there is
// one cell. Cells come in row-major order, the last axis fastest.
func (r Request) Axes() ([]Axis, error) {
	if r.Analysis.Attrition {
		d, err := r.Definition()
		if err != nil {
			return nil, err
		}
		return []Axis{{Name: StepAxis, Levels: steps(d.Rules)}}, nil
	}
	var axes []Axis
	for _, s := range r.Analysis.By {
		axes = append(axes, Axis{Name: string(s), Levels: s.Names()})
	}
	return axes, nil
}

// steps are the names of an attrition's steps. The numbers tell rules of one name apart.
func steps(rules []cohort.Rule) []string {
	names := []string{"0. primary criteria"}
	for i, rule := range rules {
		name := strings.Join(strings.Fields(strings.ToValidUTF8(rule.Name, "\uFFFD")), " ")
		if name == "" {
			name = "rule without a name"
		}
		name = fmt.Sprintf("%d. %s", i+1, name)
		if len(name) > maxStep {
			name = strings.ToValidUTF8(name[:maxStep], "") + "…"
		}
		names = append(names, name)
	}
	return names
}

// Repetition returns the answer with its cells named as this request names them. Another
// that asks the same may have other names for the inclusion rules.
func (r Request) Repetition(answer Result) (Result, error) {
	if !r.Analysis.Attrition {
		return answer, nil
	}
	axes, err := r.Axes()
	if err != nil {
		return Result{}, err
	}
	cells := make([]Cell, len(answer.Cells))
	for i, c := range answer.Cells {
		if i < len(axes[0].Levels) {
			c.Levels = []string{axes[0].Levels[i]}
		}
		cells[i] = c
	}
	answer.Cells = cells
	return answer, nil
}
