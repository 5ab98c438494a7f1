package analysis

import "fmt"

// Suppress empties the cells of a pooled vector to which fewer than minSites of
// the sites gave a number, and reports per cell whether it did and how many
// sites had withheld it. A sum over two sites would show each the other's
// number. The vector is changed in place, so that no total holds what is hidden.
func Suppress(m Method, cells int, sum []uint64, sites, minSites int) ([]int, []bool, error) {
	if cells <= 0 || len(sum) != m.Words() || len(sum)%cells != 0 {
		return nil, nil, fmt.Errorf("suppress cells: %d words in %d cells, want %d words", len(sum), cells, m.Words())
	}
	width := len(sum) / cells
	withheldBy, suppressed := make([]int, cells), make([]bool, cells)
	for i := range cells {
		cell := sum[i*width : (i+1)*width]
		if cell[1] > uint64(sites) {
			return nil, nil, fmt.Errorf("suppress cells: cell %d: %w", i, ErrInconsistent)
		}
		withheldBy[i] = int(cell[1])
		if sites-withheldBy[i] >= minSites {
			continue
		}
		suppressed[i] = true
		clear(cell)
		cell[1] = uint64(sites)
	}
	return withheldBy, suppressed, nil
}
