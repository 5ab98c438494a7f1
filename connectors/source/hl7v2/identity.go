package hl7v2

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

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

// Name is an XPN (or the name of an XCN or PPN).
type Name struct {
	private

	Use    string // FHIR's NameUse: official, usual, nickname, maiden, anonymous, temp, old or empty
	Family string // without an own name's prefix, as FHIR does
	Given  []string
	Prefix []string
	Suffix []string
}

// Address is an XAD.
type Address struct {
	private

	Use      string // FHIR's AddressUse: home, work, temp, old, billing or empty
	Type     string // postal, physical or empty
	Lines    []string
	City     string
	District string
	State    string
	Postcode string
	Country  string
}

// Telecom is an XTN.
type Telecom struct {
	private

	System string // phone, fax, email, pager, sms, url, other or empty
	Use    string // home, work, temp, mobile or empty
	Value  string
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
		BirthDate: day(c.timeOf(s.field(7))),
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
		Start:  day(c.timeOf(f.at(7))),
		End:    day(c.timeOf(f.at(8))),
	}
}

// nameUses are the NameUse of HL7 table 0200.
//
// Source: concept map "NameType" of the v2-to-FHIR guide; B, the name at birth, which it
// leaves open, as the CDC has it.
var nameUses = map[string]string{
	"L": "official", "D": "usual", "M": "maiden", "N": "nickname", "B": "official", "R": "official",
	"BAD": "old", "NAV": "temp", "TEMP": "temp", "MSK": "anonymous",
}

// name reads an XPN.
func name(f field) Name {
	n := Name{Use: nameUses[f.at(7).text()], Family: f.at(1).sub(1).text()}
	n.Given = texts(f.at(2))
	n.Given = append(n.Given, texts(f.at(3))...)
	n.Prefix = texts(f.at(5))
	n.Suffix = texts(f.at(4))
	n.Suffix = append(n.Suffix, texts(f.at(6))...)
	n.Suffix = append(n.Suffix, texts(f.at(14))...)
	return n
}

// texts is the element as a list, empty if it says nothing.
func texts(f field) []string {
	if t := f.text(); t != "" {
		return []string{t}
	}
	return nil
}

// addressUses and addressTypes are the AddressUse and AddressType of HL7 table 0190.
//
// Source: concept maps "AddressType[Use]" and "AddressType[Type]" of the v2-to-FHIR guide,
// and a word that is written in place of H.
var (
	addressUses = map[string]string{
		"BA": "old", "BI": "billing", "B": "work", "C": "temp", "H": "home", "O": "work", "HOME": "home",
	}
	addressTypes = map[string]string{"M": "postal", "SH": "postal"}
)

// address reads an XAD; the street is a SAD, whose parts are lines of their own.
func address(f field) Address {
	kind := f.at(7).text()
	a := Address{
		Use: addressUses[kind], Type: addressTypes[kind],
		City: f.at(3).text(), State: f.at(4).text(), Postcode: f.at(5).text(), Country: f.at(6).text(), District: f.at(9).sub(1).text(),
	}
	for i := 1; i <= 3; i++ {
		a.Lines = append(a.Lines, texts(f.at(1).sub(i))...)
	}
	a.Lines = append(a.Lines, texts(f.at(2))...)
	a.Lines = append(a.Lines, texts(f.at(19))...)
	return a
}

// telecom uses and systems of HL7 tables 0201 and 0202.
//
// Source: concept maps "TelecommunicationUseCode" and "TelecommunicationEquipmentType" of
// the v2-to-FHIR guide.
var (
	telecomUses    = map[string]string{"PRN": "home", "WPN": "work", "PRS": "mobile"}
	telecomSystems = map[string]string{
		"PH": "phone", "CP": "phone", "SAT": "other", "FX": "fax", "BP": "pager", "MD": "other", "TDD": "other", "TTY": "other",
		"Internet": "email", "X.400": "email",
	}
)

// telecom reads an XTN: the number in parts or as it should be dialed (XTN.12), an
// address of the internet (XTN.4), or the form before version 2.7 (XTN.1).
func telecom(f field) Telecom {
	use, kind := f.at(2).text(), f.at(3).text()
	t := Telecom{System: telecomSystems[kind], Use: telecomUses[use]}
	if kind == "CP" {
		t.Use = "mobile"
	}
	if t.System == "" && (use == "NET" || f.at(4).text() != "") {
		t.System = "email"
	}
	if use == "BPN" {
		t.System = "pager"
	}
	switch {
	case t.System == "email" && f.at(4).text() != "":
		t.Value = f.at(4).text()
	case f.at(12).text() != "":
		t.Value = f.at(12).text()
	case f.at(7).text() != "":
		t.Value = dialed(f)
	default:
		t.Value = f.at(1).text()
	}
	if t.System == "" && f.at(7).text() != "" {
		t.System = "phone"
	}
	return t
}

// dialed is country code, area code, number and extension (XTN.5 to XTN.8) as the
// guide writes them: +1 555 7259890 ext 4.
func dialed(f field) string {
	var parts []string
	if country := f.at(5).text(); country != "" {
		parts = append(parts, "+"+strings.TrimPrefix(country, "+"))
	}
	for i := 6; i <= 7; i++ {
		parts = append(parts, texts(f.at(i))...)
	}
	if extension := f.at(8).text(); extension != "" {
		parts = append(parts, "ext", extension)
	}
	return strings.Join(parts, " ")
}
