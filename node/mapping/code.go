package mapping

import (
	"cmp"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/vocab"
)

// code is what a CodeableConcept says in OMOP's words.
type code struct {
	source   string // as sent: the code, else the text
	sourceID int64
	standard []vocab.Concept
}

// code resolves c by its best coding: the first that reaches a standard concept,
// else the first that the vocabulary knows, else the first. part says what c is for.
func (m *mapping) code(part Part, c fhir.CodeableConcept) code {
	best, rank := code{source: c.Text}, 0
	system := other
	for _, coding := range c.Coding {
		name, known := vocabularies[coding.System]
		var found vocab.Mapping
		if known && coding.Code != "" {
			found = m.lookup(name, coding.Code)
		}
		r := 1
		switch {
		case len(found.Standard) > 0:
			r = 3
		case found.Source.ID != 0:
			r = 2
		}
		if r > rank {
			rank, system = r, cmp.Or(name, other)
			best = code{cmp.Or(coding.Code, c.Text, coding.Display), found.Source.ID, found.Standard}
		}
	}
	if rank < 3 && best.source != "" {
		m.result.Unmapped = append(m.result.Unmapped, Unmapped{part, system})
	}
	return best
}

// first is the first standard concept, 0 for none.
func (c code) first() int64 {
	if len(c.standard) == 0 {
		return 0
	}
	return c.standard[0].ID
}

func (m *mapping) lookup(vocabulary, code string) vocab.Mapping {
	found, err := m.vocabulary.Lookup(m.ctx, vocabulary, code)
	if err != nil && m.err == nil {
		m.err = err
	}
	return found
}

// unit resolves a quantity's unit; a code without a system is taken for UCUM, as
// senders forget it.
func (m *mapping) unit(q *fhir.Quantity) code {
	u := code{source: cmp.Or(q.Code, q.Unit)}
	if u.source == "" {
		return u
	}
	name, known := vocabularies[q.System]
	if q.Code != "" && (q.System == "" || known && name == ucum) {
		found := m.lookup(ucum, q.Code)
		u.sourceID, u.standard = found.Source.ID, found.Standard
	}
	if len(u.standard) == 0 {
		m.result.Unmapped = append(m.result.Unmapped, Unmapped{UnitPart, ucum})
	}
	return u
}
