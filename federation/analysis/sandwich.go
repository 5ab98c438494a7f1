package analysis

import "math"

// robustNumbers are those of the round that takes a fit's robust variance: X'WX and the
// sum of squares of the scores.
func (g glm) robustNumbers() int { return 2 * packed(g.matrix.Width(), 0) }

// addRobust adds them up at a fit that is final. Rows of one cluster have a score in common; without
// clusters each row has its own. A cluster must not have rows at two sites. As in R, the
// weights are those of the last step and the residuals those after it.
func (g glm) addRobust(s glmState, f *Frame, clusters []int, sums *Sums) error {
	p := g.matrix.Width()
	before := s
	before.Coefficients = s.Before
	together := make(map[int][]float64)
	row := -1
	err := g.rows(f, func(x []float64, y, w, offset float64) {
		row++
		if w == 0 {
			return
		}
		linear := g.linear(s, x) // x is scaled from here on
		earlier := 0.0
		for j := range x {
			earlier += x[j] * before.Coefficients[j]
		}
		_, weight, _ := g.working(false, earlier, y, w, offset)
		mu, slope := g.family.mean(linear + offset)
		score := make([]float64, p)
		for i := range p {
			score[i] = weight * (y - mu) / slope * x[i]
			for j := range i + 1 {
				sums.Add(packed(i, j), weight*x[i]*x[j])
			}
		}
		if clusters == nil {
			addSquares(score, sums, packed(p, 0))
			return
		}
		for j, v := range together[clusters[row]] {
			score[j] += v
		}
		together[clusters[row]] = score
	})
	for _, score := range together { // sums are exact, so that their order does not matter
		addSquares(score, sums, packed(p, 0))
	}
	return err
}

func addSquares(v []float64, sums *Sums, at int) {
	for i := range v {
		for j := range i + 1 {
			sums.Add(at+packed(i, j), v[i]*v[j])
		}
	}
}

// robust returns the variances of the estimates, in the columns' own units, from the
// numbers that addRobust added.
//
// Source: White, Econometrica 48 (1980), HC0; Liang and Zeger, Biometrika 73 (1986); R's
// package sandwich.
func (g glm) robust(s glmState, numbers []float64) []float64 {
	p := g.matrix.Width()
	bread, meat := decompose(numbers[:packed(p, 0)], p), numbers[packed(p, 0):]
	out := make([]float64, p)
	for j := range p {
		if s.Aliased[j] {
			continue
		}
		b := bread.solve(g.own(s, j))
		for i := range p {
			for k := range p {
				out[j] += b[i] * b[k] * meat[packed(max(i, k), min(i, k))]
			}
		}
		out[j] = math.Max(out[j], 0) * g.unit * g.unit
	}
	return out
}
