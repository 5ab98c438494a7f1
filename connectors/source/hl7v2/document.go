package hl7v2

import (
	"bytes"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// txa reads a document. In an MDM the OBX behind it are its text, not findings, so the
// record's bytes are those of TXA and all of them, with CR between segments.
func (c *converter) txa(s *segment) {
	c.endGroup()
	by, number := c.entity(s.field(12))
	id := fhir.Digest("DocumentReference", by, number)
	if number == "" {
		id = fhir.Digest("DocumentReference", "", c.patient.ID, c.control, placeOf(s.name, s.number))
	}
	raw := s.raw
	if c.kind == "MDM" {
		c.document = true
		raw = c.documentOf(s)
	}
	c.keep("DocumentReference", s, id, raw)
}

// documentOf is the bytes of a TXA and of what follows it, up to the next.
func (c *converter) documentOf(txa *segment) []byte {
	parts := [][]byte{txa.raw}
	for i := txa.index + 1; i < len(c.msg.segments) && c.msg.segments[i].name != "TXA"; i++ {
		parts = append(parts, c.msg.segments[i].raw)
	}
	return bytes.Join(parts, []byte("\r"))
}

// sch is an appointment; there is no struct for it.
func (c *converter) sch(s *segment) {
	by, number := c.entity(s.field(2))
	if number == "" {
		by, number = c.entity(s.field(1))
	}
	id := fhir.Digest("Appointment", by, number)
	if number == "" {
		id = fhir.Digest("Appointment", "", c.facility, c.control)
	}
	c.keep("Appointment", s, id, s.raw)
}
