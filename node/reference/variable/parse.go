package variable

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/reference"
)

// The columns of a list. A row is a variable in one unit; rows of one variable follow one
// another, its canonical unit first.
var (
	required = []string{"system", "code", "category", "unit"}
	optional = []string{"concept_id", "display", "unit_concept_ids", "low", "high", "min", "max", "valid_from", "valid_to", "site"}
)

// entry is a variable with the line that it begins at and those of its units.
type entry struct {
	Variable
	line  int
	units []int
}

func (e *entry) same(f *entry) bool {
	return e.System == f.System && e.Code == f.Code && e.From == f.From && e.To == f.To
}

func variables(entries []entry) []Variable {
	out := make([]Variable, len(entries))
	for i, e := range entries {
		out[i] = e.Variable
	}
	return out
}

// parse reads a list, CSV or YAML. What it says is checked by check.
func parse(content []byte) ([]entry, error) {
	if isYAML(content) {
		return parseYAML(content)
	}
	t, err := reference.NewTable(content, required, optional)
	if err != nil {
		return nil, err
	}
	var list []entry
	var faults reference.Faults
	for {
		ok, err := t.Next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return list, faults.Err()
		}
		one := readRow(t, &faults)
		if n := len(list); n > 0 && list[n-1].same(&one) {
			list[n-1].join(one, &faults)
			continue
		}
		list = append(list, one)
	}
}

// isYAML reports whether the first line that says something is no header of CSV.
func isYAML(content []byte) bool {
	for line := range bytes.Lines(bytes.TrimPrefix(content, []byte("\uFEFF"))) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return bytes.HasPrefix(line, []byte("variables:"))
		}
	}
	return false
}

// join adds the unit of a further row of the same variable.
func (e *entry) join(row entry, faults *reference.Faults) {
	switch {
	case row.Concept != 0 && row.Concept != e.Concept:
		faults.Add(row.line, "concept_id differs from that of the variable's first row")
	case row.Category != e.Category:
		faults.Add(row.line, "category differs from that of the variable's first row")
	case row.Display != "" && row.Display != e.Display:
		faults.Add(row.line, "display differs from that of the variable's first row")
	}
	e.Units, e.units = append(e.Units, row.Units...), append(e.units, row.line)
}

func readRow(t *reference.Table, faults *reference.Faults) entry {
	c := cells{t, faults}
	u := Unit{Code: t.Text("unit"), Concepts: c.numbers("unit_concept_ids"), Min: c.bound("min", math.Inf(-1)), Max: c.bound("max", math.Inf(1))}
	u.Low, u.High = c.bound("low", u.Min), c.bound("high", u.Max)
	v := Variable{
		System: t.Text("system"), Code: t.Text("code"), Display: t.Text("display"), Category: t.Text("category"), Units: []Unit{u},
		From: c.day("valid_from", Always), To: c.day("valid_to", Forever), Site: t.Text("site") == "true",
	}
	if ids := c.numbers("concept_id"); len(ids) > 0 {
		v.Concept = ids[0]
	}
	return entry{v, t.Line(), []int{t.Line()}}
}

// cells reads the fields of a row.
type cells struct {
	*reference.Table
	faults *reference.Faults
}

func (c cells) bound(column string, none float64) float64 {
	text := c.Text(column)
	if text == "" {
		return none
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		c.faults.Add(c.Line(), "%s is not a number", column)
		return none
	}
	return n
}

func (c cells) numbers(column string) (list []int64) {
	for text := range strings.FieldsSeq(c.Text(column)) {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n <= 0 {
			c.faults.Add(c.Line(), "%s is not a concept's number", column)
			continue
		}
		list = append(list, n)
	}
	return list
}

func (c cells) day(column string, none sqldb.Date) sqldb.Date {
	text := c.Text(column)
	if text == "" {
		return none
	}
	d, err := sqldb.ParseDate(text)
	if err != nil {
		c.faults.Add(c.Line(), "%s is not a date, YYYY-MM-DD", column)
		return none
	}
	return d
}
