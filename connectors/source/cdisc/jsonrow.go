package cdisc

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// row reads one row. One that is not an array of plain values is a problem.
func (d *datasetJSON) row(line int, raw []byte) error {
	if !json.Valid(raw) {
		return d.out.report(&fhir.Problem{Rule: fhir.RuleMalformedJSON, Line: line})
	}
	if !utf8.Valid(raw) {
		return d.out.report(&fhir.Problem{Rule: fhir.RuleInvalidUTF8, Line: line})
	}
	cells, ok := values(raw, d.cells[:0])
	if !ok {
		return d.out.report(&fhir.Problem{Rule: fhir.RuleWrongType, Line: line, Detail: "want an array of texts, numbers, true, false and null"})
	}
	d.cells = cells[:0]
	return d.out.row(line, d.number, cells)
}

// values are those of a valid JSON array, as texts; null is empty. ok is false if it is no
// array or holds another.
func values(raw []byte, cells []string) (_ []string, ok bool) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '[' {
		return cells, false
	}
	for raw = bytes.TrimLeft(raw[1:], " \t\r\n"); raw[0] != ']'; raw = bytes.TrimLeft(bytes.TrimPrefix(raw, []byte(",")), " \t\r\n") {
		var value []byte
		switch raw[0] {
		case '[', '{':
			return cells, false
		case '"':
			end := 1
			for raw[end] != '"' {
				if raw[end] == '\\' {
					end++
				}
				end++
			}
			value, raw = raw[:end+1], raw[end+1:]
		default:
			end := bytes.IndexAny(raw, ",] \t\r\n")
			value, raw = raw[:end], raw[end:]
		}
		cells = append(cells, text(value))
		raw = bytes.TrimLeft(raw, " \t\r\n")
	}
	return cells, true
}

// text is what a valid JSON value that is no array and no object says.
func text(value []byte) string {
	switch {
	case value[0] == 'n':
		return ""
	case value[0] != '"':
		return string(value)
	case bytes.IndexByte(value, '\\') < 0:
		return string(value[1 : len(value)-1])
	}
	var s string
	_ = json.Unmarshal(value, &s) // it is valid; a lone surrogate becomes U+FFFD
	return s
}
