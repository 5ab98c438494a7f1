// Package analysis computes statistics over many sites from each site's sums.
//
// Each method is one value and one file: [Count] and [Moments] hold the site's
// half (Tabulate), the pooling (Pool) and the source of the formula. Everything
// is a pure function: no storage, no clock, no identifier of a person. Between
// the halves the owner of the data decides what may leave: a [Table] does not
// print or marshal, and only [Encode] turns it into words. Methods of several
// sums, such as [GLM], are [Rounds] over a [Frame]; DESIGN.md has their contract.
//
// The words of a table are unsigned 64-bit integers in two's complement that are added
// modulo 2^64, so any additive masking may lie between Encode and Pool. Cells
// come in row-major order of the stratifiers, the last one fastest; each cell is
//
//	persons | sites that withheld | first sum, coarse | first sum, fine | …
//
// where coarse counts 2^-32 and fine 2^-63. The layout depends on the method's
// parameters only. No word overflows below [MaxPersons] persons in all.
package analysis

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math/bits"
)

// Limits of a question and of its answer.
const (
	MaxCells       = 10_000  // cells of one table
	MaxStratifiers = 8       // stratifiers of one table
	MaxName        = 128     // bytes of a stratifier's or level's name
	MaxPersons     = 1 << 30 // persons in one table, and in the sum over all sites
	MaxSites       = 10_000  // sites in one sum
)

// ErrInconsistent reports a pooled vector that no honest tables add up to: a
// site sent something else, or sites used different parameters. The answer must
// be discarded; which site it was cannot be told from a sum.
var ErrInconsistent = errors.New("the pooled sums contradict each other")

// Row is what a method sees of one person. It must not leave the site and
// does not print or marshal.
type Row struct {
	// Strata holds one level index per stratifier, in the method's order. It is
	// read before the next row is asked for and may be reused.
	Strata []int

	// Value is the measured value in the unit of the method's limits. It
	// counts only when HasValue.
	Value    float64
	HasValue bool
}

// Rows yields each person once. It ends after the first error.
type Rows = iter.Seq2[Row, error]

// Format hides the row.
func (Row) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "row:redacted") }

// MarshalJSON refuses.
func (Row) MarshalJSON() ([]byte, error) {
	return nil, errors.New("analysis: a Row must not leave the site")
}

// Stratifier splits persons into named levels. Every person has exactly one
// level: whoever may be unknown needs a level that says so.
type Stratifier struct {
	Name   string   `json:"name"`
	Levels []string `json:"levels"`
}

// validate checks names, uniqueness and the number of cells.
func validate(by []Stratifier) error {
	if len(by) > MaxStratifiers {
		return fmt.Errorf("%d stratifiers, at most %d", len(by), MaxStratifiers)
	}
	names := make(map[string]bool, len(by))
	cells := uint64(1)
	for i, s := range by {
		if s.Name == "" || len(s.Name) > MaxName || names[s.Name] {
			return fmt.Errorf("stratifier %d: the name must be unique, of 1 to %d bytes", i, MaxName)
		}
		names[s.Name] = true
		if len(s.Levels) == 0 {
			return fmt.Errorf("stratifier %d: no levels", i)
		}
		over, product := bits.Mul64(cells, uint64(len(s.Levels)))
		if over != 0 || product > MaxCells {
			return fmt.Errorf("more than %d cells", MaxCells)
		}
		cells = product
		levels := make(map[string]bool, len(s.Levels))
		for j, l := range s.Levels {
			if l == "" || len(l) > MaxName || levels[l] {
				return fmt.Errorf("stratifier %d, level %d: the name must be unique, of 1 to %d bytes", i, j, MaxName)
			}
			levels[l] = true
		}
	}
	return nil
}

// cellCount returns the size of the cross product: 1 without stratifiers.
func cellCount(by []Stratifier) int {
	n := 1
	for _, s := range by {
		n *= len(s.Levels)
	}
	return n
}

// cellOf returns the index of the cell that strata names.
func cellOf(by []Stratifier, strata []int) (int, error) {
	if len(strata) != len(by) {
		return 0, fmt.Errorf("%d strata for %d stratifiers", len(strata), len(by))
	}
	index := 0
	for i, s := range by {
		if strata[i] < 0 || strata[i] >= len(s.Levels) {
			return 0, fmt.Errorf("stratum %d is outside the levels", i)
		}
		index = index*len(s.Levels) + strata[i]
	}
	return index, nil
}

// levelsOf returns the level names of a cell, in the order of the stratifiers.
func levelsOf(by []Stratifier, cell int) []string {
	names := make([]string, len(by))
	for i := len(by) - 1; i >= 0; i-- {
		n := len(by[i].Levels)
		names[i] = by[i].Levels[cell%n]
		cell /= n
	}
	return names
}
