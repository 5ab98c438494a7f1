package ucum

import (
	"encoding/xml"
	"strings"
)

// Definition describes a unit of the essence. Names and print symbols are for
// people; UCUM does not make them normative.
type Definition struct {
	Code     string
	Name     string   // the first of its names
	Synonyms []string // its other names
	Symbol   string   // for print, without markup; may be empty
	Property string   // the kind of quantity, such as "mass concentration"
	Class    string   // the table that UCUM lists it in, such as "si" or "clinical"

	Base      bool // one of the seven base units
	Metric    bool // takes a prefix
	Special   bool // on a scale with an offset or curve
	Arbitrary bool // defined by a procedure; converts to itself only
}

// Units returns all units that have a definition, without prefixes, in the order
// of the essence. The slice is the caller's.
func Units() []Definition {
	order := essence().order
	units := make([]Definition, len(order))
	for i, a := range order {
		units[i] = a.Definition
	}
	return units
}

// Version returns the version of the essence, such as "2.2".
func Version() string { return essence().version }

func (e unitEntry) definition() Definition {
	d := Definition{
		Code: e.Code, Symbol: string(e.Symbol), Property: e.Property, Class: e.Class,
		Metric: e.Metric == "yes", Special: e.Special == "yes", Arbitrary: e.Arbitrary == "yes",
	}
	for i, name := range e.Names {
		name = strings.Join(strings.Fields(name), " ") // also without no-break spaces
		if i == 0 {
			d.Name = name
		} else {
			d.Synonyms = append(d.Synonyms, name)
		}
	}
	return d
}

// markup is the text of an element, without the elements (sub, sup, i, r) in it.
type markup string

// UnmarshalXML implements [xml.Unmarshaler].
func (m *markup) UnmarshalXML(d *xml.Decoder, _ xml.StartElement) error {
	var text strings.Builder
	for depth := 1; depth > 0; {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			text.Write(token)
		}
	}
	*m = markup(strings.Join(strings.Fields(text.String()), " "))
	return nil
}
