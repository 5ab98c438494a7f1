package hl7v2

import "strings"

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
