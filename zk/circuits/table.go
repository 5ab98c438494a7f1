package circuits

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// Cell is one value of a column: [Missing], or present with a value of 30 bits.
type Cell uint32

// Missing is the cell of a record without the value, and of an empty slot.
const Missing Cell = 0

// A cell is present(1) | value(30), most significant first; a word packs eight.
const (
	valueBits = 30
	cellBits  = valueBits + 1
	wordCells = wordBits / cellBits

	columnDepth = 4               // levels of the tree over the columns of a table
	columnBits  = 2 * columnDepth // of a column's number

	// MaxColumns is how many columns a table has.
	MaxColumns = 1 << columnBits
)

// Known returns the cell of a value below 2^30.
func Known(value uint32) (Cell, error) {
	if value >= 1<<valueBits {
		return Missing, errors.New("cell: the value has more than 30 bits")
	}
	return Cell(value) | 1<<valueBits, nil
}

// Value returns the value and whether there is one.
func (c Cell) Value() (uint32, bool) { return uint32(c) & (1<<valueBits - 1), c>>valueBits == 1 }

func (c Cell) validate() error {
	if c>>cellBits != 0 || c != Missing && c>>valueBits == 0 {
		return errors.New("cell is neither missing nor a value of 30 bits")
	}
	return nil
}

// Coding says how a column's numbers become cells: number − Offset. Numbers are
// whole, in the column's smallest unit, say a hundredth of a mmol/L or a day; with
// a negative Offset they may be negative. Codings are public, like column names.
type Coding struct{ Offset int64 }

// Cell returns the cell of a number, or an error if it does not fit in 30 bits.
func (c Coding) Cell(number int64) (Cell, error) {
	shifted := new(big.Int).Sub(big.NewInt(number), big.NewInt(c.Offset))
	if shifted.Sign() < 0 || shifted.BitLen() > valueBits {
		return Missing, errors.New("coding: the number does not fit in 30 bits above the column's offset")
	}
	return Known(uint32(shifted.Uint64()))
}

// Numbers converts sums over cells to sums over the numbers they stand for. With
// rounded or noised sums the result is as inexact as they are.
func (c Coding) Numbers(s Sums) Sums {
	offset := big.NewInt(c.Offset)
	shift := new(big.Int).Mul(s.Count, offset)
	sum := new(big.Int).Add(s.Sum, shift)
	// Σ(x+o)² = Σx² + 2o·Σx + n·o² = Σx² + o·(Σx + Σ(x+o))
	squares := new(big.Int).Add(s.Sum, sum)
	squares.Mul(squares, offset).Add(squares, s.Squares)
	return Sums{new(big.Int).Set(s.Count), sum, squares}
}

// Column is one variable over the slots of one shard. It neither prints nor marshals.
type Column struct {
	// Cells lists the slots in order; missing ones at the end are [Missing].
	Cells []Cell

	// Salt hides the cells: drawn once for each table, shard and column.
	Salt Element
}

// Table is one shard of a data set, its columns by number. It neither prints nor marshals.
type Table struct{ Columns []Column }

// Format hides the cells from logs.
func (Column) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "column:redacted") }

// MarshalJSON refuses.
func (Column) MarshalJSON() ([]byte, error) {
	return nil, errors.New("circuits: a column must not leave the node")
}

// Format hides the cells from logs.
func (Table) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "table:redacted") }

// MarshalJSON refuses.
func (Table) MarshalJSON() ([]byte, error) {
	return nil, errors.New("circuits: a table must not leave the node")
}

// DataRoot commits to a table: the root of the arity-4 tree over 256 salted column
// commitments. It goes to the ledger before any question about the table, one root
// a shard. Columns beyond the list are empty with salt 0.
func DataRoot(shardSize int, t Table) (Element, error) {
	open, err := t.open(shardSize)
	if err != nil {
		return Element{}, fmt.Errorf("data root: %w", err)
	}
	return fromField(open.root()), nil
}

// openTable is a table after checking.
type openTable struct {
	columns []openColumn
	levels  [columnDepth + 1][]fr.Element // commitments, then their parents, up to the root
}

type openColumn struct {
	cells []Cell // of all slots
	salt  fr.Element
}

func (t Table) open(shardSize int) (*openTable, error) {
	if err := (Shape{ShardSize: shardSize}).Epoch().Validate(); err != nil {
		return nil, err
	}
	if len(t.Columns) > MaxColumns {
		return nil, fmt.Errorf("%d columns, a table has up to %d", len(t.Columns), MaxColumns)
	}
	open := &openTable{columns: make([]openColumn, MaxColumns)}
	for n := range open.columns {
		if n >= len(t.Columns) {
			open.columns[n].cells = make([]Cell, shardSize)
			continue
		}
		var err error
		if open.columns[n], err = t.Columns[n].open(shardSize); err != nil {
			return nil, fmt.Errorf("column %d: %w", n, err)
		}
	}
	open.hash(len(t.Columns))
	return open, nil
}

// hash fills in the levels, of a table with so many columns that are not empty.
func (t *openTable) hash(columns int) {
	level := make([]fr.Element, 0, MaxColumns)
	for _, column := range t.columns[:columns] {
		level = append(level, column.commit())
	}
	if columns < MaxColumns {
		level = append(level, slices.Repeat([]fr.Element{t.columns[columns].commit()}, MaxColumns-columns)...)
	}
	for l := range t.levels {
		t.levels[l] = level
		level = parents(level)
	}
}

func (c Column) open(shardSize int) (openColumn, error) {
	open := openColumn{cells: make([]Cell, shardSize)}
	if len(c.Cells) > shardSize {
		return open, fmt.Errorf("%d cells in a shard of %d", len(c.Cells), shardSize)
	}
	for i, cell := range c.Cells {
		if err := cell.validate(); err != nil {
			return open, fmt.Errorf("slot %d: %w", i, err)
		}
	}
	copy(open.cells, c.Cells)
	var err error
	if open.salt, err = toField(c.Salt); err != nil {
		return open, fmt.Errorf("salt: %w", err)
	}
	if open.salt.IsZero() {
		return open, errors.New("salt is missing")
	}
	return open, nil
}

// words packs cell i into bits 31·(i%8) to 31·(i%8)+30 of element i/8.
func (c openColumn) words() []fr.Element {
	packed := make([]fr.Element, (len(c.cells)+wordCells-1)/wordCells)
	for w := range packed {
		sum := new(big.Int)
		for i, cell := range c.cells[w*wordCells : min(len(c.cells), (w+1)*wordCells)] {
			sum.Or(sum, new(big.Int).Lsh(big.NewInt(int64(cell)), uint(cellBits*i)))
		}
		packed[w].SetBigInt(sum)
	}
	return packed
}

// commit is sponge(34; salt, words).
func (c openColumn) commit() fr.Element {
	return sponge(TagColumn, append([]fr.Element{c.salt}, c.words()...))
}

func (t *openTable) root() fr.Element { return t.levels[columnDepth][0] }

// siblings returns, level by level, the four children among which the path from
// column n to the root passes.
func (t *openTable) siblings(n uint8) (path [columnDepth][width]fr.Element) {
	for l := range path {
		first := int(n) >> (2 * l) &^ 3
		path[l] = [width]fr.Element(t.levels[l][first : first+4])
	}
	return path
}

// parents returns the nodes above a level, none above the root. A node over the same
// children as its neighbor, as over empty columns, is not hashed again.
func parents(level []fr.Element) []fr.Element {
	above := make([]fr.Element, len(level)/4)
	for i := range above {
		if i > 0 && slices.Equal(level[4*i:4*i+4], level[4*i-4:4*i]) {
			above[i] = above[i-1]
			continue
		}
		above[i] = compress([width]fr.Element(level[4*i : 4*i+4]))
	}
	return above
}
