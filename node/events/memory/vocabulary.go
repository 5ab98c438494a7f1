package memory

import (
	"context"
	"errors"
	"slices"

	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

// ErrNoConcepts says that a CDM has no vocabulary, without which all concept sets are empty.
var ErrNoConcepts = errors.New("the table concept is missing or empty: every concept set would be empty")

// Vocabulary is the part of a vocabulary that some concept sets need.
type Vocabulary struct {
	valid    map[int64]bool // of the concepts that there are
	children map[int64][]int64
	sources  map[int64][]int64 // what maps to a concept
}

// ReadVocabulary reads what the concept sets need from the tables concept, concept_ancestor
// and concept_relationship. Its memory grows with the sets and their descendants.
func ReadVocabulary(ctx context.Context, from Tables, sets []cohort.ConceptSet) (*Vocabulary, error) {
	r := reader{from: from}
	v := &Vocabulary{valid: map[int64]bool{}, children: map[int64][]int64{}, sources: map[int64][]int64{}}
	wanted, mapped := map[int64]bool{}, false
	for _, set := range sets {
		for _, item := range set.Items {
			wanted[item.Concept] = true
			mapped = mapped || item.Mapped
			if item.Descendants {
				v.children[item.Concept] = nil
			}
		}
	}
	if len(wanted) == 0 {
		return v, nil
	}
	var bad failure
	names := []string{"ancestor_concept_id", "descendant_concept_id"}
	err := r.rows(ctx, "concept_ancestor", names, func(cells []string) error {
		above := bad.whole(cells, names, 0)
		if list, ok := v.children[above]; ok {
			below := bad.whole(cells, names, 1)
			v.children[above] = append(list, below)
			wanted[below] = true
		}
		return bad.err
	})
	if err != nil {
		return nil, err
	}
	rows := 0
	names = []string{"concept_id", "invalid_reason"}
	err = r.rows(ctx, "concept", names, func(cells []string) error {
		rows++
		if id := bad.whole(cells, names, 0); wanted[id] {
			v.valid[id] = cells[1] == ""
		}
		return bad.err
	})
	if err == nil && rows == 0 {
		err = ErrNoConcepts
	}
	if err != nil || !mapped {
		return v, err
	}
	names = []string{"relationship_id", "concept_id_1", "concept_id_2", "invalid_reason"}
	return v, r.rows(ctx, "concept_relationship", names, func(cells []string) error {
		if cells[0] != "Maps to" || cells[3] != "" {
			return nil
		}
		if to := bad.whole(cells, names, 2); wanted[to] {
			v.sources[to] = append(v.sources[to], bad.whole(cells, names, 1))
		}
		return bad.err
	})
}

// Known implements events.Vocabulary.
func (v *Vocabulary) Known(_ context.Context, concepts []int64) ([]int64, error) {
	return slices.DeleteFunc(slices.Clone(concepts), func(id int64) bool {
		_, ok := v.valid[id]
		return !ok
	}), nil
}

// Descendants implements events.Vocabulary.
func (v *Vocabulary) Descendants(_ context.Context, concepts []int64) ([]int64, error) {
	var list []int64
	for _, id := range concepts {
		for _, below := range v.children[id] {
			if v.valid[below] {
				list = append(list, below)
			}
		}
	}
	return list, nil
}

// MapTo implements events.Vocabulary.
func (v *Vocabulary) MapTo(_ context.Context, concepts []int64) ([]int64, error) {
	var list []int64
	for _, id := range concepts {
		list = append(list, v.sources[id]...)
	}
	return list, nil
}

var (
	_ events.Source     = (*Source)(nil)
	_ events.Vocabulary = (*Vocabulary)(nil)
)
