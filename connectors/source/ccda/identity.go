package ccda

import (
	"bufio"
	"bytes"
	"errors"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/connectors/source/hl7v2"
)

// Identify returns what a document says about who its patient is, which resources leave
// out and record linkage needs. head is the header as a ClinicalDocument record holds it.
// The error is a [*fhir.Problem] of one that cannot be read.
func Identify(head []byte, opts Options) (hl7v2.Identity, error) {
	opts = opts.withDefaults()
	r := &reader{opts: opts, scan: newScanner(&recorder{br: bufio.NewReader(bytes.NewReader(head)), limit: len(head)}, opts.Limits.MaxDepth)}
	h, err := r.header()
	var p *fhir.Problem
	if errors.As(err, &p) && p.Rule == fhir.RuleTruncated && len(r.scan.open) == 1 {
		err = nil // the header ends where the body would begin
	}
	if err != nil {
		return hl7v2.Identity{}, err
	}
	return identity(h.element.at("recordTarget", "patientRole")), nil
}

// identity reads a patientRole.
func identity(role *element) hl7v2.Identity {
	e := role.at("patient")
	born, _ := timeOf(e.at("birthTime"))
	who := hl7v2.Identity{PatientID: patientID(role), BirthDate: hl7v2.Day(born), Gender: gender(e.at("administrativeGenderCode"))}
	for id := range role.each("id") {
		if by, number := identifier(id); number != "" {
			who.Identifiers = append(who.Identifiers, hl7v2.Identifier{Value: number, System: systemOf(by)})
		}
	}
	for n := range e.each("name") {
		if n.is() {
			who.Names = append(who.Names, name(n))
		}
	}
	for a := range role.each("addr") {
		if a.is() {
			who.Addresses = append(who.Addresses, address(a))
		}
	}
	for t := range role.each("telecom") {
		if t.is() && t.attr("value") != "" {
			who.Telecoms = append(who.Telecoms, telecom(t))
		}
	}
	return who
}

// Uses of names, addresses and telecommunication addresses, by FHIR's words; the first
// that is known of those an element gives counts.
//
// Source: concept maps CF-NameUse, CF-AddressUse and CF-TelecomUse of the C-CDA on FHIR
// guide.
var (
	nameUses    = map[string]string{"L": "usual", "C": "official", "P": "nickname", "A": "nickname"}
	addressUses = map[string]string{"H": "home", "HP": "home", "HV": "home", "WP": "work", "DIR": "work", "PUB": "work", "TMP": "temp", "BAD": "old"}
	telecomUses = map[string]string{
		"H": "home", "HP": "home", "HV": "home", "EC": "home", "WP": "work", "AS": "work", "DIR": "work", "PUB": "work",
		"MC": "mobile", "PG": "mobile", "TMP": "temp", "BAD": "old",
	}
)

func use(e *element, table map[string]string) string {
	for u := range strings.FieldsSeq(e.attr("use")) {
		if word := table[u]; word != "" {
			return word
		}
	}
	return ""
}

// texts are what the children of one name say.
func texts(e *element, name string) []string {
	var all []string
	for c := range e.each(name) {
		if text := c.words(); text != "" {
			all = append(all, text)
		}
	}
	return all
}

// name reads a PN.
func name(e *element) hl7v2.Name {
	return hl7v2.Name{
		Use: use(e, nameUses), Family: strings.Join(texts(e, "family"), " "),
		Given: texts(e, "given"), Prefix: texts(e, "prefix"), Suffix: texts(e, "suffix"),
	}
}

// address reads an AD.
func address(e *element) hl7v2.Address {
	return hl7v2.Address{
		Use: use(e, addressUses), Lines: texts(e, "streetAddressLine"), City: e.at("city").words(), District: e.at("county").words(),
		State: e.at("state").words(), Postcode: e.at("postalCode").words(), Country: e.at("country").words(),
	}
}

// schemes are FHIR's systems of the URLs that a telecom is.
var schemes = map[string]string{"tel": "phone", "fax": "fax", "x-text-fax": "fax", "mailto": "email", "sms": "sms", "http": "url", "https": "url"}

// telecom reads a TEL. The scheme of a number is left out, as FHIR does.
func telecom(e *element) hl7v2.Telecom {
	value := e.attr("value")
	t := hl7v2.Telecom{Use: use(e, telecomUses), Value: value}
	if scheme, rest, ok := strings.Cut(value, ":"); ok {
		if t.System = schemes[strings.ToLower(scheme)]; t.System != "" && t.System != "url" {
			t.Value = strings.TrimSpace(rest)
		}
	}
	return t
}
