package hl7v2

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// Header is what a receiver needs of a message's MSH segment to answer it.
type Header struct {
	private

	Type, Event string // MSH-9: ADT, A01
	ControlID   string // MSH-10
	Processing  string // MSH-11: P production, T training, D debugging
	Version     string // MSH-12
	// Accept and Application are MSH-15 and MSH-16: AL always, NE never, ER or SU on
	// error or success only. Both empty is the original mode, which always answers.
	Accept, Application string

	d                                                  delimiters
	sender, senderFacility, receiver, receiverFacility string // as sent
}

// ParseHeader reads the MSH segment of a message. The error is a [*fhir.Problem]; the
// zero Header that comes with it can still be acknowledged.
func ParseHeader(raw []byte) (Header, error) {
	raw = bytes.TrimPrefix(raw, []byte(byteOrderMark))
	first, _, _ := bytes.Cut(raw, []byte("\r"))
	first, _, _ = bytes.Cut(first, []byte("\n"))
	var m message
	if fault := m.parse([][]byte{first}, "", 1000); fault != nil {
		return Header{}, &fhir.Problem{Rule: fault.rule, Line: 1, Path: messagePlace(1, fault.at), Detail: fault.detail}
	}
	s := &m.segments[0]
	return Header{
		Type: s.field(9).at(1).text(), Event: s.field(9).at(2).text(), ControlID: s.field(10).raw,
		Processing: s.field(11).raw, Version: s.field(12).raw,
		Accept: s.field(15).text(), Application: s.field(16).text(), d: m.d,
		sender: s.field(3).raw, senderFacility: s.field(4).raw, receiver: s.field(5).raw, receiverFacility: s.field(6).raw,
	}, nil
}

// Code is an acknowledgment code of HL7 table 0008.
type Code string

// The codes of the original acknowledgment mode, and what the sender does then.
const (
	Accepted Code = "AA" // stored: the sender forgets the message
	Failed   Code = "AE" // cannot be read: sending it again is of no use
	Rejected Code = "AR" // not now, for example a full disk: the sender tries again
)

// Reply is one answer to a message.
type Reply struct {
	Code    Code
	ID      string    // MSH-10 of the answer: unique, up to 20 letters and digits
	At      time.Time // when it is given
	Problem *fhir.Problem
}

// errorCodes are those of HL7 table 0357 for ERR-3; 207 is an application error.
var errorCodes = map[fhir.Rule][2]string{
	RuleUnsupportedVersion: {"203", "Unsupported version id"},
	RuleMalformedSegment:   {"100", "Segment sequence error"},
	RuleMalformedHeader:    {"100", "Segment sequence error"},
	fhir.RuleMissingField:  {"101", "Required field missing"},
	RuleNoPatient:          {"101", "Required field missing"},
	fhir.RuleInvalidTime:   {"102", "Data type error"},
	fhir.RuleInvalidNumber: {"102", "Data type error"},
}

// Acknowledge returns the answer to the message that h begins, with CR behind each
// segment: MSH with sender and receiver changed over, MSA, and an ERR for a problem, whose
// rule stands in MSA-3 too, where senders before 2.5 look. It repeats nothing of the
// message but its header.
//
// Source: HL7 v2.8 chapter 2.9 and 2.14.
func (h Header) Acknowledge(r Reply) []byte {
	d := h.d
	if d.field == 0 {
		d = delimiters{'|', '^', '~', '\\', '&'}
	}
	encoding := []byte{d.component, d.repeat, d.escape}
	if d.sub != 0 {
		encoding = append(encoding, d.sub)
	}
	component := string(d.component)
	kind := "ACK"
	if h.Event != "" {
		kind += component + escape(h.Event, d) + component + "ACK"
	}
	version := h.Version
	if version == "" {
		version = "2.5.1"
	}
	processing := h.Processing
	if processing == "" {
		processing = "P"
	}
	var b bytes.Buffer
	segment := func(fields ...string) {
		b.WriteString(strings.TrimRight(strings.Join(fields, string(d.field)), string(d.field)))
		b.WriteByte('\r')
	}
	segment("MSH", string(encoding), h.receiver, h.receiverFacility, h.sender, h.senderFacility,
		r.At.Format("20060102150405-0700"), "", kind, escape(r.ID, d), processing, version)
	reason := ""
	if r.Problem != nil {
		reason = escape(string(r.Problem.Rule), d)
	}
	segment("MSA", string(r.Code), h.ControlID, reason)
	if p := r.Problem; p != nil {
		code, ok := errorCodes[p.Rule]
		if !ok {
			code = [2]string{"207", "Application internal error"}
		}
		segment("ERR", "", location(p.Path, component), code[0]+component+code[1]+component+"HL70357", "E",
			reason, "", "", escape(p.Detail, d))
	}
	return b.Bytes()
}

// location is ERR-2 of a path such as message[1].OBX[2].5: OBX^2^5.
func location(path, component string) string {
	_, path, _ = strings.Cut(path, ".")
	name, rest, ok := strings.Cut(path, "[")
	if !ok || !standard(name) {
		return ""
	}
	number, rest, _ := strings.Cut(rest, "]")
	at := name + component + number
	if n, err := strconv.Atoi(strings.TrimPrefix(rest, ".")); err == nil {
		at += component + strconv.Itoa(n)
	}
	return at
}

// escape is s as it may stand in a component; a line end becomes a blank.
func escape(s string, d delimiters) string {
	var b strings.Builder
	sequence := func(name byte) { b.Write([]byte{d.escape, name, d.escape}) }
	for i := range len(s) {
		switch c := s[i]; c {
		case '\r', '\n':
			b.WriteByte(' ')
		case d.escape:
			sequence('E')
		case d.field:
			sequence('F')
		case d.component:
			sequence('S')
		case d.repeat:
			sequence('R')
		case d.sub:
			sequence('T')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
