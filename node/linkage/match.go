package linkage

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// Match links codes of two lists or, where b is nil, of one: the pairs whose [Dice] is
// at least threshold, above 0.5 and at most 1, by A, then B. Every code is compared with
// every other that has enough bits, about 20 million pairs in a second of one core, so
// two lists of 100,000 take eight minutes. deploy/docs/linkage.md has thresholds.
func Match(ctx context.Context, a, b []Code, threshold float64) ([]Pair, error) {
	if !(threshold > 0.5 && threshold <= 1) {
		return nil, errors.New("the threshold is above 0.5 and at most 1")
	}
	within := b == nil
	if within {
		b = a
	}
	order := byOnes(b)
	var pairs []Pair
	for i := range a {
		if a[i].IsZero() {
			continue
		}
		if i%256 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		// Two codes cannot have more bits in common than the smaller has.
		least := int(float64(a[i].ones) * threshold / (2 - threshold))
		most := int(float64(a[i].ones)*(2-threshold)/threshold) + 1
		start, _ := slices.BinarySearchFunc(order, least, func(j, ones int) int { return cmp.Compare(b[j].ones, ones) })
		for _, j := range order[start:] {
			if b[j].ones > most {
				break
			}
			if within && j <= i {
				continue
			}
			if s := Dice(&a[i], &b[j]); s >= threshold {
				pairs = append(pairs, Pair{i, j, s})
			}
		}
	}
	sortPairs(pairs)
	return pairs, nil
}

// byOnes returns the places of the codes that are not zero, by how many bits they have.
func byOnes(codes []Code) []int {
	var order []int
	for j := range codes {
		if !codes[j].IsZero() {
			order = append(order, j)
		}
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Or(cmp.Compare(codes[x].ones, codes[y].ones), cmp.Compare(x, y)) })
	return order
}
