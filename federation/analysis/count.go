package analysis

import (
	"fmt"

	"gonum.org/v1/gonum/mathext"
)

// Count counts persons in every combination of the stratifiers' levels; without
// stratifiers, all of them.
type Count struct {
	By []Stratifier `json:"by,omitempty"`
}

// Validate checks the parameters against the package's limits.
func (m Count) Validate() error {
	if err := validate(m.By); err != nil {
		return fmt.Errorf("count: %w", err)
	}
	return nil
}

// Words returns the length of the encoded table.
func (m Count) Words() int { return cellCount(m.By) * wordsBefore }

// Tabulate is the site's half: it counts the rows. It fails on the first bad
// row, which it names by its index from 0.
func (m Count) Tabulate(rows Rows) (Table, error) {
	if err := m.Validate(); err != nil {
		return Table{}, err
	}
	cells := make([]Cell, cellCount(m.By))
	index := 0
	for row, err := range rows {
		if err != nil {
			return Table{}, fmt.Errorf("count: read row %d: %w", index, err)
		}
		i, err := cellOf(m.By, row.Strata)
		if err != nil {
			return Table{}, fmt.Errorf("count: row %d: %w", index, err)
		}
		cells[i].N++
		index++
	}
	return Table{Cells: cells}, nil
}

// CountResult is the pooled cross-tabulation.
type CountResult struct {
	Sites int         `json:"sites"` // sites that were added
	Cells []CountCell `json:"cells"` // row-major, the last stratifier fastest
	Total int64       `json:"total"` // persons in what the sites released

	// WithheldCells is the number of cells that at least one site kept back.
	WithheldCells int `json:"withheldCells"`

	// ChiSquared is set for two stratifiers when no site withheld a cell and
	// every row and column holds somebody.
	ChiSquared *ChiSquared `json:"chiSquared,omitempty"`
}

// CountCell is one cell. Where sites withheld it, N is what the others had.
type CountCell struct {
	Levels     []string `json:"levels"` // one per stratifier
	N          int64    `json:"n"`
	WithheldBy int      `json:"withheldBy"` // sites
}

// ChiSquared is Pearson's test of independence of rows and columns, without
// continuity correction. If sites rounded their counts it is that of the
// rounded table.
type ChiSquared struct {
	Statistic        float64 `json:"statistic"`
	DegreesOfFreedom int     `json:"degreesOfFreedom"`
	P                float64 `json:"p"` // upper tail
}

// Pool turns the sum of the words of sites sites into the result. An error that
// wraps [ErrInconsistent] says that some site did not follow the method.
func (m Count) Pool(sum []uint64, sites int) (CountResult, error) {
	if err := m.Validate(); err != nil {
		return CountResult{}, err
	}
	cells, err := decode(sum, cellCount(m.By), 0, sites, false)
	if err != nil {
		return CountResult{}, fmt.Errorf("pool count: %w", err)
	}
	r := CountResult{Sites: sites, Cells: make([]CountCell, len(cells))}
	for i, c := range cells {
		r.Cells[i] = CountCell{Levels: levelsOf(m.By, i), N: c.n, WithheldBy: c.withheld}
		r.Total += c.n
		if c.withheld > 0 {
			r.WithheldCells++
		}
	}
	if len(m.By) == 2 && r.WithheldCells == 0 {
		r.ChiSquared = chiSquared(cells, len(m.By[1].Levels))
	}
	return r, nil
}

// chiSquared is Σ (observed − expected)²/expected over a table of the given
// number of columns, where expected = row total · column total / total. It is
// nil for a single row or column, or an empty one.
//
// Source: Pearson (1900); Agresti, "An Introduction to Categorical Data
// Analysis", 2nd edition, section 2.4.
func chiSquared(cells []pooledCell, columns int) *ChiSquared {
	rows := len(cells) / columns
	row, column := make([]float64, rows), make([]float64, columns)
	var total float64
	for i, c := range cells {
		n := float64(c.n)
		row[i/columns] += n
		column[i%columns] += n
		total += n
	}
	var statistic float64
	for i, c := range cells {
		expected := row[i/columns] * column[i%columns] / total
		if !(expected > 0) { // also 0/0
			return nil
		}
		d := float64(c.n) - expected
		statistic += d * d / expected
	}
	df := (rows - 1) * (columns - 1)
	if df == 0 {
		return nil
	}
	return &ChiSquared{Statistic: statistic, DegreesOfFreedom: df, P: mathext.GammaIncRegComp(float64(df)/2, statistic/2)}
}
