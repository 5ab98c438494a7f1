package hl7v2

import (
	"bytes"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// message is one message, cut into segments and fields.
type message struct {
	private

	d        delimiters
	raw      []byte // all of it, as sent
	segments []segment
	fields   []string // of all segments, one after another
	counts   map[string]int
}

// segment is one line of a message.
type segment struct {
	private

	name   string
	number int    // among the segments of this name, from 1
	index  int    // among all segments of the message, from 0
	raw    []byte // as sent, without its line end
	fields []string
	d      *delimiters
}

// field is field n, from 1; empty beyond the segment's end. MSH-1 is the delimiter
// itself, so that the other fields of MSH have their usual numbers.
func (s *segment) field(n int) field {
	if isHeader(s.name) {
		if n == 1 {
			return field{raw: string(s.d.field), d: s.d}
		}
		n--
	}
	if n >= len(s.fields) {
		return field{d: s.d}
	}
	return field{raw: s.fields[n], d: s.d}
}

func isHeader(name string) bool { return name == "MSH" || name == "FHS" || name == "BHS" }

// lexFault is what keeps a message from being read; at is a place inside it.
type lexFault struct {
	rule       fhir.Rule
	at, detail string
}

// isSegmentName reports whether line begins with a segment's name: a letter and two
// letters or digits, then the field delimiter or the line's end.
func isSegmentName(line []byte, delimiter byte) bool {
	if len(line) < 3 || len(line) > 3 && line[3] != delimiter {
		return false
	}
	for i, c := range line[:3] {
		if (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// parse cuts the lines of a message; the first one begins with MSH. It reuses m.
func (m *message) parse(lines [][]byte, fallback string, maxFields int) *lexFault {
	*m = message{segments: m.segments[:0], fields: m.fields[:0], counts: emptied(m.counts)}
	head := lines[0]
	var ok bool
	if m.d, ok = parseDelimiters(string(head[:min(len(head), 8)])); !ok {
		return &lexFault{RuleMalformedHeader, "MSH[1]", "want five different delimiters"}
	}
	name := bytesField(head, m.d.field, 17)
	if at := bytes.IndexByte(name, m.d.repeat); at >= 0 {
		name = name[:at]
	}
	charset, ok := charsetOf(string(name), fallback)
	if !ok {
		return &lexFault{RuleUnsupportedCharset, "MSH[1].18", "send UTF-8 or a set of ISO 8859"}
	}
	for _, line := range lines {
		if !isSegmentName(line, m.d.field) {
			return &lexFault{RuleMalformedSegment, m.lastPlace(), "a line after it does not begin with a segment's name"}
		}
		text, ok := decode(line, charset)
		switch {
		case !ok:
			return &lexFault{fhir.RuleInvalidUTF8, m.place(string(line[:3])), "not in the character set of MSH-18"}
		case strings.IndexByte(text, 0) >= 0:
			return &lexFault{fhir.RuleForbiddenCharacter, m.place(string(line[:3])), "U+0000"}
		case len(m.fields)+strings.Count(text, string(m.d.field)) >= maxFields:
			return &lexFault{fhir.RuleTooLarge, "", "the message has too many fields"}
		}
		m.add(text, line)
	}
	return nil
}

func (m *message) add(text string, raw []byte) {
	from := len(m.fields)
	rest := text
	for {
		at := strings.IndexByte(rest, m.d.field)
		if at < 0 {
			break
		}
		m.fields = append(m.fields, rest[:at])
		rest = rest[at+1:]
	}
	m.fields = append(m.fields, rest)
	name := text[:3]
	m.counts[name]++
	m.segments = append(m.segments, segment{
		name: name, number: m.counts[name], index: len(m.segments), raw: raw, fields: m.fields[from:len(m.fields):len(m.fields)], d: &m.d,
	})
}

// place is where the next segment of the given name stands.
func (m *message) place(name string) string { return placeOf(name, m.counts[name]+1) }

// lastPlace is where the last segment stands that could be read.
func (m *message) lastPlace() string {
	if len(m.segments) == 0 {
		return ""
	}
	s := &m.segments[len(m.segments)-1]
	return placeOf(s.name, s.number)
}

// bytesField is the n-th part of line between delimiters, from 0.
func bytesField(line []byte, delimiter byte, n int) []byte {
	for ; n > 0; n-- {
		at := bytes.IndexByte(line, delimiter)
		if at < 0 {
			return nil
		}
		line = line[at+1:]
	}
	if at := bytes.IndexByte(line, delimiter); at >= 0 {
		return line[:at]
	}
	return line
}
