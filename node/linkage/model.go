package linkage

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
)

// Model says how often pairs agree on each field when they are about one person and
// when they are not. It holds no value of a record and may be kept and shown.
//
// Source: Fellegi and Sunter, "A Theory for Record Linkage" (1969), with four levels
// of agreement and the fields taken as independent.
type Model struct {
	// Matches is the part of all pairs of records that are about one person, above 0
	// and at most 0.5.
	Matches float64 `json:"matches"`

	// Fields has the probabilities of the levels by field.
	Fields [fields]Odds `json:"fields"`

	// Rounds is how many rounds of expectation and maximization it took.
	Rounds int `json:"rounds"`
}

// Odds are the probabilities of agreeing at each level: differs, similar, near, equal.
// They sum to 1, and tell nothing about a field that no pair has.
type Odds struct {
	True  [levels]float64 `json:"true"`  // of pairs about one person: m
	False [levels]float64 `json:"false"` // of others: u
}

// Bounds of the estimation.
const (
	maxRounds   = 200
	tolerance   = 1e-6    // the change of Matches at which it ends, relative
	floor       = 1e-6    // no level is less likely
	randomPairs = 100_000 // by which the agreement of strangers is estimated
	leastPairs  = 10_000  // of all records, to learn from
	mostMatches = 0.5     // of all pairs, about one person
	firstGuess  = 0.1     // of the shorter list, records with a partner
)

// ErrTooFew reports that the lists are too short to learn from them how strangers agree.
// Use [Exact].
var ErrTooFew = errors.New("linkage: too few records to learn from: two lists need 100 each and one 150, of different people")

// patterns counts the patterns of the pairs.
func (s *blocks) patterns(ctx context.Context, a, b []Record) (map[pattern]int, int, error) {
	counts, n := make(map[pattern]int), 0
	for i, j := range s.pairs() {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		counts[compare(&a[i], &b[j])]++
	}
	return counts, n, nil
}

// learn fits a model to the patterns of candidates, which hold nearly all pairs about
// one person, and to those of random pairs, which are nearly all about two, by
// expectation and maximization (Dempster, Laird and Rubin 1977; Winkler 1988). Pairs
// that are no candidates are taken to be about two persons. Lists that share nobody
// give a model by which no pair is likely. Shorter is the length of the shorter list
// and all how many pairs there are.
func learn(candidates, random map[pattern]int, shorter int, all float64) (Model, error) {
	if all < leastPairs {
		return Model{}, ErrTooFew
	}
	m := Model{Matches: firstGuess * float64(shorter) / all}
	for f := range m.Fields {
		m.Fields[f].True = [levels]float64{0.05, 0.05, 0.1, 0.8}
	}
	m.fitFalse(random, func(pattern) float64 { return 0 })
	for m.Rounds < maxRounds {
		next := m
		found := next.fitTrue(candidates, m.probability)
		next.fitFalse(random, m.probability)
		next.Matches, next.Rounds = min(found/all, mostMatches), m.Rounds+1
		done := found < 1 || math.Abs(next.Matches-m.Matches) < tolerance*m.Matches
		m = next
		if done {
			break
		}
	}
	return m, nil
}

// fitTrue takes the odds of pairs about one person from pairs by their probability of
// being that, and returns how many there are.
func (m *Model) fitTrue(counts map[pattern]int, probability func(pattern) float64) (found float64) {
	var sums [fields][levels]float64
	for p, n := range counts {
		part := probability(p) * float64(n)
		found += part
		addLevels(&sums, p, part)
	}
	for f := range m.Fields {
		m.Fields[f].True = shares(sums[f])
	}
	return found
}

// fitFalse does the same for pairs about two.
func (m *Model) fitFalse(counts map[pattern]int, probability func(pattern) float64) {
	var sums [fields][levels]float64
	for p, n := range counts {
		addLevels(&sums, p, (1-probability(p))*float64(n)) // random pairs may be of one person too
	}
	for f := range m.Fields {
		m.Fields[f].False = shares(sums[f])
	}
}

func addLevels(sums *[fields][levels]float64, p pattern, part float64) {
	for f := range Field(fields) {
		if l := p.level(f); l != missing {
			sums[f][l] += part
		}
	}
}

// shares are counts as parts of their sum, none of them 0.
func shares(counts [levels]float64) (parts [levels]float64) {
	sum := 0.0
	for l := range counts {
		counts[l] += 0.01
		sum += counts[l]
	}
	for l := range counts {
		parts[l] = max(counts[l]/sum, floor)
	}
	return parts
}

// weight is the binary logarithm of the odds that a pair is about one person.
func (m *Model) weight(p pattern) float64 {
	w := math.Log2(m.Matches / (1 - m.Matches))
	for f := range m.Fields {
		if l := p.level(Field(f)); l != missing {
			w += math.Log2(m.Fields[f].True[l] / m.Fields[f].False[l])
		}
	}
	return w
}

func (m *Model) probability(p pattern) float64 { return 1 / (1 + math.Exp2(-m.weight(p))) }

// drawRandom counts the patterns of pairs drawn at random. The draw is the same for
// lists of the same lengths.
func drawRandom(a, b []Record) map[pattern]int {
	counts := make(map[pattern]int)
	draw := rand.New(rand.NewPCG(uint64(len(a)), uint64(len(b)))) //nolint:gosec // a sample, no secret
	for range min(randomPairs, len(a)*len(b)) {
		i, j := draw.IntN(len(a)), draw.IntN(len(b))
		if &a[i] != &b[j] {
			counts[compare(&a[i], &b[j])]++
		}
	}
	return counts
}
