package table

import (
	"cmp"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// code reads what a record is about: the code that codes: has for the cell, and the cell
// itself as a code of its system. A record without a code is a fault.
func (c *converter) code(r *record) fhir.CodeableConcept {
	at := r.fields[fieldCode]
	c.count(at)
	cell := c.text(at)
	concept := fhir.CodeableConcept{Text: c.text(r.fields[fieldText])}
	switch {
	case cell == "" && r.kind.resource == "Encounter":
		return concept
	case cell == "" && at.kind == refColumn && clean(c.raw(at.column)) != "":
		c.fail(at, fhir.RuleMissingField, "a record needs its code; the cell is one that null: lists")
		return concept
	case cell == "":
		c.fail(at, fhir.RuleMissingField, "a record needs its code")
		return concept
	case isMangled(cell):
		c.fail(at, RuleSpreadsheet, "a spreadsheet wrote an exponent, a month or an error for the code")
		return concept
	}
	system := c.system(r)
	if at.kind == refConst {
		concept.Coding = []fhir.Coding{{System: system, Code: cell, Display: concept.Text}}
		return concept
	}
	meanings := c.m.codes[at.column]
	meaning, ok := meanings[cell]
	switch {
	case ok && meaning.system != "":
		// The cell is a code of the site's own beside the one that it stands for.
		concept.Coding = []fhir.Coding{{System: meaning.system, Code: meaning.code}, {System: c.m.Name, Code: cell, Display: concept.Text}}
		return concept
	case ok:
		cell = meaning.code
	case meanings != nil && r.fields[fieldSystem].kind == refNone, !fits(system, cell):
		c.tally.code(c.m.columns[at.column], cell)
	}
	concept.Coding = []fhir.Coding{{System: system, Code: cell, Display: concept.Text}}
	return concept
}

// system is the URI of the system that a record's codes are of. Codes without a known one
// are the site's own, of the mapping's name.
func (c *converter) system(r *record) string {
	at := r.fields[fieldSystem]
	if at.kind != refColumn {
		return cmp.Or(r.system, c.m.Name)
	}
	c.count(at)
	name := c.word(at)
	if uri, ok := uriOf(name); ok {
		return uri
	}
	if name != "" && name != localSystem {
		c.tally.code(c.m.columns[at.column], name)
	}
	return c.m.Name
}

// concept reads a field that is a code of one system, or a text that codes: does not have.
// ok reports whether it is a code that FHIR has.
func (c *converter) concept(r ref, system string, ok func(code string) bool) fhir.CodeableConcept {
	cell := c.text(r)
	if cell == "" {
		return fhir.CodeableConcept{}
	}
	code := cell
	if r.kind == refColumn {
		if t, found := c.m.codes[r.column][cell]; found {
			if code = t.code; t.system != "" {
				system = t.system
			}
			return fhir.CodeableConcept{Coding: []fhir.Coding{{System: system, Code: code}}, Text: cell}
		}
	}
	if !ok(code) {
		return fhir.CodeableConcept{Text: cell}
	}
	return fhir.CodeableConcept{Coding: []fhir.Coding{{System: system, Code: code}}}
}

// unit reads the unit of a value: what units: has for the cell, else the cell if it is
// UCUM, else only the text.
func (c *converter) unit(r ref) fhir.Quantity {
	c.count(r)
	spelling := c.text(r)
	if spelling == "" {
		return fhir.Quantity{}
	}
	code, known := c.m.units[spelling]
	if !known {
		if !c.valid(spelling) {
			c.tally.unit(spelling)
			return fhir.Quantity{Unit: spelling}
		}
		code = spelling
	}
	return fhir.Quantity{Unit: spelling, System: ucums, Code: code}
}

// maxUnits is how many spellings of units are remembered; a table has some tens.
const maxUnits = 1000

// valid is isUnit, remembered.
func (c *converter) valid(spelling string) bool {
	ok, known := c.units[spelling]
	if !known {
		if ok = isUnit(spelling); len(c.units) < maxUnits {
			if c.units == nil {
				c.units = map[string]bool{}
			}
			c.units[spelling] = ok
		}
	}
	return ok
}
