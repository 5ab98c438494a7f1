package hl7v2

import (
	"slices"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// order is what an ORC or OBR says about the order that the segments after it belong to.
type order struct {
	by, number string // of the filler, else of the placer; empty if none was sent
	filled     bool   // the number is the filler's
	control    string // ORC-1
	authored   fhir.Time
	service    string    // key of OBR-4
	start, end fhir.Time // OBR-7 and OBR-8
	laboratory bool      // by OBR-24
}

// orc begins an order.
func (c *converter) orc(s *segment) {
	c.endGroup()
	c.order = order{control: s.field(1).text(), authored: c.timeOf(s.field(9))}
	c.numbered(s)
}

// numbered takes the order's number from fields 2 and 3, which ORC and OBR share. The
// filler's goes before the placer's, and that of ORC before that of OBR.
func (c *converter) numbered(s *segment) {
	o := &c.order
	if o.filled {
		return
	}
	if by, number := c.entity(s.field(3)); number != "" {
		o.by, o.number, o.filled = by, number, true
	} else if by, number = c.entity(s.field(2)); number != "" && o.number == "" {
		o.by, o.number = by, number
	}
}

// resultMessages report results. In others an OBR is a request, and a report too if it
// has a result status.
var resultMessages = []string{"ORU", "OUL", "OPU", "ORF"}

// laboratory sections of HL7 table 0074 (OBR-24).
var laboratorySections = []string{"LAB", "CH", "HM", "MB", "BG", "BLB", "CP", "CTH", "IMM", "MCB", "MYC", "PAR", "SP", "SR", "TX", "URN", "VR", "GE"}

// obr begins a request or the report that answers it.
func (c *converter) obr(s *segment) {
	if c.order.service != "" { // without an ORC of its own
		c.endGroup()
		c.order = order{}
	}
	c.endReport()
	c.numbered(s)
	code := concept(s.field(4))
	c.order.service = codeKey(code)
	c.order.start, c.order.end = c.timeOf(s.field(7)), c.timeOf(s.field(8))
	c.order.laboratory = slices.Contains(laboratorySections, s.field(24).text())
	if !c.belongs(s) {
		return
	}
	result := slices.Contains(resultMessages, c.kind)
	if !result {
		c.keep("ServiceRequest", s, c.orderID("ServiceRequest"), s.raw)
	}
	if result || !s.field(25).empty() {
		c.beginReport(s)
	}
}

// orderID is the id of a record that there is one of in an order. Without a number the
// order is named by the patient, the service and its time, else by the message.
func (c *converter) orderID(kind string) string {
	if c.order.number != "" {
		return fhir.Digest(kind, c.order.by, c.order.number, c.order.service)
	}
	return fhir.Digest(kind, "", c.patient.ID, c.order.service, c.when(c.order.start), c.ordinal(kind+c.order.service))
}

// when is a time as a part of an id. What has no time of its own is told apart by the
// message it came in.
func (c *converter) when(t fhir.Time) string {
	if t.IsZero() {
		return fhir.Digest(c.facility, c.control)
	}
	return t.Text
}

// report is a DiagnosticReport that collects its results.
type report struct {
	segment  *segment
	resource *fhir.DiagnosticReport
	fault    *fhir.Problem
}

// reportStatuses are FHIR's of HL7 table 0123.
//
// Source: concept map "ResultStatus[Non-Queries]" of the v2-to-FHIR guide; A, M and N,
// which it leaves open, by their definition.
var reportStatuses = map[string]string{
	"A": "partial", "C": "corrected", "F": "final", "I": "registered", "M": "preliminary", "N": "registered", "O": "registered",
	"P": "preliminary", "R": "partial", "S": "registered", "X": "cancelled",
}

func (c *converter) beginReport(s *segment) {
	d := &fhir.DiagnosticReport{
		ID:        c.orderID("DiagnosticReport"),
		Status:    mapped(reportStatuses, s.field(25).text()),
		Code:      c.required(s, 4),
		Subject:   c.patient,
		Encounter: c.visit,
		Issued:    c.time(s, 22),
	}
	d.Effective, d.During = moment(c.time(s, 7), c.time(s, 8))
	if section := concept(s.field(24)); !section.IsZero() {
		d.Category = append(d.Category, withSystem(section, tables+"0074"))
	}
	c.reported = &report{segment: s, resource: d, fault: c.fault}
	c.fault = nil
}

// endReport gives the report once its observations have been.
func (c *converter) endReport() {
	if r := c.reported; r != nil {
		c.reported, c.fault = nil, r.fault
		c.give("DiagnosticReport", r.segment, r.resource.ID, r.resource)
	}
}

// moment is a time, or a period if it has an end that is another.
func moment(start, end fhir.Time) (fhir.Time, fhir.Period) {
	if end.IsZero() || end.Text == start.Text {
		return start, fhir.Period{}
	}
	return fhir.Time{}, fhir.Period{Start: start, End: end}
}

// mapped is the value of a code, and unknown for one that the table does not have.
func mapped(table map[string]string, code string) string {
	if v := table[code]; v != "" {
		return v
	}
	return "unknown"
}
