package table

import (
	"slices"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// observation makes the Observation of a row. One whose value's cell is empty has none,
// for a reason that is not known.
func (c *converter) observation(r *record) fhir.Resource {
	o := c.found(r)
	o.Code = c.code(r)
	unit := c.unit(r.fields[fieldUnit])
	if r.fields[fieldValue].kind != refNone {
		o.Value = c.value(r.fields[fieldValue], unit)
		if isNothing(o.Value) {
			o.Absent = one(absent, "unknown")
		}
	}
	low, high := c.limit(r.fields[fieldLow], unit), c.limit(r.fields[fieldHigh], unit)
	if low != nil || high != nil {
		o.Range = []fhir.ReferenceRange{{Low: low, High: high}}
	}
	return o
}

// found is an Observation without code and value.
func (c *converter) found(r *record) *fhir.Observation {
	o := &fhir.Observation{
		Status: c.status(r), Subject: c.subject(), Encounter: c.visit(r), Effective: c.time(r, fieldTime),
	}
	if category := c.concept(r.fields[fieldCategory], categories, isCategory); !category.IsZero() {
		o.Category = []fhir.CodeableConcept{category}
	}
	if flag := c.concept(r.fields[fieldFlag], interpretations, isInterpretation); !flag.IsZero() {
		o.Interpreted = []fhir.CodeableConcept{flag}
	}
	return o
}

// convertWide emits an Observation for each column of a wide table whose cell is not empty.
func (c *converter) convertWide(r *record) error {
	shared := c.found(r)
	if c.fault != nil {
		return c.give(r, nil, "", "")
	}
	for i := range r.wide {
		v := &r.wide[i]
		value := c.value(ref{kind: refColumn, column: v.column}, v.unit)
		if isNothing(value) && c.fault == nil {
			continue
		}
		o := *shared
		o.Code, o.Value = v.code, value
		name := c.m.columns[v.column]
		if err := c.give(r, &o, c.recordID(r, name), name); err != nil {
			return err
		}
	}
	return nil
}

// value reads a cell: a number, a code that codes: of the column has, or a text.
func (c *converter) value(r ref, unit fhir.Quantity) (v fhir.Value) {
	s := c.text(r)
	if s == "" {
		return v
	}
	if r.kind == refColumn {
		if t, ok := c.m.codes[r.column][s]; ok {
			if t.system == "" {
				t.system = c.m.Name
			}
			v.Concept = fhir.CodeableConcept{Coding: []fhir.Coding{{System: t.system, Code: t.code}}, Text: s}
			return v
		}
	}
	if isMangled(s) && s[0] == '#' {
		c.fail(r, RuleSpreadsheet, "an error of a spreadsheet")
		return v
	}
	q, rule := parseNumber(s, c.m.comma)
	switch {
	case rule == RuleSpreadsheet:
		c.fail(r, rule, "an exponent in place of digits; format the column as a number before it is exported")
	case rule != "":
		c.fail(r, rule, "a number in another notation than decimal: says, or with separators of thousands")
	case q != nil:
		v.Quantity = q
		q.Unit, q.System, q.Code = unit.Unit, unit.System, unit.Code
	default:
		v.String = &s
	}
	return v
}

// limit reads an end of the reference range; a text is none.
func (c *converter) limit(r ref, unit fhir.Quantity) *fhir.Quantity {
	q, rule := parseNumber(c.text(r), c.m.comma)
	if rule != "" {
		c.fail(r, rule, "a number in another notation than decimal: says")
	}
	if q != nil {
		q.Unit, q.System, q.Code = unit.Unit, unit.System, unit.Code
	}
	return q
}

func isNothing(v fhir.Value) bool {
	return v.Quantity == nil && v.String == nil && v.Concept.IsZero()
}

// isCategory reports whether code is one of FHIR's observation-category.
func isCategory(code string) bool {
	return slices.Contains([]string{
		"laboratory", "vital-signs", "survey", "exam", "procedure", "imaging", "social-history", "therapy", "activity",
	}, code)
}

// isInterpretation reports whether code is a frequent one of HL7's ObservationInterpretation.
func isInterpretation(code string) bool {
	return slices.Contains([]string{
		"N", "A", "AA", "H", "HH", "HU", "L", "LL", "LU", "POS", "NEG", "IND", "DET", "ND", "S", "I", "R", "U", "D", "B", "W", "<", ">",
	}, code)
}

// one is a concept of a single code.
func one(system, code string) fhir.CodeableConcept {
	return fhir.CodeableConcept{Coding: []fhir.Coding{{System: system, Code: code}}}
}
