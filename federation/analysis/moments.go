package analysis

import (
	"errors"
	"fmt"
	"math"
	"math/big"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// sums is the number of sums of a cell: Σz, and Σz² as two, see [fixed.square].
const sums = 3

// Moments describes a value in every combination of the stratifiers' levels and
// over all of them. Persons without a value are left out.
//
// Low and High are the plausible range of the value, in its own unit, with
// Low < High; the request fixes them, so that they say nothing about a site. Sites
// add up z and z², where z is the value over the smallest power of two that the
// range does not exceed. Whoever asks must not be able to choose where numbers are
// rounded: a range so wide that a person's z is rounded to one unit or to none
// would make the sum a count of those above a value. So the power of two is at most
// 2^30, which leaves 2^-33 of the value's unit, scaling changes no digit, and
// squares are not rounded at all.
type Moments struct {
	By   []Stratifier `json:"by,omitempty"`
	Low  float64      `json:"low"`
	High float64      `json:"high"`

	// Noise says of sums that are pooled that there may be noise in them.
	Noise bool `json:"-"`
}

// Validate checks the parameters against the package's limits.
func (m Moments) Validate() error {
	if err := validate(m.By); err != nil {
		return fmt.Errorf("moments: %w", err)
	}
	if !(m.Low < m.High) || !query.Scalable(m.Low, m.High) {
		return errors.New("moments: the plausible range must have low below high, and the larger within 2^-30 to 2^30")
	}
	return nil
}

// Words returns the length of the encoded table.
func (m Moments) Words() int { return cellCount(m.By) * (wordsBefore + 2*sums) }

// scale returns the smallest power of two that no value in the range exceeds.
func (m Moments) scale() float64 {
	return powerOfTwo(max(math.Abs(m.Low), math.Abs(m.High)))
}

// Tabulate is the site's half: the sums of the scaled values and of their squares. It
// fails on the first bad row, which it names by its index from 0: NaN, infinity
// and values outside the plausible range are the caller's to keep out.
func (m Moments) Tabulate(rows Rows) (Table, error) {
	if err := m.Validate(); err != nil {
		return Table{}, err
	}
	scale := m.scale()
	cells := make([]Cell, cellCount(m.By))
	for i := range cells {
		cells[i].Sums, cells[i].Grid = make([]Sum, sums), make([]int64, gridSums)
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
		cells[i].addValue(row.Value / scale)
		cells[i].addToGrid(m.column(), row.Value)
		total[i] += math.Abs(row.Value)
		largest[i] = max(largest[i], math.Abs(row.Value))
	}
	for i := range cells {
		if total[i] > 0 {
			cells[i].Largest = largest[i] / total[i]
		}
	}
	return Table{Cells: cells, Blur: m.blur}, nil
}

// addValue adds one person's scaled value.
func (c *Cell) addValue(z float64) {
	exact := toFixed(z)
	high, low := exact.square()
	c.N++
	c.Sums[0].add(exact, z < 0)
	c.Sums[1].add(high, false)
	c.Sums[2].add(low, false)
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
// is nil: the mean of none, the variance of one.
type Summary struct {
	N        int64    `json:"n"`
	Mean     *float64 `json:"mean,omitempty"`
	Variance *float64 `json:"variance,omitempty"` // divided by N − 1
	SD       *float64 `json:"sd,omitempty"`
}

// Pool turns the sum of the words of sites sites into the result. An error that
// wraps [ErrInconsistent] says that some site did not follow the method.
func (m Moments) Pool(sum []uint64, sites int) (MomentsResult, error) {
	if err := m.Validate(); err != nil {
		return MomentsResult{}, err
	}
	cells, err := decode(sum, cellCount(m.By), sums, sites, m.Noise)
	if err != nil {
		return MomentsResult{}, fmt.Errorf("pool moments: %w", err)
	}
	r := MomentsResult{Sites: sites, Cells: make([]MomentsCell, len(cells))}
	all := pooledCell{sums: make([]Sum, sums)}
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

// summarize computes the moments of one cell from its sums, on integers until each
// is one fraction, because the terms that cancel may agree in all but their last
// digits: n²·m2 = n·Σz² − (Σz)².
func (m Moments) summarize(c pooledCell) (Summary, error) {
	s := Summary{N: c.n}
	if c.n == 0 {
		return s, nil
	}
	scale, n := m.scale(), big.NewInt(c.n)
	first := c.sums[0].units()
	second := new(big.Int).Lsh(c.sums[1].units(), 63) // in units of 2^-126
	second.Add(second, c.sums[2].units())
	spread := new(big.Int).Mul(n, second)
	spread.Sub(spread, new(big.Int).Mul(first, first))
	if spread.Sign() < 0 && !m.Noise {
		return Summary{}, ErrInconsistent
	}
	s.Mean = ptr(scale * quotient(first, 63, n))
	if m.Noise {
		s.Mean = ptr(max(m.Low, min(m.High, *s.Mean)))
	}
	if c.n == 1 || spread.Sign() < 0 {
		return s, nil
	}
	s.Variance = ptr(scale * scale * quotient(spread, 126, new(big.Int).Mul(n, big.NewInt(c.n-1))))
	s.SD = ptr(math.Sqrt(*s.Variance))
	return s, nil
}

func ptr(v float64) *float64 { return &v }

// quotient returns v·2^-places / d, rounded once.
func quotient(v *big.Int, places uint, d *big.Int) float64 {
	q, _ := new(big.Rat).SetFrac(v, new(big.Int).Lsh(d, places)).Float64()
	return q
}
