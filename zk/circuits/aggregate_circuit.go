package circuits

import (
	"math/bits"

	"github.com/consensys/gnark/frontend"
)

// aggregateCircuit constrains the totals of one shard; see DESIGN.md for the claim.
// It uses no hint except to split the public Plan, the words of columns and the
// differences of comparisons.
type aggregateCircuit struct {
	UsedCommitment frontend.Variable `gnark:",public"`
	Data           frontend.Variable `gnark:",public"`
	Plan           frontend.Variable `gnark:",public"`
	Totals         frontend.Variable `gnark:",public"`

	Used     []frontend.Variable
	UsedSalt frontend.Variable
	Columns  []tableColumn // group, values, conditions
	Salt     frontend.Variable

	tally Tally
}

// tableColumn opens one column of a table. Path is as in accessColumn.
type tableColumn struct {
	Words []frontend.Variable
	Salt  frontend.Variable
	Path  [columnDepth][width]frontend.Variable
}

func newAggregateCircuit(t Tally) *aggregateCircuit {
	c := &aggregateCircuit{
		Used:    make([]frontend.Variable, t.ShardSize),
		Columns: make([]tableColumn, 1+t.Values+t.Conditions),
		tally:   t,
	}
	for n := range c.Columns {
		c.Columns[n].Words = make([]frontend.Variable, (t.ShardSize+wordCells-1)/wordCells)
	}
	return c
}

// cell is one cell of an opened column: its bits are 0 or 1.
type cell struct {
	present frontend.Variable
	value   frontend.Variable   // not 0 for some missing cells of a careless node: take known
	bits    []frontend.Variable // of the value
}

// known is the value, or 0 if it is missing.
func (c cell) known(g gadget) frontend.Variable { return g.Mul(c.present, c.value) }

// Define writes down the constraints.
func (c *aggregateCircuit) Define(api frontend.API) error {
	g, err := newGadget(api)
	if err != nil {
		return err
	}
	t := c.tally
	plan := g.ToBinary(c.Plan, t.planBits())
	next := func(n int) []frontend.Variable {
		field := plan[:n]
		plan = plan[n:]
		return field
	}
	open := func(n int) []cell {
		root, cells := c.Columns[n].open(g, next(columnBits), t.ShardSize)
		g.AssertIsEqual(c.Data, root)
		return cells
	}
	for _, used := range c.Used {
		g.AssertIsBoolean(used)
	}
	g.AssertIsEqual(c.UsedCommitment, g.commitBitmap(c.UsedSalt, c.Used))

	group := open(0)
	values := make([][]cell, t.Values)
	for v := range values {
		values[v] = open(1 + v)
	}
	// Selection is forced: the bitmap, and every condition, and a known group.
	selected := append([]frontend.Variable(nil), c.Used...)
	for n := range t.Conditions {
		column := open(1 + t.Values + n)
		lo, hi := g.pack(next(valueBits)), g.pack(next(valueBits))
		for i, cell := range column {
			above, below := g.bothAtMost(lo, cell.value, cell.value, hi)
			selected[i] = g.Mul(selected[i], cell.present, above, below)
		}
	}
	terms := make([][]frontend.Variable, t.Cells())
	var excess []frontend.Variable
	for i := range selected {
		members, tooHigh := g.members(g.Mul(selected[i], group[i].present), group[i].bits, t.Groups)
		excess = append(excess, tooHigh...)
		for v, column := range values {
			x := column[i].known(g)
			figures := g.Add(column[i].present, g.Mul(x, figureUnits[1]), g.Mul(x, x, figureUnits[2]))
			for n, member := range members {
				at := n*t.Values + v
				terms[at] = append(terms[at], g.Mul(member, figures))
			}
		}
	}
	// The digits above the groups are bits, so their sum is 0 only if each is.
	g.AssertIsEqual(g.sum(excess), 0)
	totals := []frontend.Variable{c.Salt}
	for _, cell := range terms {
		totals = append(totals, g.sum(cell))
	}
	g.AssertIsEqual(c.Totals, g.sponge(TagTotals, totals))
	return nil
}

// open returns the root above a column at the given number, and its cells.
func (c tableColumn) open(g gadget, number []frontend.Variable, shardSize int) (frontend.Variable, []cell) {
	cells := make([]cell, 0, shardSize)
	for _, word := range c.Words {
		digits := g.ToBinary(word, cellBits*min(wordCells, shardSize-len(cells)))
		for ; len(digits) > 0; digits = digits[cellBits:] {
			value := digits[:valueBits]
			cells = append(cells, cell{digits[valueBits], g.pack(value), value})
		}
	}
	commitment := g.sponge(TagColumn, append([]frontend.Variable{c.Salt}, c.Words...))
	return g.climb(commitment, number, c.Path[:]), cells
}

// members returns, group by group, whether a selected record is in it, and the digits
// of its group number that must be 0. Each record is in one group: the indicators
// are products of digits and of their complements.
func (g gadget) members(selected frontend.Variable, digits []frontend.Variable, groups int) (members, tooHigh []frontend.Variable) {
	members = []frontend.Variable{selected}
	low := bits.Len(uint(groups)) - 1
	for _, digit := range digits[:low] {
		var set []frontend.Variable
		for n, member := range members {
			with := g.Mul(member, digit)
			set = append(set, with)
			members[n] = g.Sub(member, with)
		}
		members = append(members, set...)
	}
	return members, digits[low:]
}
