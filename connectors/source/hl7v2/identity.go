package hl7v2

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// Identity is what a PID segment says about who a person is. Resources leave it out;
// record linkage needs it.
type Identity struct {
	private

	PatientID   string // id of the Patient resource; empty if there is no identifier
	Identifiers []Identifier
	Names       []Name
	Addresses   []Address
	Telecoms    []Telecom
	BirthDate   fhir.Time // to the day
	Gender      string    // administrative gender of FHIR
}

// Identifier is a CX (or an EI).
type Identifier struct {
	private

	Value  string
	System string // URI of the assigning authority if it gave one, else its name
	Type   string // code of HL7 table 0203, such as MR
	Start  fhir.Time
	End    fhir.Time
}

// Identities returns what the PID segments of one message say, in their order. raw is
// the message as a MessageHeader record holds it. The error is a [*fhir.Problem] of a
// message that cannot be read.
func Identities(raw []byte, opts Options) ([]Identity, error) {
	var all []Identity
	var fault error
	r := &reader{opts: opts.withDefaults(), lines: lineReader{br: bufio.NewReader(bytes.NewReader(raw)), line: 1}}
	r.yield = func(_ fhir.Record, err error) bool {
		fault = err
		return false
	}
	r.handle = func(m *message, _ int) error {
		var c converter
		c.begin(m, 1, 1)
		for i := range m.segments {
			if s := &m.segments[i]; s.name == "PID" {
				all = append(all, c.identity(s))
			}
		}
		return nil
	}
	if err := r.all(); err != nil && fault == nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return all, fault
}

// identity reads a PID.
func (c *converter) identity(s *segment) Identity {
	who := Identity{
		PatientID: c.subjectOf(s),
		BirthDate: Day(c.timeOf(s.field(7))),
		Gender:    genders[s.field(8).at(1).text()],
	}
	for _, f := range s.field(3).repeats() {
		who.Identifiers = append(who.Identifiers, c.identifier(f))
	}
	for _, f := range s.field(5).repeats() {
		who.Names = append(who.Names, name(f))
	}
	for _, f := range s.field(11).repeats() {
		who.Addresses = append(who.Addresses, address(f))
	}
	for _, n := range []int{13, 14, 40} {
		for _, f := range s.field(n).repeats() {
			who.Telecoms = append(who.Telecoms, telecom(f))
		}
	}
	return who
}

// authority names an assigning authority for people: the URI of a universal id of HD,
// else the namespace.
func authority(namespace, universal, kind string) string {
	switch {
	case universal == "":
		return namespace
	case kind == "ISO" || kind == "" && isOID(universal):
		return "urn:oid:" + universal
	case kind == "UUID" || kind == "GUID":
		return "urn:uuid:" + universal
	}
	return universal
}

// identifier reads a CX with the days from which and until which it holds.
func (c *converter) identifier(f field) Identifier {
	hd := f.at(4)
	return Identifier{
		Value:  f.at(1).text(),
		System: authority(hd.sub(1).text(), hd.sub(2).text(), hd.sub(3).text()),
		Type:   f.at(5).text(),
		Start:  Day(c.timeOf(f.at(7))),
		End:    Day(c.timeOf(f.at(8))),
	}
}
