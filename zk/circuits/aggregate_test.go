package circuits

import (
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"
)

// tinyTally tells two arms apart and sums two columns under one condition. A word has
// cells of several slots, and there is a column that no plan names.
var tinyTally = Tally{ShardSize: 4, Shards: 2, Groups: 2, Values: 2, Conditions: 1}

// The columns of tinyTable.
const (
	armColumn = iota
	eventColumn
	daysColumn
	ageColumn
	spareColumn
)

func known(t testing.TB, values ...uint32) []Cell {
	t.Helper()
	cells := make([]Cell, len(values))
	for i, v := range values {
		var err error
		cells[i], err = Known(v)
		require.NoError(t, err)
	}
	return cells
}

func tableOf(columns ...[]Cell) Table {
	var t Table
	for n, cells := range columns {
		t.Columns = append(t.Columns, Column{cells, secret("column", n)})
	}
	return t
}

// tinyTable has four records: two in arm 0, two in arm 1, one of which has unknown days.
func tinyTable(t testing.TB) Table {
	days := known(t, 100, 200, 300, 0)
	days[3] = Missing
	return tableOf(known(t, 0, 1, 0, 1), known(t, 1, 0, 1, 1), days, known(t, 40, 50, 60, 70), known(t, 9, 9, 9, 9))
}

// tinyAggregate asks for events and person-time by arm, of those aged 18 to 65, and
// used all records but the second.
func tinyAggregate(t testing.TB) AggregateWitness {
	return AggregateWitness{
		Used: []int{0, 2, 3}, UsedSalt: secret("used", 0), Table: tinyTable(t),
		Plan: Plan{Group: armColumn, Values: []uint8{eventColumn, daysColumn}, Conditions: []Condition{{ageColumn, 18, 65}}},
		Salt: secret("totals", 0),
	}
}

func assignAggregate(t testing.TB, w AggregateWitness) *aggregateCircuit {
	t.Helper()
	a, _, err := w.Assign(tinyTally.Aggregate())
	require.NoError(t, err)
	return a.(*aggregateCircuit)
}

func (c *aggregateCircuit) inputs() map[string]*frontend.Variable {
	inputs := map[string]*frontend.Variable{
		"used": &c.UsedCommitment, "data": &c.Data, "plan": &c.Plan, "totals": &c.Totals, "used salt": &c.UsedSalt, "salt": &c.Salt,
	}
	for i := range c.Used {
		inputs[fmt.Sprint("used ", i)] = &c.Used[i]
	}
	for n := range c.Columns {
		column := &c.Columns[n]
		inputs[fmt.Sprint("column salt ", n)] = &column.Salt
		for i := range column.Words {
			inputs[fmt.Sprint("word ", n, i)] = &column.Words[i]
		}
		for l := range column.Path {
			for i := range column.Path[l] {
				inputs[fmt.Sprint("path ", n, l, i)] = &column.Path[l][i]
			}
		}
	}
	return inputs
}

// claim replaces the totals of one cell by any figures and keeps the published
// commitment true to them.
func (c *aggregateCircuit) claim(t testing.TB, w AggregateWitness, change func(cells []Sums)) {
	t.Helper()
	sums, err := w.Sums(tinyTally.Aggregate())
	require.NoError(t, err)
	change(sums)
	packed := []fr.Element{c.Salt.(fr.Element)}
	for _, cell := range sums {
		total := new(big.Int)
		for n, figure := range cell.figures() {
			total.Add(total, new(big.Int).Mul(figure, figureUnits[n]))
		}
		var x fr.Element
		packed = append(packed, *x.SetBigInt(total))
	}
	c.Totals = sponge(TagTotals, packed)
}

func ints(sums []Sums) (all [][3]int64) {
	for _, s := range sums {
		all = append(all, [3]int64{s.Count.Int64(), s.Sum.Int64(), s.Squares.Int64()})
	}
	return all
}

func TestAggregateCountsEventsAndPersonTimeByArm(t *testing.T) {
	t.Parallel()
	w := tinyAggregate(t)
	sums, err := w.Sums(tinyTally.Aggregate())
	require.NoError(t, err)
	require.Equal(t, [][3]int64{{2, 2, 2}, {2, 400, 100000}, {0, 0, 0}, {0, 0, 0}}, ints(sums), "arm 1 is too old or not used")
	require.NoError(t, solveAs(t, tinyTally.Aggregate(), assignAggregate(t, w)))

	w.Plan.Conditions[0].Hi = 70
	sums, err = w.Sums(tinyTally.Aggregate())
	require.NoError(t, err)
	require.Equal(t, [][3]int64{{2, 2, 2}, {2, 400, 100000}, {1, 1, 1}, {0, 0, 0}}, ints(sums), "the bound is included, missing days are not counted")
	require.NoError(t, solveAs(t, tinyTally.Aggregate(), assignAggregate(t, w)))

	w.Used = nil
	require.NoError(t, solveAs(t, tinyTally.Aggregate(), assignAggregate(t, w)), "nobody used")
	w.Table = Table{}
	require.NoError(t, solveAs(t, tinyTally.Aggregate(), assignAggregate(t, w)), "no columns: all are missing")
}

func TestAggregateRefusesAnyChangedInput(t *testing.T) {
	t.Parallel()
	c := assignAggregate(t, tinyAggregate(t))
	refuseAnyChange(t, tinyTally.Aggregate(), c, c.inputs())
}

// Pitfall 4: the selection is forced, so the totals have one value.
func TestAggregateRefusesOtherTotals(t *testing.T) {
	t.Parallel()
	add := func(figure *big.Int, n int64) { figure.Add(figure, big.NewInt(n)) }
	for name, change := range map[string]func([]Sums){
		"a count more":             func(s []Sums) { add(s[0].Count, 1) },
		"a count less":             func(s []Sums) { add(s[1].Count, -1) },
		"a sum more":               func(s []Sums) { add(s[1].Sum, 1) },
		"a sum less":               func(s []Sums) { add(s[0].Sum, -1) },
		"squares more":             func(s []Sums) { add(s[1].Squares, 1) },
		"squares less":             func(s []Sums) { add(s[0].Squares, -1) },
		"a dropped row":            func(s []Sums) { s[0], s[1] = Sums{big.NewInt(1), big.NewInt(1), big.NewInt(1)}, newSums(1)[0] },
		"a row out of range":       func(s []Sums) { s[2] = Sums{big.NewInt(1), big.NewInt(1), big.NewInt(1)} },
		"a row that was not used":  func(s []Sums) { add(s[2].Count, 1) },
		"the arms exchanged":       func(s []Sums) { s[0], s[1], s[2], s[3] = s[2], s[3], s[0], s[1] },
		"the columns exchanged":    func(s []Sums) { s[0], s[1] = s[1], s[0] },
		"a carry across figures":   func(s []Sums) { add(s[0].Count, 1<<totalCountBits); add(s[0].Sum, -1) },
		"a negative in the field":  func(s []Sums) { add(s[2].Count, -1) },
		"missing counted as 0":     func(s []Sums) { add(s[3].Count, 1) },
		"nothing in all the cells": func(s []Sums) { copy(s, newSums(len(s))) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyAggregate(t)
			c := assignAggregate(t, w)
			honest := c.Totals
			c.claim(t, w, func([]Sums) {})
			require.NoError(t, solveAs(t, tinyTally.Aggregate(), c))
			c.claim(t, w, change)
			if name == "a carry across figures" {
				var x fr.Element
				x.SetBytes(honest.([]byte))
				require.Equal(t, x, c.Totals, "the same packed number, so the same statement")
				return
			}
			require.Error(t, solveAs(t, tinyTally.Aggregate(), c))
		})
	}
}

// The bitmap must be the one that the cover proof has: its bits are the only ones
// that pack to the committed word.
func TestAggregateRefusesAnotherBitmap(t *testing.T) {
	t.Parallel()
	w := tinyAggregate(t)
	fewer := w
	fewer.Used = []int{0}
	c := assignAggregate(t, fewer)
	require.NoError(t, solveAs(t, tinyTally.Aggregate(), c), "true of another bitmap,")
	c.UsedCommitment = assignAggregate(t, w).UsedCommitment
	require.Error(t, solveAs(t, tinyTally.Aggregate(), c), "but not of the one that covers")

	// Slot 0 twice and slot 1 not: 2 + 2·0 packs as slot 1 alone does.
	w.Used = []int{1}
	w.Table.Columns[ageColumn].Cells = known(t, 40, 70, 60, 70)
	c = assignAggregate(t, w)
	require.NoError(t, solveAs(t, tinyTally.Aggregate(), c))
	c.Used[0], c.Used[1] = 2, 0
	c.claim(t, w, func(s []Sums) {
		s[0] = Sums{big.NewInt(2), big.NewInt(2), big.NewInt(2)}
		s[1] = Sums{big.NewInt(2), big.NewInt(200), big.NewInt(20000)}
	})
	require.Error(t, solveAs(t, tinyTally.Aggregate(), c))
}

// Pitfall 5: the columns are those on the ledger before the question.
func TestAggregateRefusesColumnsOfAnotherVersion(t *testing.T) {
	t.Parallel()
	later := tinyAggregate(t)
	later.Table.Columns[eventColumn].Cells = known(t, 0, 0, 0, 0)
	now, before := assignAggregate(t, later), assignAggregate(t, tinyAggregate(t))
	require.NoError(t, solveAs(t, tinyTally.Aggregate(), now))
	now.Data = before.Data
	require.Error(t, solveAs(t, tinyTally.Aggregate(), now), "all columns of the later version")

	mixed := assignAggregate(t, tinyAggregate(t))
	mixed.Columns[0] = assignAggregate(t, later).Columns[0]
	require.Error(t, solveAs(t, tinyTally.Aggregate(), mixed), "one column of each")
}

func TestAggregateRefusesTheColumnOfAnotherNumber(t *testing.T) {
	t.Parallel()
	asked := tinyAggregate(t)
	for n := range asked.Plan.columns() {
		t.Run(fmt.Sprint("column ", n), func(t *testing.T) {
			t.Parallel()
			w := tinyAggregate(t)
			if n == 3 {
				w.Plan.Conditions[0].Column = spareColumn
			} else if n > 0 {
				w.Plan.Values[n-1] = spareColumn
			} else {
				w.Plan.Group = eventColumn
			}
			c := assignAggregate(t, w)
			require.NoError(t, solveAs(t, tinyTally.Aggregate(), c))
			c.Plan = assignAggregate(t, tinyAggregate(t)).Plan
			require.Error(t, solveAs(t, tinyTally.Aggregate(), c))
		})
	}
}

// A group beyond those of the circuit would otherwise fall on one of them.
func TestAggregateRefusesAGroupBeyondTheLast(t *testing.T) {
	t.Parallel()
	w := tinyAggregate(t)
	w.Table.Columns[armColumn].Cells = known(t, 2, 1, 0, 1)
	_, err := w.Public(tinyTally.Aggregate())
	require.EqualError(t, err, "aggregate: slot 0: the group is not below 2")

	// By hand: group 2 has the lowest digit of group 0, and the totals are as if it were.
	c := assignAggregate(t, tinyAggregate(t))
	c.reopen(w.mustOpen(t), w.Plan)
	require.Error(t, solveAs(t, tinyTally.Aggregate(), c))
}

// reopen replaces the columns by those of a table that native code may refuse.
func (c *aggregateCircuit) reopen(table *openTable, plan Plan) {
	c.Data = table.root()
	for n, number := range plan.columns() {
		c.Columns[n].assign(table, number)
	}
}

// A node may commit a missing cell that has digits. They count for nothing, wherever
// they are: a missing age of 40 is no age, missing days are no days, no arm is no arm.
func TestAggregateCountsNothingOfAMissingCell(t *testing.T) {
	t.Parallel()
	add := func(figure *big.Int, n int64) { figure.Add(figure, big.NewInt(n)) }
	for name, c := range map[string]struct {
		column int
		slot   int
		digits Cell
		claim  func(s []Sums)
	}{
		"days": {daysColumn, 3, 7, func(s []Sums) { add(s[3].Sum, 7); add(s[3].Squares, 49) }},
		"age":  {ageColumn, 0, 40, func(s []Sums) { s[0], s[1] = sums(2, 2, 2), sums(2, 400, 100000) }},
		"arm":  {armColumn, 2, 1, func(s []Sums) { s[2], s[3] = sums(2, 2, 2), sums(1, 300, 90000) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyAggregate(t)
			w.Plan.Conditions[0].Hi = 70
			w.Table.Columns[c.column].Cells[c.slot] = Missing
			table := w.mustOpen(t)
			table.columns[c.column].cells[c.slot] = c.digits
			table.hash(len(w.Table.Columns))
			a := assignAggregate(t, w)
			require.NoError(t, solveAs(t, tinyTally.Aggregate(), a))
			a.reopen(table, w.Plan)
			require.NoError(t, solveAs(t, tinyTally.Aggregate(), a), "the same totals as without the digits")
			a.claim(t, w, func(s []Sums) { c.claim(s) })
			require.Error(t, solveAs(t, tinyTally.Aggregate(), a))
		})
	}
}

func (w AggregateWitness) mustOpen(t testing.TB) *openTable {
	t.Helper()
	open, err := w.Table.open(tinyTally.ShardSize)
	require.NoError(t, err)
	return open
}

// nBits answers as the library does and then lets a liar change the digits.
func nBits(lie func(input *big.Int, digits []*big.Int)) solver.Hint {
	return func(q *big.Int, inputs, outputs []*big.Int) error {
		for i := range outputs {
			outputs[i].SetUint64(uint64(inputs[0].Bit(i)))
		}
		lie(inputs[0], outputs)
		for _, digit := range outputs {
			digit.Mod(digit, q)
		}
		return nil
	}
}

// Pitfall 2: a word of a column has a second reading in which the presence of one cell is
// 3 and the next cell is one less. The totals are those of that reading.
func TestAggregateRefusesASecondDecompositionOfAColumn(t *testing.T) {
	t.Parallel()
	w := tinyAggregate(t)
	w.Used = []int{0, 1}
	c := assignAggregate(t, w)
	require.NoError(t, solveAs(t, tinyTally.Aggregate(), c))
	word := w.mustOpen(t).columns[daysColumn].words()[0].BigInt(new(big.Int))
	lied := false
	lie := nBits(func(input *big.Int, digits []*big.Int) {
		if len(digits) == cellBits*tinyTally.ShardSize && input.Cmp(word) == 0 {
			digits[cellBits-1].Add(digits[cellBits-1], big.NewInt(2))
			digits[cellBits].Sub(digits[cellBits], big.NewInt(1))
			lied = true
		}
	})
	c.claim(t, w, func(s []Sums) {
		s[1] = Sums{big.NewInt(3), big.NewInt(300), big.NewInt(90000)}
		s[3] = Sums{big.NewInt(1), big.NewInt(199), big.NewInt(199 * 199)}
	})
	require.Error(t, solveAs(t, tinyTally.Aggregate(), c, solver.OverrideHint(hintID(t, "nBits"), lie)))
	require.True(t, lied)
}

// Pitfall 11: the prover sets the carry that says "below the bound" of a record that
// is too old and pays with the digit below.
func TestAggregateRefusesAForgedCondition(t *testing.T) {
	t.Parallel()
	w := tinyAggregate(t)
	c := assignAggregate(t, w)
	lied := false
	lie := nBits(func(_ *big.Int, digits []*big.Int) {
		if last := comparisonBits - 1; len(digits) == comparisonBits && digits[last].Sign() == 0 {
			digits[last].SetUint64(1)
			digits[last-1].Sub(digits[last-1], big.NewInt(2))
			lied = true
		}
	})
	c.claim(t, w, func(s []Sums) { s[2] = Sums{big.NewInt(1), big.NewInt(1), big.NewInt(1)} })
	require.Error(t, solveAs(t, tinyTally.Aggregate(), c, solver.OverrideHint(hintID(t, "nBits"), lie)))
	require.True(t, lied)
}

// The public plan splits in one way: a bound one higher would take 2^30 from the lower one,
// which is then below 0 and still in the comparison's range. A record of 70 is let in.
func TestAggregateRefusesAnotherSplitOfThePlan(t *testing.T) {
	t.Parallel()
	w := tinyAggregate(t)
	w.Plan.Conditions[0].Hi = 69
	c := assignAggregate(t, w)
	bits := tinyTally.planBits()
	lied := false
	lie := nBits(func(_ *big.Int, digits []*big.Int) {
		if len(digits) != bits {
			return
		}
		hi, lo := digits[bits-valueBits:], digits[bits-2*valueBits:bits-valueBits]
		hi[0].Add(hi[0], big.NewInt(1))
		lo[valueBits-1].Sub(lo[valueBits-1], big.NewInt(2))
		lied = true
	})
	c.claim(t, w, func(s []Sums) { s[2] = Sums{big.NewInt(1), big.NewInt(1), big.NewInt(1)} })
	require.Error(t, solveAs(t, tinyTally.Aggregate(), c, solver.OverrideHint(hintID(t, "nBits"), lie)))
	require.True(t, lied)
}

func TestAggregateRefusesAPlanBeyondItsFields(t *testing.T) {
	t.Parallel()
	c := assignAggregate(t, tinyAggregate(t))
	var x, beyond fr.Element
	x.SetBytes(c.Plan.([]byte))
	beyond.SetBigInt(new(big.Int).Lsh(big.NewInt(1), uint(tinyTally.planBits())))
	c.Plan = *x.Add(&x, &beyond)
	require.Error(t, solveAs(t, tinyTally.Aggregate(), c))
}

// One shard holds every combination of what a record may be: used or not, of each arm or
// none, at each end of the range or without the value, with days or without.
func TestAggregateCircuitAgreesWithNativeCode(t *testing.T) {
	t.Parallel()
	const most = 1<<valueBits - 1
	circuit := Tally{ShardSize: 64, Groups: 2, Values: 1, Conditions: 1}.Aggregate()
	at := func(v uint32) Cell { return Cell(v) | 1<<valueBits }
	var arms, days, ages []Cell
	w := tinyAggregate(t)
	w.Used = nil
	for _, arm := range []Cell{Missing, at(0), at(1)} {
		for _, age := range []Cell{Missing, at(0), at(17), at(18), at(65), at(66), at(most)} {
			for _, day := range []Cell{Missing, at(0), at(most)} {
				if len(arms)%5 != 0 {
					w.Used = append(w.Used, len(arms))
				}
				arms, days, ages = append(arms, arm), append(days, day), append(ages, age)
			}
		}
	}
	w.Table, w.Plan.Values = tableOf(arms, nil, days, ages), []uint8{daysColumn}
	for _, bounds := range [][2]uint32{{18, 65}, {0, most}, {65, 65}, {most, most}} {
		w.Plan.Conditions[0].Lo, w.Plan.Conditions[0].Hi = bounds[0], bounds[1]
		assignment, _, err := w.Assign(circuit)
		require.NoError(t, err)
		require.NoError(t, solveAs(t, circuit, assignment))
	}
}

func TestAggregateWitnessIsCheckedNatively(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*AggregateWitness)
		want   string
	}{
		"values missing":    {func(w *AggregateWitness) { w.Plan.Values = nil }, "aggregate: plan: 0 values and 1 conditions, the circuit has 2 and 1"},
		"condition missing": {func(w *AggregateWitness) { w.Plan.Conditions = nil }, "aggregate: plan: 2 values and 0 conditions, the circuit has 2 and 1"},
		"range reversed":    {func(w *AggregateWitness) { w.Plan.Conditions[0].Hi = 1 }, "aggregate: plan: condition 0: the range is reversed or has more than 30 bits"},
		"range too wide":    {func(w *AggregateWitness) { w.Plan.Conditions[0].Hi = 1 << 30 }, "aggregate: plan: condition 0: the range is reversed or has more than 30 bits"},
		"no salt":           {func(w *AggregateWitness) { w.Salt = Element{} }, "aggregate: salt is missing"},
		"no used salt":      {func(w *AggregateWitness) { w.UsedSalt = Element{} }, "aggregate: used salt is missing"},
		"salt unreduced":    {func(w *AggregateWitness) { w.Salt = modulus() }, "aggregate: salt: not a canonical field element"},
		"slot outside":      {func(w *AggregateWitness) { w.Used = []int{4} }, "aggregate: slot 4 is not in a shard of 4"},
		"too many cells":    {func(w *AggregateWitness) { w.Table.Columns[2].Cells = make([]Cell, 5) }, "aggregate: column 2: 5 cells in a shard of 4"},
		"too many columns":  {func(w *AggregateWitness) { w.Table.Columns = make([]Column, 257) }, "aggregate: 257 columns, a table has up to 256"},
		"cell too wide":     {func(w *AggregateWitness) { w.Table.Columns[2].Cells[1] = 1 << 31 }, "aggregate: column 2: slot 1: cell is neither missing nor a value of 30 bits"},
		"absent but valued": {func(w *AggregateWitness) { w.Table.Columns[4].Cells[1] = 7 }, "aggregate: column 4: slot 1: cell is neither missing nor a value of 30 bits"},
		"no column salt":    {func(w *AggregateWitness) { w.Table.Columns[4].Salt = Element{} }, "aggregate: column 4: salt is missing"},
		"column salt":       {func(w *AggregateWitness) { w.Table.Columns[4].Salt = modulus() }, "aggregate: column 4: salt: not a canonical field element"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyAggregate(t)
			c.change(&w)
			_, err := w.Public(tinyTally.Aggregate())
			require.EqualError(t, err, c.want)
		})
	}
	_, err := tinyAggregate(t).Public(tinyTally.Release())
	require.EqualError(t, err, "aggregate: plan: circuit release-2x2x2 is of another kind")
	_, err = DataRoot(5, Table{})
	require.ErrorContains(t, err, "data root: shape: shard size 5")
}

func TestCoding(t *testing.T) {
	t.Parallel()
	celsius := Coding{Offset: -500} // tenths of a degree from −50.0 on
	numbers, s := []int64{-12, 370, 0}, newSums(1)[0]
	var sum, squares int64
	for _, number := range numbers {
		cell, err := celsius.Cell(number)
		require.NoError(t, err)
		value, known := cell.Value()
		require.True(t, known)
		x := big.NewInt(int64(value))
		s.Count.Add(s.Count, big.NewInt(1))
		s.Sum.Add(s.Sum, x)
		s.Squares.Add(s.Squares, x.Mul(x, x))
		sum, squares = sum+number, squares+number*number
	}
	require.Equal(t, [][3]int64{{3, sum, squares}}, ints([]Sums{celsius.Numbers(s)}))
	for _, number := range []int64{-501, 1<<30 - 500, 1 << 62} {
		_, err := celsius.Cell(number)
		require.Error(t, err)
	}
	_, err := Known(1 << 30)
	require.Error(t, err)
	_, known := Missing.Value()
	require.False(t, known)
}

func TestTalliesAreHiddenFromLogs(t *testing.T) {
	t.Parallel()
	w := tinyAggregate(t)
	sums, err := w.Sums(tinyTally.Aggregate())
	require.NoError(t, err)
	for _, v := range []any{w, w.Table, w.Table.Columns[0], sums, sums[0], ShardTotals{Sums: sums}, ReleaseWitness{}} {
		printed := fmt.Sprintf("%v %+v %#v %s %x", v, v, v, v, v)
		require.NotRegexp(t, `[0-9a-f]{5}`, printed)
		require.Contains(t, printed, "redacted")
		_, err := json.Marshal(v)
		require.ErrorContains(t, err, "must not leave the node")
	}
}
