package report

import (
	"context"
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/reference/variable"
)

// variables checks the numbers of each variable and describes them.
func (c *counting) variables(ctx context.Context) error {
	concepts, err := c.cfg.Store.Measured(ctx, c.tx)
	if err != nil {
		return err
	}
	for _, concept := range concepts {
		persons, err := c.cfg.Store.Measurees(ctx, c.tx, concept)
		if err != nil {
			return err
		}
		var one numbers
		for f, err := range c.cfg.Store.Frequencies(ctx, c.tx, concept) {
			if err != nil {
				return err
			}
			if one.Variable != f.Variable {
				c.variable(one, persons[one.Unit])
				one = numbers{Variable: f.Variable}
			}
			one.add(f)
		}
		c.variable(one, persons[one.Unit])
	}
	return nil
}

// numbers are those of a variable.
type numbers struct {
	omop.Variable
	rows, valid sample
}

func (n *numbers) add(f omop.Frequency) {
	n.rows = append(n.rows, weighted{f.Number, f.Rows})
	if f.Valid > 0 {
		n.valid = append(n.valid, weighted{f.Number, f.Valid})
	}
}

// variable adds the checks and the distribution of a variable.
func (c *counting) variable(n numbers, persons int64) {
	if len(n.rows) == 0 {
		return
	}
	total := n.rows.total()
	d := Distribution{
		Concept: n.Concept, Unit: n.Unit, Rows: total, Invalid: total - n.valid.total(), Persons: persons,
		Fences: []Fence{}, Bins: []Bin{},
	}
	kind, known := c.bounds.At(n.Concept, c.today)
	var unit *variable.Unit
	if known {
		unit, _ = kind.Unit(n.Unit)
	}
	if known && n.Unit != 0 {
		wrong := total
		if unit != nil {
			wrong = 0
		}
		c.addOf(n.Variable, ruleUnit, "unit_concept_id", total, wrong)
	}
	if unit != nil {
		d.Plausible, d.Possible = n.rows.bounded(unit.Low, unit.High), n.rows.bounded(unit.Min, unit.Max)
		c.addOf(n.Variable, ruleImpossible, "value_as_number", total, d.Possible.Outside)
		c.addOf(n.Variable, ruleImplausible, "value_as_number", total, d.Plausible.Outside-d.Possible.Outside)
	}
	d.describe(n.valid, c.settings.outliers(n.Concept, n.Unit), c.settings.Least)
	c.fence(n, d.Fences)
	c.report.Variables = append(c.report.Variables, d)
}

// fence adds the checks of outliers of a variable, and what rows are to be marked by:
// a row is an outlier by one rule that is not only logged.
func (c *counting) fence(n numbers, fences []Fence) {
	var mark *omop.Fence
	for _, f := range fences {
		check := c.ofVariable(n.Variable, f.Method, "value_as_number", n.valid.total(), f.Below+f.Above)
		check.Severity = f.Severity
		c.report.Checks = append(c.report.Checks, check.finish())
		switch {
		case f.Severity == Log:
		case mark == nil:
			mark = &omop.Fence{Variable: n.Variable, Low: f.Low, High: f.High}
		default:
			mark.Low, mark.High = max(mark.Low, f.Low), min(mark.High, f.High)
		}
	}
	if mark != nil {
		c.fences = append(c.fences, *mark)
	}
}

func (c *counting) addOf(v omop.Variable, name, field string, of, found int64) {
	c.report.Checks = append(c.report.Checks, c.ofVariable(v, name, field, of, found).finish())
}

func (c *counting) ofVariable(v omop.Variable, name, field string, of, found int64) Check {
	check := c.settings.change(others[name].check(omop.MeasurementTable.String(), name, field, of, found), name)
	check.ID = fmt.Sprintf("%s.%d.%d", check.ID, v.Concept, v.Unit)
	check.Concept, check.Unit = v.Concept, v.Unit
	return check
}

// name gives variables the names that the site's vocabulary has.
func (c *counting) name(ctx context.Context) error {
	var ids []int64
	for _, v := range c.report.Variables {
		ids = append(ids, v.Concept, v.Unit)
	}
	known, err := c.cfg.Vocabulary.Concepts(ctx, ids)
	if err != nil {
		return err
	}
	for i := range c.report.Variables {
		v := &c.report.Variables[i]
		v.Name = known[v.Concept].Name
		if unit := known[v.Unit]; v.Unit != 0 {
			v.UnitName = unit.Code // of UCUM
		}
	}
	for i := range c.report.Checks {
		check := &c.report.Checks[i]
		check.Variable = strings.TrimSpace(known[check.Concept].Name + " " + known[check.Unit].Code)
		if check.Concept == 0 {
			check.Variable = ""
		}
	}
	return nil
}
