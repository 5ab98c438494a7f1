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

// How well a coding is known, ascending.
const (
	sent       = iota + 1 // it is there
	known                 // the vocabulary has it
	local                 // the site's own map has a standard concept for it
	understood            // the vocabulary has
)

// code resolves c by its best coding: the first that the vocabulary maps to a standard
// concept, else the first that the site's own map does, else the first that the
// vocabulary knows, else the first. part says what c is for.
//
// The vocabulary comes before the site's map: its mappings are reviewed and the same at
// every site, and where a site could overrule them one question would count different
// things at two sites. The map is for what the vocabulary leaves open.
func (m *mapping) code(part Part, c fhir.CodeableConcept) code {
	best, rank := code{source: c.Text}, 0
	system := other
	for _, coding := range c.Coding {
		name := vocabularies[coding.System]
		found, r := m.coding(name, coding)
		if r > rank {
			rank, system = r, cmp.Or(name, other)
			best = code{cmp.Or(coding.Code, c.Text, coding.Display), found.Source.ID, found.Standard}
		}
	}
	if rank < local && c.Text != "" {
		if standard := m.own(none, c.Text); len(standard) > 0 {
			best.standard, rank = standard, local
		}
	}
	if rank < local && best.source != "" {
		m.result.Unmapped = append(m.result.Unmapped, Unmapped{part, system})
	}
	return best
}

// coding looks up one coding; vocabulary is OMOP's name of its system, "" for another.
func (m *mapping) coding(vocabulary string, c fhir.Coding) (vocab.Mapping, int) {
	if c.Code == "" {
		return vocab.Mapping{}, sent
	}
	var found vocab.Mapping
	if vocabulary != "" {
		found = m.lookup(vocabulary, c.Code)
	}
	if len(found.Standard) > 0 {
		return found, understood
	}
	if standard := m.own(VocabularyOf(c.System), c.Code); len(standard) > 0 {
		found.Standard = standard
		return found, local
	}
	if found.Source.ID != 0 {
		return found, known
	}
	return found, sent
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
	if q.Code != "" && (q.System == "" || vocabularies[q.System] == UCUM) {
		found := m.lookup(UCUM, q.Code)
		u.sourceID, u.standard = found.Source.ID, found.Standard
	}
	if len(u.standard) == 0 {
		u.standard = m.own(UCUM, u.source)
	}
	if len(u.standard) == 0 {
		m.result.Unmapped = append(m.result.Unmapped, Unmapped{UnitPart, UCUM})
	}
	return u
}
