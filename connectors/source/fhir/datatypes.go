package fhir

import (
	"errors"
	"fmt"
	"io"
	"strconv"
)

// private makes a type that holds patient data refuse to print and to marshal.
type private struct{}

// Format prints a redaction whatever the verb.
func (private) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "fhir:redacted") }

// MarshalJSON refuses: patient data leaves through node/mapping only.
func (private) MarshalJSON() ([]byte, error) {
	return nil, errors.New("fhir: patient data does not marshal")
}

// Coding is one code of one code system. Display is kept as sent, including
// characters that do not print.
type Coding struct {
	private

	System, Version, Code, Display string
}

// CodeableConcept is what several codings, or only a text, say about one thing.
type CodeableConcept struct {
	private

	Coding []Coding
	Text   string
}

// IsZero reports whether nothing was given.
func (c CodeableConcept) IsZero() bool { return len(c.Coding) == 0 && c.Text == "" }

// In returns the first code that belongs to system, and false if there is none.
func (c CodeableConcept) In(system string) (Coding, bool) {
	for _, coding := range c.Coding {
		if coding.System == system && coding.Code != "" {
			return coding, true
		}
	}
	return Coding{}, false
}

// Decimal is a JSON number. FHIR gives the digits meaning ("1.0" is not "1"),
// so Text keeps them.
type Decimal struct {
	private

	Text  string
	Value float64 // finite
}

// Quantity is a measured amount. Value is nil if only a unit was sent. Code is
// the unit in System, which is mostly UCUM (http://unitsofmeasure.org).
type Quantity struct {
	private

	Value      *Decimal
	Comparator string // "<", "<=", ">=", ">" or empty
	Unit       string // for people to read
	System     string
	Code       string
}

func (t *tree) coding(at int) Coding {
	return Coding{
		System: t.str(at, "system"), Version: t.str(at, "version"),
		Code: t.str(at, "code"), Display: t.str(at, "display"),
	}
}

func (t *tree) concept(at int, name string) CodeableConcept {
	return t.conceptAt(t.typed(at, name, kindObject))
}

func (t *tree) conceptAt(c int) CodeableConcept {
	if c == none {
		return CodeableConcept{}
	}
	concept := CodeableConcept{Text: t.str(c, "text")}
	t.list(c, "coding", func(e int) { concept.Coding = append(concept.Coding, t.coding(e)) })
	return concept
}

func (t *tree) concepts(at int, name string) []CodeableConcept {
	var all []CodeableConcept
	t.list(at, name, func(e int) { all = append(all, t.conceptAt(e)) })
	return all
}

// requiredConcept reads a concept that must hold a coding or a text.
func (t *tree) requiredConcept(at int, name string) CodeableConcept {
	c := t.concept(at, name)
	if c.IsZero() {
		t.missing(at, name)
	}
	return c
}

// decimal returns nil if the member is absent.
func (t *tree) decimal(at int, name string) *Decimal {
	c := t.typed(at, name, kindNumber)
	if c == none {
		return nil
	}
	text := string(t.raw[t.nodes[c].start:t.nodes[c].end])
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.fail(RuleInvalidNumber, c, "beyond a float64")
		return nil
	}
	return &Decimal{Text: text, Value: value}
}

// quantity returns nil if the member is absent.
func (t *tree) quantity(at int, name string) *Quantity {
	c := t.typed(at, name, kindObject)
	if c == none {
		return nil
	}
	return &Quantity{
		Value: t.decimal(c, "value"), Comparator: t.str(c, "comparator"),
		Unit: t.str(c, "unit"), System: t.str(c, "system"), Code: t.str(c, "code"),
	}
}
