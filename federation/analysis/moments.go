package analysis

import (
	"errors"
	"fmt"
	"math"
	"math/big"
)

// powers is the number of power sums of a cell: Σz, Σz², Σz³, Σz⁴.
const powers = 4

// Moments describes a value in every combination of the stratifiers' levels and
// over all of them. Persons without a value are left out.
//
// Low and High are the plausible range of the value, in its own unit, finite
// and Low < High; the request fixes them, so that they say nothing about a site.
// Sites add up powers of z = (value − middle)/(half the range), which lies in
// [-1, 1]. The narrower the range, the more digits the fixed point carries.
type Moments struct {
	By   []Stratifier `json:"by,omitempty"`
	Low  float64      `json:"low"`
	High float64      `json:"high"`
}

// Validate checks the parameters against the package's limits.
func (m Moments) Validate() error {
	if err := validate(m.By); err != nil {
		return fmt.Errorf("moments: %w", err)
	}
	centre, scale := m.standard()
	if math.IsNaN(centre) || math.IsInf(centre, 0) || math.IsInf(scale, 0) || !(scale > 0) {
		return errors.New("moments: the plausible range must be finite, with low below high")
	}
	return nil
}

// Words returns the length of the encoded table.
func (m Moments) Words() int { return cellCount(m.By) * (wordsBefore + 2*powers) }

// standard returns the middle of the range and half its width.
func (m Moments) standard() (centre, scale float64) {
	return m.Low/2 + m.High/2, m.High/2 - m.Low/2
}

// Tabulate is the site's half: the power sums of the standardized values. It
// fails on the first bad row, which it names by its index from 0: NaN, infinity
// and values outside the plausible range are the caller's to keep out.
func (m Moments) Tabulate(rows Rows) (Table, error) {
	if err := m.Validate(); err != nil {
		return Table{}, err
	}
	centre, scale := m.standard()
	cells := make([]Cell, cellCount(m.By))
	for i := range cells {
		cells[i].Sums = make([]Sum, powers)
	}
	total, largest := make([]float64, len(cells)), make([]float64, len(cells)) // of |value|
	index := -1
	for row, err := range rows {
		index++
		if err != nil {
			return Table{}, fmt.Errorf("moments: read row %d: %w", index, err)
		}
		i, err := cellOf(m.By, row.Strata)
		if err != nil {
			return Table{}, fmt.Errorf("moments: row %d: %w", index, err)
		}
		if !row.HasValue {
			continue
		}
		if !(m.Low <= row.Value && row.Value <= m.High) { // also NaN
			return Table{}, fmt.Errorf("moments: row %d: the value is outside the plausible range", index)
		}
		if cells[i].N == MaxPersons {
			return Table{}, fmt.Errorf("moments: overflow: more than %d persons at row %d", MaxPersons, index)
		}
		cells[i].addValue((row.Value - centre) / scale)
		total[i] += math.Abs(row.Value)
		largest[i] = max(largest[i], math.Abs(row.Value))
	}
	for i := range cells {
		if total[i] > 0 {
			cells[i].Largest = largest[i] / total[i]
		}
	}
	return Table{Cells: cells}, nil
}

// addValue adds one person's standardized value.
func (c *Cell) addValue(z float64) {
	z = max(-1, min(1, z)) // the division may round past the end
	negative := z < 0
	z1 := toFixed(z)
	z2 := z1.times(z1)
	c.N++
	c.Sums[0].add(z1, negative)
	c.Sums[1].add(z2, false)
	c.Sums[2].add(z1.times(z2), negative)
	c.Sums[3].add(z2.times(z2), false)
}

// MomentsResult is the pooled description.
type MomentsResult struct {
	Sites  int           `json:"sites"`  // sites that were added
	Cells  []MomentsCell `json:"cells"`  // row-major, the last stratifier fastest
	Pooled Summary       `json:"pooled"` // over all cells that sites released

	// WithheldCells is the number of cells that at least one site kept back.
	WithheldCells int `json:"withheldCells"`
}

// MomentsCell is one cell. Where sites withheld it, the summary is of the others.
type MomentsCell struct {
	Levels     []string `json:"levels"`     // one per stratifier
	WithheldBy int      `json:"withheldBy"` // sites
	Summary
}

// Summary describes N values, in the value's unit. What N values do not define
// is nil: the mean of none, the variance of one, the shape of equal values, and
// a shape to which the fixed point would lend fewer than eight digits (a
// standard deviation below about 1/3000 of the range's half for skewness, 1/330
// for kurtosis).
type Summary struct {
	N        int64    `json:"n"`
	Mean     *float64 `json:"mean,omitempty"`
	Variance *float64 `json:"variance,omitempty"` // divided by N − 1
	SD       *float64 `json:"sd,omitempty"`
	Skewness *float64 `json:"skewness,omitempty"` // m3 / m2^1.5
	Kurtosis *float64 `json:"kurtosis,omitempty"` // excess: m4 / m2² − 3
}

// Pool turns the sum of the words of sites sites into the result. An error that
// wraps [ErrInconsistent] says that some site did not follow the method.
func (m Moments) Pool(sum []uint64, sites int) (MomentsResult, error) {
	if err := m.Validate(); err != nil {
		return MomentsResult{}, err
	}
	cells, err := decode(sum, cellCount(m.By), powers, sites)
	if err != nil {
		return MomentsResult{}, fmt.Errorf("pool moments: %w", err)
	}
	r := MomentsResult{Sites: sites, Cells: make([]MomentsCell, len(cells))}
	all := pooledCell{sums: make([]Sum, powers)}
	for i, c := range cells {
		summary, err := m.summarize(c)
		if err != nil {
			return MomentsResult{}, fmt.Errorf("pool moments: cell %d: %w", i, err)
		}
		r.Cells[i] = MomentsCell{Levels: levelsOf(m.By, i), WithheldBy: c.withheld, Summary: summary}
		if c.withheld > 0 {
			r.WithheldCells++
		}
		all.n += c.n
		for k, s := range c.sums {
			all.sums[k].Coarse += s.Coarse
			all.sums[k].Fine += s.Fine
		}
	}
	if r.Pooled, err = m.summarize(all); err != nil {
		return MomentsResult{}, fmt.Errorf("pool moments: %w", err)
	}
	return r, nil
}

// resolution bounds the error of a central moment of z that stems from the
// fixed point: 15 terms of half a unit.
const resolution = 0x1p-60

// digits is the relative error that a reported shape may have.
const digits = 1e-8

// summarize computes the moments of one cell from its power sums.
//
// Source: central moments from raw ones, Kendall and Stuart, "The Advanced
// Theory of Statistics", volume 1, section 3.6; skewness and kurtosis as g1 and
// g2 of Joanes and Gill, The Statistician 47 (1998) 183-189.
func (m Moments) summarize(c pooledCell) (Summary, error) {
	s := Summary{N: c.n}
	if c.n == 0 {
		return s, nil
	}
	centre, scale := m.standard()
	z := centralMoments(c)
	if z.m2 < -resolution || z.m4 < -resolution {
		return Summary{}, ErrInconsistent
	}
	s.Mean = ptr(centre + scale*z.mean)
	if c.n == 1 {
		return s, nil
	}
	if z.m2 < resolution {
		z.m2 = 0
	}
	s.Variance = ptr(scale * scale * z.m2 * float64(c.n) / float64(c.n-1))
	s.SD = ptr(math.Sqrt(*s.Variance))
	if third := math.Pow(z.m2, 1.5); third*digits > resolution {
		s.Skewness = ptr(z.m3 / third)
	}
	if fourth := z.m2 * z.m2; fourth*digits > resolution {
		s.Kurtosis = ptr(z.m4/fourth - 3)
	}
	return s, nil
}

func ptr(v float64) *float64 { return &v }

// central holds the mean and the second to fourth central moment of z.
type central struct{ mean, m2, m3, m4 float64 }

// centralMoments works on integers until each moment is one fraction, because
// the terms that cancel may agree in all but their last digits. With the power
// sums S1 to S4:
//
//	n²·m2 = n·S2 − S1²
//	n³·m3 = n²·S3 − 3n·S1·S2 + 2·S1³
//	n⁴·m4 = n³·S4 − 4n²·S1·S3 + 6n·S1²·S2 − 3·S1⁴
func centralMoments(c pooledCell) central {
	n := big.NewInt(c.n)
	var s [powers]*big.Int
	for k := range s {
		// S_{k+1} in units of 2^-63(k+1), so that all products of one degree share a unit.
		s[k] = new(big.Int).Lsh(c.sums[k].units(), uint(63*k))
	}
	m2 := total(product(1, n, s[1]), product(-1, s[0], s[0]))
	m3 := total(product(1, n, n, s[2]), product(-3, n, s[0], s[1]), product(2, s[0], s[0], s[0]))
	m4 := total(product(1, n, n, n, s[3]), product(-4, n, n, s[0], s[2]),
		product(6, n, s[0], s[0], s[1]), product(-3, s[0], s[0], s[0], s[0]))
	return central{
		mean: quotient(s[0], 1, n),
		m2:   quotient(m2, 2, product(1, n, n)),
		m3:   quotient(m3, 3, product(1, n, n, n)),
		m4:   quotient(m4, 4, product(1, n, n, n, n)),
	}
}

func product(factor int64, values ...*big.Int) *big.Int {
	p := big.NewInt(factor)
	for _, v := range values {
		p.Mul(p, v)
	}
	return p
}

func total(terms ...*big.Int) *big.Int {
	s := new(big.Int)
	for _, t := range terms {
		s.Add(s, t)
	}
	return s
}

// quotient returns v·2^-63·degree / d, rounded once.
func quotient(v *big.Int, degree int, d *big.Int) float64 {
	q, _ := new(big.Rat).SetFrac(v, new(big.Int).Lsh(d, uint(63*degree))).Float64()
	return q
}
