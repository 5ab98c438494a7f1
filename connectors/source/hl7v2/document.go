package hl7v2

import "bytes"

// txa reads a document. In an MDM the OBX behind it are its text, not findings, so the
// record's bytes are those from TXA to the end of them.
func (c *converter) txa(s *segment) {
	c.endGroup()
	by, number := c.entity(s.field(12))
	id := digest("DocumentReference", by, number)
	if number == "" {
		id = digest("DocumentReference", "", c.patient.ID, c.control, placeOf(s.name, s.number))
	}
	raw := s.raw
	if c.kind == "MDM" {
		c.document = true
		raw = c.rawFrom(s)
	}
	c.keep("DocumentReference", s, id, raw)
}

// rawFrom is the message's bytes from s to its end.
func (c *converter) rawFrom(s *segment) []byte {
	if at := bytes.Index(c.msg.raw, s.raw); at >= 0 {
		return c.msg.raw[at:]
	}
	return s.raw
}

// sch is an appointment; there is no struct for it.
func (c *converter) sch(s *segment) {
	by, number := c.entity(s.field(2))
	if number == "" {
		by, number = c.entity(s.field(1))
	}
	id := digest("Appointment", by, number)
	if number == "" {
		id = digest("Appointment", "", c.facility, c.control)
	}
	c.keep("Appointment", s, id, s.raw)
}
