package codemap

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/protocol/ucum"
)

// MinPersons is of how many persons a source value has to be to be listed if it is no
// code of a known system. What somebody wrote about a patient ("fell down the stairs at
// home") stands in the same column as codes do and cannot be told from them; it is of one
// patient, or of few. 11 is the cell threshold of releases, see protocol/disclosure.
const MinPersons = 11

// Unmapped is a code without a standard concept in what is stored.
type Unmapped struct {
	Vocabulary string // OMOP's name of its system, else the system as sent, else [Anywhere]
	Code       string
	Name       string // as the vocabulary has it, empty if it does not
	Table      string // of the rows
	Unit       bool   // it is a unit
	Rows       int64
	Persons    int64
}

// Unmapped lists the codes without a standard concept by frequency. Listed are codes that
// the vocabulary has, by its own name and never by what the source wrote; UCUM codes;
// codes of time series of a known system; and other values if they are of [MinPersons] or
// more persons. OMOP's rows do not say of which system a code is that the vocabulary does
// not have: such ones are of [Anywhere].
func (s *Store) Unmapped(ctx context.Context) ([]Unmapped, error) {
	var list []Unmapped
	var found []omop.SourceCode
	err := s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		if found, err = s.cfg.People.SourceCodes(ctx, tx, listed); err != nil {
			return err
		}
		list, err = s.ofSeries(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("codemap: unmapped: %w", err)
	}
	ids := make([]int64, 0, len(found))
	for _, c := range found {
		ids = append(ids, c.Concept)
	}
	concepts, err := s.cfg.Vocabulary.Concepts(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("codemap: unmapped: %w", err)
	}
	for _, c := range found {
		u := Unmapped{Vocabulary: Anywhere, Code: c.Value, Table: c.Table.String(), Unit: c.Unit, Rows: c.Rows, Persons: c.Persons}
		if c.Unit {
			u.Vocabulary = mapping.UCUM
		}
		if c.Concept != 0 {
			concept, ok := concepts[c.Concept]
			if !ok {
				continue // of a vocabulary that was replaced: its code is not known
			}
			u.Vocabulary, u.Code, u.Name = concept.Vocabulary, concept.Code, concept.Name
		}
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b Unmapped) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Vocabulary, b.Vocabulary), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Table, b.Table))
	})
	return list, nil
}

// listed reports whether a value as sent may be shown.
func listed(c omop.SourceCode) bool {
	if c.Unit {
		if _, err := ucum.Parse(c.Value); err == nil {
			return true
		}
	}
	return c.Persons >= MinPersons
}

// ofSeries lists the codes of time series.
func (s *Store) ofSeries(ctx context.Context, tx *sqldb.Tx) ([]Unmapped, error) {
	known, err := s.cfg.Series.Variables(ctx, tx)
	if err != nil {
		return nil, err
	}
	summaries, err := s.cfg.Series.Summaries(ctx, tx)
	if err != nil {
		return nil, err
	}
	var list []Unmapped
	for _, sum := range summaries {
		v := known[sum.Variable]
		if v.ConceptID == 0 && (mapping.KnownSystem(v.System) || sum.Persons >= MinPersons) {
			list = append(list, Unmapped{
				Vocabulary: mapping.VocabularyOf(v.System), Code: v.Code, Table: "series", Rows: sum.Points, Persons: sum.Persons,
			})
		}
	}
	return list, nil
}
