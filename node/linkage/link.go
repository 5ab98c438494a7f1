package linkage

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// Pair is two records that are held to be about one person: places in the lists that
// were linked, from 0.
type Pair struct {
	A, B int

	// Score is how sure that is, from 0 to 1: for [Link] the probability by the model,
	// which takes fields as independent and so is too sure of itself in the middle; for
	// [Match] the similarity; for [Exact] 1.
	Score float64
}

// DefaultThreshold is the least probability of a pair of [Link]. deploy/docs/linkage.md
// has what others give.
const DefaultThreshold = 0.95

// Linked is what [Link] found.
type Linked struct {
	Pairs []Pair // by A, then B

	Model      Model
	Candidates int // pairs that were compared
	Skipped    int // keys that so many records share that their pairs were not compared
}

// Link links the records of two lists or, where b is nil, those of one list with each
// other. It returns the pairs with a probability of at least threshold, above 0 and at
// most 1. It fails with [ErrTooFew] where there are too few records to learn a model
// from; [Exact] needs none.
func Link(ctx context.Context, a, b []Record, threshold float64) (Linked, error) {
	if !(threshold > 0 && threshold <= 1) {
		return Linked{}, errors.New("the threshold is above 0 and at most 1")
	}
	s := newBlocks(len(passes), recordKeys(a), secondOf(b))
	all := float64(len(a)) * float64(len(b))
	if b == nil {
		b = a
		all = float64(len(a)) * float64(len(a)-1) / 2
	}
	counts, n, err := s.patterns(ctx, a, b)
	if err != nil {
		return Linked{}, err
	}
	found := Linked{Candidates: n, Skipped: s.skipped}
	if found.Model, err = learn(counts, drawRandom(a, b), min(len(a), len(b)), all); err != nil {
		return Linked{}, err
	}
	scores := make(map[pattern]float64, len(counts))
	for p := range counts {
		scores[p] = found.Model.probability(p)
	}
	for i, j := range s.pairs() {
		if n--; n%4096 == 0 && ctx.Err() != nil {
			return Linked{}, ctx.Err()
		}
		if score := scores[compare(&a[i], &b[j])]; score >= threshold {
			found.Pairs = append(found.Pairs, Pair{i, j, score})
		}
	}
	sortPairs(found.Pairs)
	return found, nil
}

// secondOf is the second list of records, nil where there is none.
func secondOf(b []Record) *keyed {
	if b == nil {
		return nil
	}
	return recordKeys(b)
}

// OneToOne keeps of the pairs between two lists in which each person is once those
// that give no record two partners: always the pair with the highest score first, of
// equals the first. It changes the order of its argument.
func OneToOne(pairs []Pair) []Pair {
	slices.SortStableFunc(pairs, func(x, y Pair) int {
		return cmp.Or(cmp.Compare(y.Score, x.Score), cmp.Compare(x.A, y.A), cmp.Compare(x.B, y.B))
	})
	usedA, usedB := make(map[int]bool), make(map[int]bool)
	kept := pairs[:0]
	for _, p := range pairs {
		if !usedA[p.A] && !usedB[p.B] {
			usedA[p.A], usedB[p.B] = true, true
			kept = append(kept, p)
		}
	}
	sortPairs(kept)
	return kept
}

func sortPairs(pairs []Pair) {
	slices.SortFunc(pairs, func(x, y Pair) int { return cmp.Or(cmp.Compare(x.A, y.A), cmp.Compare(x.B, y.B)) })
}
