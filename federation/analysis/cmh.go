package analysis

import (
	"math"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// layers returns a table of the first two factors for each level of the third.
func (m crossTab) layers(counts []int64) [][][]float64 {
	rows, columns, depth := len(m.Factors[0].levels()), len(m.Factors[1].levels()), len(m.Factors[2].levels())
	out := make([][][]float64, depth)
	for k := range out {
		out[k] = make([][]float64, rows)
		for i := range rows {
			out[k][i] = make([]float64, columns)
			for j := range columns {
				out[k][i][j] = float64(counts[(i*columns+j)*depth+k])
			}
		}
	}
	return out
}

// testLayers tests whether two factors are independent within the levels of a third.
func testLayers(r *query.ContingencyTable, layers [][][]float64) {
	var used [][][]float64
	for _, table := range layers {
		if _, _, n := margins(table); n >= 2 {
			used = append(used, table)
		}
	}
	if len(used) < len(layers) {
		r.Warnings = append(r.Warnings, "levels of the third factor with fewer than two persons are left out of the test")
	}
	used = occupiedLayers(used)
	if len(used) == 0 || len(used[0]) < 2 || len(used[0][0]) < 2 {
		r.Warnings = append(r.Warnings, "no test: a factor has fewer than two levels that somebody has")
		return
	}
	r.CMH = generalized(used)
	if r.CMH == nil {
		r.Warnings = append(r.Warnings, "no test: in no level of the third factor do both others vary")
	}
	if len(used[0]) == 2 && len(used[0][0]) == 2 {
		r.CommonRatio = mantelHaenszel(used)
		if r.CMH != nil {
			r.CMHCorrected = corrected(used)
		}
	}
}

// occupiedLayers leaves out of all layers the rows and columns that nobody has in any.
func occupiedLayers(layers [][][]float64) [][][]float64 {
	if len(layers) == 0 {
		return nil
	}
	rows, columns := make([]float64, len(layers[0])), make([]float64, len(layers[0][0]))
	for _, table := range layers {
		r, c, _ := margins(table)
		for i := range r {
			rows[i] += r[i]
		}
		for j := range c {
			columns[j] += c[j]
		}
	}
	out := make([][][]float64, len(layers))
	for k, table := range layers {
		for i, row := range table {
			if rows[i] == 0 {
				continue
			}
			var kept []float64
			for j, v := range row {
				if columns[j] > 0 {
					kept = append(kept, v)
				}
			}
			out[k] = append(out[k], kept)
		}
	}
	return out
}

// generalized is the test of Cochran, Mantel and Haenszel for factors without an order,
// nil if it has no degree of freedom.
func generalized(layers [][][]float64) *query.Significance {
	rows, columns := len(layers[0])-1, len(layers[0][0])-1
	width := rows * columns
	difference, covariance := make([]float64, width), make([]float64, packed(width, 0))
	for _, table := range layers {
		r, c, n := margins(table)
		for a := range width {
			i, j := a/columns, a%columns
			difference[a] += table[i][j] - r[i]*c[j]/n
			for b := range a + 1 {
				k, l := b/columns, b%columns
				covariance[packed(a, b)] += spread(r, i, k, n) * spread(c, j, l, n) / (n * n * (n - 1))
			}
		}
	}
	c := decompose(covariance, width)
	if c.rank == 0 {
		return nil
	}
	statistic, df := c.quadratic(difference), float64(c.rank)
	return &query.Significance{Statistic: &statistic, DF: &df, P: chiSquaredAbove(statistic, df)}
}

// spread is n times the covariance of indicators of two levels with these margins.
func spread(margin []float64, i, k int, n float64) float64 {
	if i == k {
		return margin[i] * (n - margin[i])
	}
	return -margin[i] * margin[k]
}

// corrected is the test of 2×2 tables with R's continuity correction.
func corrected(layers [][][]float64) *query.Significance {
	difference, variance := 0.0, 0.0
	for _, table := range layers {
		r, c, n := margins(table)
		difference += table[0][0] - r[0]*c[0]/n
		variance += r[0] * r[1] * c[0] * c[1] / (n * n * (n - 1))
	}
	correction := 0.0
	if math.Abs(difference) >= 0.5 {
		correction = 0.5
	}
	d := math.Abs(difference) - correction
	statistic, df := d*d/variance, 1.0
	return &query.Significance{Statistic: &statistic, DF: &df, P: chiSquaredAbove(statistic, df)}
}

// mantelHaenszel is the common odds ratio of 2×2 tables.
func mantelHaenszel(layers [][][]float64) *query.OddsRatio {
	log, se := mantelHaenszelLog(layers)
	return &query.OddsRatio{
		Estimate: finite(math.Exp(log)),
		Lower:    finite(math.Exp(log - normalLimit*se)),
		Upper:    finite(math.Exp(log + normalLimit*se)),
	}
}

// mantelHaenszelLog is its logarithm, with the standard error.
func mantelHaenszelLog(layers [][][]float64) (estimate, se float64) {
	var with, against, pp, mixed, qq float64
	for _, t := range layers {
		_, _, n := margins(t)
		diagonal, other := t[0][0]*t[1][1]/n, t[0][1]*t[1][0]/n
		p, q := (t[0][0]+t[1][1])/n, (t[0][1]+t[1][0])/n
		with += diagonal
		against += other
		pp += p * diagonal
		mixed += p*other + q*diagonal
		qq += q * other
	}
	return math.Log(with / against), math.Sqrt(pp/(2*with*with) + mixed/(2*with*against) + qq/(2*against*against))
}
