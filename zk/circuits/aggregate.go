package circuits

import (
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
)

// AggregatePublic is what everybody sees of an aggregate proof: the totals inside
// Totals are the exact counts, sums and sums of squares that Plan asks for, over
// the records of one shard which the bitmap inside Used has and over the columns
// under Data.
type AggregatePublic struct {
	// Used is [UsedCommitment] of the shard, as a cover proof has it in its UsedDigest.
	Used Element `json:"used"`

	// Data is [DataRoot] of the shard, which was on the ledger before the question.
	Data Element `json:"data"`

	// Plan is [PackPlan] of the plan.
	Plan Element `json:"plan"`

	// Totals is the salted commitment to the totals, for a release proof to open.
	Totals Element `json:"totals"`
}

// Words returns the public inputs in circuit order: used, data, plan, totals.
func (p AggregatePublic) Words() []Element { return []Element{p.Used, p.Data, p.Plan, p.Totals} }

// Plan says what to compute, by column numbers.
type Plan struct {
	// Group is the column of group numbers, 0 to Groups−1. A record in which it is
	// missing is in no group. To tell no groups apart, name a column of zeros.
	Group uint8

	// Values are the columns to sum. A missing value counts for nothing.
	Values []uint8

	// Conditions select: a record counts only if it lies in every range.
	Conditions []Condition
}

// Condition holds for a record whose value of Column is present and Lo <= value <= Hi.
type Condition struct {
	Column uint8
	Lo, Hi uint32 // 30 bits
}

// conditionBits is the width of a packed condition: column(8) | lo(30) | hi(30), lowest first.
const conditionBits = columnBits + 2*valueBits

// planBits is the width of a packed plan: group(8) | values(8 each) | conditions,
// lowest first; 244 at most.
func (t Tally) planBits() int { return columnBits*(1+t.Values) + conditionBits*t.Conditions }

// PackPlan packs a plan of the circuit's sizes. Hub and auditors compute it from the question.
func PackPlan(c Circuit, p Plan) (Element, error) {
	x, err := p.pack(c)
	return fromField(x), err
}

func (p Plan) pack(c Circuit) (fr.Element, error) {
	var x fr.Element
	if !c.IsAggregate() {
		return x, fmt.Errorf("plan: circuit %s is of another kind", c)
	}
	if err := c.Validate(); err != nil {
		return x, fmt.Errorf("plan: %w", err)
	}
	if len(p.Values) != c.tally.Values || len(p.Conditions) != c.tally.Conditions {
		return x, fmt.Errorf("plan: %d values and %d conditions, the circuit has %d and %d",
			len(p.Values), len(p.Conditions), c.tally.Values, c.tally.Conditions)
	}
	packed, at := new(big.Int), uint(0)
	put := func(v uint32, bits uint) {
		packed.Or(packed, new(big.Int).Lsh(big.NewInt(int64(v)), at))
		at += bits
	}
	put(uint32(p.Group), columnBits)
	for _, column := range p.Values {
		put(uint32(column), columnBits)
	}
	for n, condition := range p.Conditions {
		if condition.Lo > condition.Hi || condition.Hi >= 1<<valueBits {
			return x, fmt.Errorf("plan: condition %d: the range is reversed or has more than 30 bits", n)
		}
		put(uint32(condition.Column), columnBits)
		put(condition.Lo, valueBits)
		put(condition.Hi, valueBits)
	}
	x.SetBigInt(packed)
	return x, nil
}

// columns lists the columns to open: group, values, conditions.
func (p Plan) columns() []uint8 {
	columns := append([]uint8{p.Group}, p.Values...)
	for _, condition := range p.Conditions {
		columns = append(columns, condition.Column)
	}
	return columns
}

// AggregateWitness is a node's private view of the totals of one shard. It neither
// prints nor marshals.
type AggregateWitness struct {
	// Used and UsedSalt are those of the cover proof's [ShardUse].
	Used     []int
	UsedSalt Element

	// Table is the shard of the data set whose root is on the ledger.
	Table Table

	Plan Plan

	// Salt hides the totals in their commitment: fresh for each question and shard.
	Salt Element
}

// Format hides the witness from logs.
func (AggregateWitness) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "aggregate witness:redacted")
}

// MarshalJSON refuses.
func (AggregateWitness) MarshalJSON() ([]byte, error) {
	return nil, errors.New("circuits: an aggregate witness must not leave the node")
}

// openAggregate is an aggregate witness after checking.
type openAggregate struct {
	used           []bool
	usedSalt, salt fr.Element
	table          *openTable
	plan           Plan
	sums           []Sums
}

// Public checks the witness and computes what its proof will state, without
// proving. Errors name a record by its slot, never by a value.
func (w AggregateWitness) Public(c Circuit) (AggregatePublic, error) {
	public, _, err := w.open(c)
	return public, err
}

// Sums returns the exact totals, cell by cell as [Tally.Cells] says.
func (w AggregateWitness) Sums(c Circuit) ([]Sums, error) {
	_, open, err := w.open(c)
	return open.sums, err
}

func (w AggregateWitness) open(c Circuit) (AggregatePublic, openAggregate, error) {
	var public AggregatePublic
	open := openAggregate{plan: w.Plan}
	plan, err := w.Plan.pack(c)
	if err != nil {
		return public, open, fmt.Errorf("aggregate: %w", err)
	}
	for _, salt := range []struct {
		name string
		from Element
		to   *fr.Element
	}{{"used salt", w.UsedSalt, &open.usedSalt}, {"salt", w.Salt, &open.salt}} {
		if *salt.to, err = toField(salt.from); err != nil {
			return public, open, fmt.Errorf("aggregate: %s: %w", salt.name, err)
		}
		if salt.to.IsZero() {
			return public, open, fmt.Errorf("aggregate: %s is missing", salt.name)
		}
	}
	if open.used, err = usedBitmap(c.tally.ShardSize, w.Used); err != nil {
		return public, open, fmt.Errorf("aggregate: %w", err)
	}
	if open.table, err = w.Table.open(c.tally.ShardSize); err != nil {
		return public, open, fmt.Errorf("aggregate: %w", err)
	}
	if open.sums, err = open.total(c.tally); err != nil {
		return public, open, fmt.Errorf("aggregate: %w", err)
	}
	packed, err := packSums(open.sums)
	if err != nil {
		return public, open, fmt.Errorf("aggregate: %w", err)
	}
	return AggregatePublic{
		Used: fromField(commitBitmap(open.usedSalt, open.used)), Data: fromField(open.table.root()),
		Plan: fromField(plan), Totals: fromField(commitTotals(open.salt, packed)),
	}, open, nil
}

// total counts and sums.
func (o openAggregate) total(t Tally) ([]Sums, error) {
	sums := newSums(t.Cells())
	for i, used := range o.used {
		group, grouped := o.table.columns[o.plan.Group].cells[i].Value()
		if int(group) >= t.Groups {
			return nil, fmt.Errorf("slot %d: the group is not below %d", i, t.Groups)
		}
		if !used || !grouped || !o.selects(i) {
			continue
		}
		for v, column := range o.plan.Values {
			if value, known := o.table.columns[column].cells[i].Value(); known {
				cell, x := sums[int(group)*t.Values+v], new(big.Int).SetUint64(uint64(value))
				cell.Count.Add(cell.Count, big.NewInt(1))
				cell.Sum.Add(cell.Sum, x)
				cell.Squares.Add(cell.Squares, x.Mul(x, x))
			}
		}
	}
	return sums, nil
}

// selects reports whether slot i lies in every range.
func (o openAggregate) selects(i int) bool {
	for _, condition := range o.plan.Conditions {
		value, known := o.table.columns[condition.Column].cells[i].Value()
		if !known || value < condition.Lo || value > condition.Hi {
			return false
		}
	}
	return true
}

// Assign returns the witness as values for the circuit c, and what the proof will
// state. It fails on what [AggregateWitness.Public] fails on.
func (w AggregateWitness) Assign(c Circuit) (frontend.Circuit, AggregatePublic, error) {
	public, open, err := w.open(c)
	if err != nil {
		return nil, public, err
	}
	a := newAggregateCircuit(c.tally)
	a.UsedCommitment, a.Data, a.Plan, a.Totals = public.Used[:], public.Data[:], public.Plan[:], public.Totals[:]
	a.UsedSalt, a.Salt = open.usedSalt, open.salt
	assignBits(a.Used, open.used)
	for n, number := range w.Plan.columns() {
		a.Columns[n].assign(open.table, number)
	}
	return a, public, nil
}

// assign opens a column of the table.
func (c *tableColumn) assign(table *openTable, number uint8) {
	column := table.columns[number]
	c.Salt = column.salt
	for i, word := range column.words() {
		c.Words[i] = word
	}
	for l, children := range table.siblings(number) {
		for i, child := range children {
			c.Path[l][i] = child
		}
	}
}
