package table

import (
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// converter turns one row after another into records.
type converter struct {
	m      *Mapping
	at     []int // where the columns of m stand in a row
	width  int   // cells of a row
	narrow int   // the same without cells at the end that the header has no name for
	tally  *Tally
	units  map[string]bool // spellings that are UCUM, or not
	emit   func(fhir.Record, *fhir.Problem) error

	// Of the row.
	row       *row
	matched   []int // records whose when: holds
	patientID string
	fault     *fhir.Problem // of the record being made; the first one counts
	made      bool          // a record
	reason    string        // why there is none; the first one counts
}

// Why a row makes no record, besides a problem of a cell.
const (
	reasonWhen  = "when: holds for none"
	reasonEmpty = "the cells of code or value are empty or in null:"
)

// begin takes a row; ok is false if no record is for it.
func (c *converter) begin(row *row) (ok bool) {
	c.row, c.matched, c.patientID = row, c.matched[:0], ""
	c.made, c.reason = false, reasonEmpty
	for i := range c.m.records {
		if c.holds(c.m.records[i].when) {
			c.matched = append(c.matched, i)
		}
	}
	return len(c.matched) > 0
}

func (c *converter) holds(when []condition) bool {
	for _, one := range when {
		if !one.values[clean(c.raw(one.column))] {
			return false
		}
	}
	return true
}

// raw is the cell of a column as it came.
func (c *converter) raw(column int) string { return c.row.cells[c.at[column]] }

// cell is the cell of a column, cleaned and empty if it says that there is nothing. What
// codes: has a meaning for in that column says something: NA is sodium among tests.
func (c *converter) cell(column int) string {
	s := clean(c.raw(column))
	if !c.m.nulls[s] {
		return s
	}
	if _, ok := c.m.codes[column][s]; ok {
		return s
	}
	return ""
}

// text is what a field says, empty if nothing.
func (c *converter) text(r ref) string {
	switch r.kind {
	case refColumn:
		return c.cell(r.column)
	case refConst:
		return r.text
	}
	return ""
}

// count counts a cell that had to be cleaned.
func (c *converter) count(r ref) {
	if r.kind == refColumn && isUnclean(c.raw(r.column)) {
		c.tally.clean(c.m.columns[r.column])
	}
}

// patient finds out whose row it is.
func (c *converter) patient() *fhir.Problem {
	number, name := c.cell(c.m.patient), c.m.columns[c.m.patient]
	c.count(ref{kind: refColumn, column: c.m.patient})
	switch {
	case number == "":
		return &fhir.Problem{Rule: RuleNoPatient, Line: c.row.line, Path: name}
	case c.m.header && number == name:
		return &fhir.Problem{Rule: RuleRepeatedRow, Line: c.row.line, Path: name, Detail: "the header again"}
	case isMangled(number):
		return &fhir.Problem{Rule: RuleSpreadsheet, Line: c.row.line, Path: name, Detail: "a spreadsheet wrote an exponent or a month for the number"}
	}
	id, ok := c.m.named("Patient", number)
	if !ok {
		return &fhir.Problem{Rule: fhir.RuleInvalidID, Line: c.row.line, Path: name, Detail: "no id of a FHIR Patient; set authority if the column has other numbers"}
	}
	c.patientID = id
	return nil
}

// convert emits the records of the row.
func (c *converter) convert() error {
	for _, i := range c.matched {
		r := &c.m.records[i]
		if len(r.wide) > 0 {
			if err := c.convertWide(r); err != nil {
				return err
			}
			continue
		}
		// A row that says several things need not say all: a second diagnosis.
		if code := r.fields[fieldCode]; len(c.matched) > 1 && code.kind == refColumn && c.cell(code.column) == "" && r.kind.needs(fieldCode) {
			continue
		}
		if err := c.give(r, r.kind.make(c, r), c.recordID(r, r.place), ""); err != nil {
			return err
		}
	}
	return nil
}

// give emits a record, or its fault.
func (c *converter) give(r *record, made fhir.Resource, id, column string) error {
	if p := c.fault; p != nil {
		c.fault = nil
		p.Line = c.row.line
		if c.reason == reasonEmpty {
			c.reason = strings.TrimSuffix("problem "+string(p.Rule)+" of "+p.Path, " of ")
		}
		return c.emit(fhir.Record{}, p)
	}
	path := "line " + strconv.Itoa(c.row.line)
	if column != "" {
		path += " " + column
	}
	setID(made, id)
	c.made = true
	return c.emit(fhir.Record{Type: r.kind.resource, ID: id, Line: c.row.line, Path: path, Resource: made}, nil)
}

// recordID is the id of a record: its own number if it is a patient or a visit, else a
// digest of the mapping's name, the patient, the row's key and the record's place in it.
func (c *converter) recordID(r *record, place string) string {
	switch r.kind.resource {
	case "Patient":
		return c.patientID
	case "Encounter":
		return c.visitID(r.fields[fieldID])
	}
	parts := append(make([]string, 0, 8), r.kind.resource, c.m.Name, c.patientID, place)
	if c.m.key != nil {
		for _, column := range c.m.key {
			parts = append(parts, c.cell(column))
		}
		return fhir.Digest(parts...)
	}
	r.keyColumns(func(column int) { parts = append(parts, c.cell(column)) })
	return fhir.Digest(parts...)
}

// visitID is the id of the visit that a field names, empty for none.
func (c *converter) visitID(r ref) string {
	number := c.text(r)
	if number == "" {
		return ""
	}
	id, ok := c.m.named("Encounter", number)
	if !ok || isMangled(number) {
		c.fail(r, fhir.RuleInvalidID, "no id of a FHIR Encounter; set authority if the column has other numbers")
	}
	return id
}

// fail notes why the record cannot be made.
func (c *converter) fail(r ref, rule fhir.Rule, detail string) {
	if c.fault != nil {
		return
	}
	c.fault = &fhir.Problem{Rule: rule, Detail: detail}
	if r.kind == refColumn {
		c.fault.Path = c.m.columns[r.column]
	}
}

func (c *converter) subject() fhir.Reference { return fhir.To("Patient", c.patientID) }

func (c *converter) visit(r *record) fhir.Reference {
	c.count(r.fields[fieldEncounter])
	if id := c.visitID(r.fields[fieldEncounter]); id != "" {
		return fhir.To("Encounter", id)
	}
	return fhir.Reference{}
}

// time reads a date or time; a required one that is not there is a fault.
func (c *converter) time(r *record, f field) fhir.Time {
	at := r.fields[f]
	s := c.text(at)
	if s != "" && at.kind == refColumn && at.clock >= 0 {
		if clock := c.cell(at.clock); clock != "" {
			s += " " + clock
		}
	}
	if s == "" {
		if f == r.kind.at {
			c.fail(at, fhir.RuleMissingField, "a record needs its time")
		}
		return fhir.Time{}
	}
	t, rule := parseTime(s, c.m.dates, c.m.zone)
	switch rule {
	case "":
	case RuleSpreadsheet:
		c.fail(at, rule, "a spreadsheet's number of days; format the column as a date before it is exported")
	default:
		c.fail(at, rule, "want the form that dates: names, or ISO 8601")
	}
	return t
}

// period reads start and end.
func (c *converter) period(r *record) fhir.Period {
	return fhir.Period{Start: c.time(r, fieldStart), End: c.time(r, fieldEnd)}
}

// status reads the status, of which the first of the kind's is the default.
func (c *converter) status(r *record) string {
	at := r.fields[fieldStatus]
	word := c.word(at)
	if word == "" {
		return r.kind.statuses[0]
	}
	for _, known := range r.kind.statuses {
		if word == known {
			return word
		}
	}
	c.fail(at, RuleUnknownWord, "no status of this record in FHIR; say in codes: what the cell means")
	return ""
}

// word is what a field says after codes: of its column.
func (c *converter) word(r ref) string {
	s := c.text(r)
	if r.kind == refColumn {
		if t, ok := c.m.codes[r.column][s]; ok {
			return t.code
		}
	}
	return s
}
