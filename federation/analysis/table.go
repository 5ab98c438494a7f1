package analysis

import (
	"errors"
	"fmt"
	"io"
)

// wordsBefore is the number of words of a cell that are not sums.
const wordsBefore = 2

// Table is one site's half of an answer, before or after its release gate. It
// holds small cells and therefore does not print or marshal.
type Table struct {
	Cells []Cell

	// Blur returns a cell of so many persons whose sums on the grid are these, all with
	// noise; see [Cell.Grid]. It is nil if the method has no form for that.
	Blur func(n int64, grid []int64) Cell

	// Noise says that there is noise in the sums, which may then be larger than those of so
	// many persons.
	Noise bool
}

// Cell is what one site knows about one combination of levels.
type Cell struct {
	N    int64 // persons
	Sums []Sum // the method's sums; none for a count

	// Largest is the greatest share, 0 to 1, that one person's |value| has in
	// the cell's sum of |value|; 0 for a count and for an empty cell. It is for
	// the gate's dominance rule and is never encoded.
	Largest float64

	// Grid holds sums of numbers in units of 2^-GridPlaces, of which a person adds to
	// each 1 at most. It is for the gate's noise and is never encoded.
	Grid []int64

	Withheld bool // the gate keeps this cell back
}

// Format hides the table.
func (Table) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "table:redacted") }

// MarshalJSON refuses.
func (Table) MarshalJSON() ([]byte, error) {
	return nil, errors.New("analysis: a Table must not leave the site, encode what the gate released")
}

// Format hides the cell.
func (Cell) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "cell:redacted") }

// MarshalJSON refuses.
func (Cell) MarshalJSON() ([]byte, error) {
	return nil, errors.New("analysis: a Cell must not leave the site, encode what the gate released")
}

// Withhold returns the cell as one that was kept back: nothing of it is left
// but that it was.
func (c Cell) Withhold() Cell {
	return Cell{Sums: make([]Sum, len(c.Sums)), Withheld: true}
}

// Round returns the cell of a count with N rounded to the nearest multiple of
// base, halves upwards. A base of 0 or 1 changes nothing.
func (c Cell) Round(base int64) Cell {
	if base > 1 && c.N > 0 {
		c.N = (c.N + base/2) / base * base
	}
	return c
}

// Encode returns the table as words to be added over sites. A withheld cell
// must be empty ([Cell.Withhold]). It fails if the table holds more than
// [MaxPersons] persons or a sum that so few persons cannot have.
func Encode(t Table) ([]uint64, error) {
	if len(t.Cells) == 0 || len(t.Cells) > MaxCells {
		return nil, fmt.Errorf("encode table: %d cells, want 1 to %d", len(t.Cells), MaxCells)
	}
	sums := len(t.Cells[0].Sums)
	words := make([]uint64, 0, len(t.Cells)*(wordsBefore+2*sums))
	var persons int64
	for i, c := range t.Cells {
		if len(c.Sums) != sums {
			return nil, fmt.Errorf("encode table: cell %d has another number of sums than cell 0", i)
		}
		if c.N < 0 || c.N > MaxPersons-persons {
			return nil, fmt.Errorf("encode table: overflow: more than %d persons, or fewer than none, at cell %d", MaxPersons, i)
		}
		persons += c.N
		if c.Withheld && c.N != 0 {
			return nil, fmt.Errorf("encode table: cell %d is withheld but not empty", i)
		}
		words = append(words, uint64(c.N), flag(c.Withheld))
		for _, s := range c.Sums {
			if !s.fits(c.N + slack(t.Noise)) {
				return nil, fmt.Errorf("encode table: overflow: a sum of cell %d is larger than its persons allow", i)
			}
			words = append(words, uint64(s.Coarse), uint64(s.Fine))
		}
	}
	return words, nil
}

// slack is by how many persons' numbers noise may change a sum: more than it ever does.
func slack(noise bool) int64 {
	if noise {
		return MaxPersons / 2
	}
	return 0
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// pooledCell is one decoded cell of a sum over sites.
type pooledCell struct {
	n        int64
	withheld int
	sums     []Sum
}

// decode reads the sum of the words of several sites, with noise or without.
func decode(words []uint64, cells, sums, sites int, noise bool) ([]pooledCell, error) {
	if sites < 1 || sites > MaxSites {
		return nil, fmt.Errorf("%d sites, want 1 to %d", sites, MaxSites)
	}
	width := wordsBefore + 2*sums
	if len(words) != cells*width {
		return nil, fmt.Errorf("%d words, want %d", len(words), cells*width)
	}
	out := make([]pooledCell, cells)
	var persons uint64
	for i := range out {
		w := words[i*width : (i+1)*width]
		if w[0] > MaxPersons-persons || w[1] > uint64(sites) {
			return nil, fmt.Errorf("cell %d: %w", i, ErrInconsistent)
		}
		persons += w[0]
		c := pooledCell{n: int64(w[0]), withheld: int(w[1])}
		if c.n > 0 && c.withheld == sites {
			return nil, fmt.Errorf("cell %d: withheld everywhere but not empty: %w", i, ErrInconsistent)
		}
		for k := range sums {
			s := Sum{Coarse: int64(w[wordsBefore+2*k]), Fine: int64(w[wordsBefore+2*k+1])}
			if !s.fits(c.n + slack(noise)) {
				return nil, fmt.Errorf("cell %d: %w", i, ErrInconsistent)
			}
			c.sums = append(c.sums, s)
		}
		out[i] = c
	}
	return out, nil
}
