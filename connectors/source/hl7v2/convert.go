package hl7v2

import (
	"strconv"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// converter turns one message after another into records. A message is a list of
// segments whose groups are told by their order, so it remembers whom and what the
// segments before spoke of.
type converter struct {
	msg    *message
	number int // of the message in the input, from 1
	line   int
	emit   func(fhir.Record, *fhir.Problem) // takes what the message says

	// Of the message.
	kind, event string // MSH-9: ADT, A01
	facility    string // MSH-4
	control     string // MSH-10
	zone        *time.Location
	recorded    fhir.Time // EVN-2: when this was recorded

	// Of the group.
	patient  fhir.Reference
	visit    fhir.Reference
	order    order
	reported *report     // whose observations are being read
	request  *medication // waits for RXR and RXE
	given    *vaccination
	document bool // OBX are the text of a TXA
	seen     map[string]int
	fault    *fhir.Problem // of the record being made
	orphaned bool          // a missing patient was reported for this PID
}

// readers are the segments that give records. What is not here is read together with
// one of them, stays in the raw message, or is the site's own.
var readers = map[string]func(*converter, *segment){
	"PID": (*converter).pid, "MRG": (*converter).mrg, "PV1": (*converter).pv1, "EVN": (*converter).evn,
	"ORC": (*converter).orc, "OBR": (*converter).obr, "OBX": (*converter).obx, "TXA": (*converter).txa, "SCH": (*converter).sch,
	"DG1": (*converter).dg1, "PRB": (*converter).prb, "AL1": (*converter).al1, "IAM": (*converter).iam, "PR1": (*converter).pr1,
	"RXA": (*converter).rxa, "RXO": (*converter).rxo, "RXE": (*converter).rxe, "RXR": (*converter).rxr, "RXD": (*converter).rxd,
}

// convert emits what message m says.
func (c *converter) convert(m *message, number, line int) {
	c.begin(m, number, line)
	msh := &m.segments[0]
	c.keep("MessageHeader", msh, fhir.Digest("MessageHeader", fieldAuthority(msh.field(3)), c.facility, c.control, msh.field(7).text()), m.raw)
	for i := range m.segments {
		s := &m.segments[i]
		if read := readers[s.name]; read != nil {
			read(c, s)
		} else if !standard(s.name) {
			c.keep("Segment", s, fhir.Digest("Segment", c.facility, c.control, s.name, strconv.Itoa(s.number)), s.raw)
		}
	}
	c.endGroup()
}

// begin reads what MSH says about the whole message.
func (c *converter) begin(m *message, number, line int) {
	*c = converter{msg: m, number: number, line: line, emit: c.emit, seen: c.seen}
	c.seen = emptied(c.seen)
	msh := &m.segments[0]
	c.kind, c.event = msh.field(9).at(1).text(), msh.field(9).at(2).text()
	c.facility = fieldAuthority(msh.field(4))
	c.control = msh.field(10).text()
	if sent, ok := ParseTime(msh.field(7).at(1).text(), nil); ok && sent.Zoned {
		c.zone = sent.At.Location()
	}
}

// emptied is a map for the next message. One that a long message made large is not kept,
// as clearing it would cost every message after it.
func emptied(counts map[string]int) map[string]int {
	if counts == nil || len(counts) > 1000 {
		return map[string]int{}
	}
	clear(counts)
	return counts
}

// fieldAuthority is what an HD that is a field says.
func fieldAuthority(hd field) string {
	if universal := hd.at(2).text(); universal != "" {
		return universal
	}
	return hd.at(1).text()
}

func (c *converter) evn(s *segment) {
	c.recorded = c.timeOf(s.field(2))
	if c.event == "" {
		c.event = s.field(1).text()
	}
}

// keep gives a record that is not decoded.
func (c *converter) keep(kind string, s *segment, id string, raw []byte) {
	place := ""
	if kind != "MessageHeader" {
		place = placeOf(s.name, s.number)
	}
	c.emit(fhir.Record{Type: kind, ID: id, Line: c.line, Path: messagePlace(c.number, place), Raw: raw}, nil)
}

// give ends the making of a record: it is handed on, or its fault is.
func (c *converter) give(kind string, s *segment, id string, r fhir.Resource) {
	if c.fault != nil {
		c.refuse()
		return
	}
	c.emit(fhir.Record{
		Type: kind, ID: id, Line: c.line, Path: messagePlace(c.number, placeOf(s.name, s.number)), Raw: s.raw, Resource: r,
	}, nil)
}

// refuse emits the fault of the record being made.
func (c *converter) refuse() {
	c.emit(fhir.Record{}, c.fault)
	c.fault = nil
}

// belongs reports whether the patient is known to whom a segment belongs. That nobody
// is, is said once for each PID.
func (c *converter) belongs(s *segment) bool {
	if !c.patient.IsZero() {
		return true
	}
	if !c.orphaned {
		c.orphaned = true
		c.problem(RuleNoPatient, s, 0, "want an identifier in PID-3")
		c.refuse()
	}
	return false
}

// problem faults the record being made; only the first fault counts. n is the field,
// 0 for the whole segment.
func (c *converter) problem(rule fhir.Rule, s *segment, n int, detail string) {
	if c.fault != nil {
		return
	}
	place := placeOf(s.name, s.number)
	if n > 0 {
		place += "." + strconv.Itoa(n)
	}
	c.fault = &fhir.Problem{Rule: rule, Line: c.line, Path: messagePlace(c.number, place), Detail: detail}
}

// time reads a DTM (or the time of a TS or DR) without which the record would be
// wrong; an invalid one is a fault.
func (c *converter) time(s *segment, n int) fhir.Time {
	t, ok := ParseTime(s.field(n).at(1).sub(1).text(), c.zone)
	if !ok {
		c.problem(fhir.RuleInvalidTime, s, n, "want YYYY[MM[DD[HHMM[SS]]]][+ZZZZ]")
	}
	return t
}

// timeOf reads a time that the record can do without.
func (c *converter) timeOf(f field) fhir.Time {
	t, _ := ParseTime(f.at(1).sub(1).text(), c.zone)
	return t
}

// required reads the concept in field n, without which the record says nothing.
func (c *converter) required(s *segment, n int) fhir.CodeableConcept {
	code := concept(s.field(n))
	if code.IsZero() {
		c.problem(fhir.RuleMissingField, s, n, "want a code or a text")
	}
	return code
}

// ordinal counts how often a key came in this message, from 0, so that two results
// with the same code are two.
func (c *converter) ordinal(key string) string {
	n := c.seen[key]
	c.seen[key]++
	return strconv.Itoa(n)
}

// endGroup gives what waited for the end of an order.
func (c *converter) endGroup() {
	c.endReport()
	c.endMedication()
	c.endVaccination()
	c.document = false
}

// actionDeletes reports whether an action code (tables 0287 and 0206) or a problem's
// (0323) takes back what the segment says.
func actionDeletes(code string) bool {
	switch strings.ToUpper(code) {
	case "D", "DE", "DELETE":
		return true
	}
	return false
}
