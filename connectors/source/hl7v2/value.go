package hl7v2

import (
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// values reads OBX-5 by the type in OBX-2. Repetitions are values of their own, except
// those of text, which are its lines. Data that is not a value (a file in ED or RP)
// gives none.
func (c *converter) values(s *segment, unit fhir.Quantity) []fhir.Value {
	kind, content := s.field(2).text(), s.field(5)
	if content.empty() {
		return nil
	}
	switch kind {
	case "ED", "RP":
		return nil
	case "ST", "TX", "FT", "", "VR":
		return textValue(kind, content, unit)
	}
	var all []fhir.Value
	for _, f := range content.repeats() {
		v, ok := c.value(kind, f, unit)
		if !ok {
			return textValue(kind, content, unit)
		}
		all = append(all, v)
	}
	return all
}

// value reads one repetition; ok is false if it is not of its type.
func (c *converter) value(kind string, f field, unit fhir.Quantity) (v fhir.Value, ok bool) {
	switch kind {
	case "NM", "CQ":
		if kind == "CQ" && !f.at(2).empty() {
			unit = unitOf(subfields(f.at(2)))
		}
		v.Quantity = ParseQuantity(f.at(1).text(), unit)
		return v, v.Quantity != nil
	case "SN":
		return structured(f, unit)
	case "NR":
		low, high := ParseQuantity(f.at(1).text(), unit), ParseQuantity(f.at(2).text(), unit)
		v.Range = &[2]*fhir.Quantity{low, high}
		return v, low != nil || high != nil
	case "CWE", "CE", "CNE", "CF", "ID", "IS":
		v.Concept = concept(f)
		return v, !v.Concept.IsZero()
	case "DT", "TS", "DTM":
		v.Time, ok = ParseTime(f.at(1).text(), c.zone)
		return v, ok
	case "TM":
		v.TimeText, ok = parseClock(f.at(1).text())
		return v, ok
	case "DR":
		v.Period = fhir.Period{Start: c.timeOf(f.at(1)), End: c.timeOf(f.at(2))}
		return v, !v.Period.Start.IsZero() || !v.Period.End.IsZero()
	}
	return v, false
}

// subfields lets the subcomponents of a component be read as components.
func subfields(f field) field {
	if f.d.sub == 0 {
		return f
	}
	return field{raw: strings.ReplaceAll(f.raw, string(f.d.sub), string(f.d.component)), d: f.d}
}

// structured reads an SN: a comparator and a number, a ratio, or a range.
//
// Source: "Data Type SN" of the v2-to-FHIR guide.
func structured(f field, unit fhir.Quantity) (v fhir.Value, ok bool) {
	comparator, first, separator, second := f.at(1).text(), f.at(2).text(), f.at(3).text(), f.at(4).text()
	low, high := ParseQuantity(first, unit), ParseQuantity(second, unit)
	switch {
	case low == nil:
		return v, false
	case separator == ":" || separator == "/":
		v.Ratio = &[2]*fhir.Quantity{low, high}
		return v, high != nil
	case separator == "-":
		v.Range = &[2]*fhir.Quantity{low, high}
		return v, high != nil
	case separator == "+":
		return v, false // "1+" is a grade
	}
	switch comparator {
	case "<", "<=", ">", ">=":
		low.Comparator = comparator
	case "", "=":
	default:
		return v, false
	}
	v.Quantity = low
	return v, true
}

// textValue is OBX-5 as text. A text that is only a number, with or without a
// comparator, is that number if units were sent: laboratories write "<0.01" in an ST.
func textValue(kind string, content field, unit fhir.Quantity) []fhir.Value {
	if kind == "SN" {
		return stringValue(strings.ReplaceAll(content.text(), string(content.d.component), ""))
	}
	if kind == "VR" {
		return stringValue(strings.ReplaceAll(content.text(), string(content.d.component), "-"))
	}
	if unit.Code != "" || unit.Unit != "" {
		if q := ParseQuantity(content.text(), unit); q != nil {
			return []fhir.Value{{Quantity: q}}
		}
	}
	if strings.IndexByte(content.raw, content.d.repeat) < 0 {
		return stringValue(content.text())
	}
	var lines []string
	for line := range strings.SplitSeq(content.raw, string(content.d.repeat)) {
		lines = append(lines, field{raw: line, d: content.d}.text())
	}
	return stringValue(strings.Join(lines, "\n"))
}

func stringValue(s string) []fhir.Value {
	if s == "" {
		return nil
	}
	return []fhir.Value{{String: &s}}
}
