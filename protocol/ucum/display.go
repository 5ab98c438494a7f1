package ucum

import (
	"strconv"
	"strings"
)

// Display returns the unit in words, in the form of the functional tests:
// "(milligram) / (deciliter)", "(unity)" for the empty code. Annotations stay as
// they are written.
func (u Unit) Display() string {
	t, err := essence().parse(u.code)
	if err != nil || len(t) == 0 { // a Unit's code has been parsed before
		return "(unity)"
	}
	var b strings.Builder
	t.display(&b)
	return b.String()
}

func (t term) display(b *strings.Builder) {
	for i, p := range t {
		switch {
		case i > 0 && p.over:
			b.WriteString(" / ")
		case i > 0:
			b.WriteString(" * ")
		case p.over:
			b.WriteString("1 / ")
		}
		p.display(b)
	}
}

func (p part) display(b *strings.Builder) {
	switch {
	case p.inner != nil:
		b.WriteByte('(')
		p.inner.display(b)
		b.WriteByte(')')
	case p.number != nil:
		b.WriteString(p.number.Num().String())
	case p.atom != nil:
		b.WriteByte('(')
		if p.prefix != nil {
			b.WriteString(p.prefix.name)
		}
		b.WriteString(p.atom.Name)
		if p.exponent != 1 {
			b.WriteString(" ^ " + strconv.Itoa(p.exponent))
		}
		b.WriteByte(')')
	}
	b.WriteString(p.annotation)
}
