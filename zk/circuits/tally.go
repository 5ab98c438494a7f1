package circuits

import (
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// Tally fixes the sizes of the circuits that count and sum. Its circuits are named
// aggregate-64x4x2x1 (shard size, groups, values, conditions), release-16x4x2 and
// noise-16x4x2 (shards, groups, values).
type Tally struct {
	// ShardSize is the number of slots in a shard, as in [Shape]. One aggregate
	// proof covers one shard.
	ShardSize int

	// Shards is how many aggregates one release adds up, 1 to 256. A node with fewer
	// pads with the empty shard.
	Shards int

	// Groups is how many groups are told apart, a power of two up to 32.
	Groups int

	// Values is how many columns are summed in each group, 1 to 4.
	Values int

	// Conditions is how many ranges a record must lie in to be selected, 0 to 3. A
	// question with fewer repeats one or takes a range that holds for all.
	Conditions int
}

// Limits of a tally. MaxCells bounds groups times values.
const (
	MaxGroups     = 32
	MaxValues     = 4
	MaxConditions = 3
	MaxCells      = 64
)

const (
	aggregateKind kind = "aggregate"
	releaseKind   kind = "release"
	noiseKind     kind = "noise"
)

// Tally is that of the results in a network of the shape: two columns, say events and
// days, by up to four groups, of those who have both.
func (s Shape) Tally() Tally {
	return Tally{ShardSize: s.ShardSize, Shards: s.Shards, Groups: 4, Values: 2, Conditions: 2}
}

// Results names the circuits behind a result in a network of the shape: cover, aggregate, release.
func (s Shape) Results() [3]Circuit {
	return [3]Circuit{s.Cover(), s.Tally().Aggregate(), s.Tally().Release()}
}

// Aggregate names the circuit that counts and sums one shard's selected records.
func (t Tally) Aggregate() Circuit {
	t.Shards = 0
	return Circuit{kind: aggregateKind, tally: t}
}

// Release names the circuit that adds shards up and rounds.
func (t Tally) Release() Circuit {
	return Circuit{kind: releaseKind, tally: Tally{Shards: t.Shards, Groups: t.Groups, Values: t.Values}}
}

// Noise names the circuit that adds shards up, rounds and adds noise.
func (t Tally) Noise() Circuit {
	c := t.Release()
	c.kind = noiseKind
	return c
}

// Cells is the number of cells in a result: one for each group and value, in this
// order. Cell g·Values + v is of group g and value v.
func (t Tally) Cells() int { return t.Groups * t.Values }

func (t Tally) validate(k kind) error {
	switch {
	case t.Groups < 1 || t.Groups > MaxGroups || t.Groups&(t.Groups-1) != 0:
		return fmt.Errorf("tally: %d groups: not a power of two up to %d", t.Groups, MaxGroups)
	case t.Values < 1 || t.Values > MaxValues:
		return fmt.Errorf("tally: %d values: not 1 to %d", t.Values, MaxValues)
	case t.Cells() > MaxCells:
		return fmt.Errorf("tally: %d cells: not up to %d", t.Cells(), MaxCells)
	case k != aggregateKind && (t.Shards < 1 || t.Shards > MaxShards):
		return fmt.Errorf("tally: %d shards: not 1 to %d", t.Shards, MaxShards)
	case k == aggregateKind && (t.Conditions < 0 || t.Conditions > MaxConditions):
		return fmt.Errorf("tally: %d conditions: not 0 to %d", t.Conditions, MaxConditions)
	case k == aggregateKind:
		return Shape{ShardSize: t.ShardSize, Shards: 1, Slots: 1}.Validate()
	}
	return nil
}

// statistics is how many figures a cell has.
const statistics = 3

// Bits of the figures in packed totals. The sums of 256 shards of 4,096 cells below
// 2^30 are below 2^21, 2^51 and 2^81, so packed totals add up without a carry.
const (
	totalCountBits   = 32
	totalSumBits     = 64
	totalSquaresBits = 81
	totalBits        = totalCountBits + totalSumBits + totalSquaresBits
)

// figureBits are the widths of the figures, lowest in a packed total first.
var figureBits = [statistics]int{totalCountBits, totalSumBits, totalSquaresBits}

// figureUnits are what the figures count in, inside a packed total.
var figureUnits = [statistics]*big.Int{
	big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), totalCountBits), new(big.Int).Lsh(big.NewInt(1), totalCountBits+totalSumBits),
}

// Sums holds the figures of one cell: how many selected records of the group have
// the value, the sum of the values and the sum of their squares. Released figures
// may be negative, by noise. Exact ones must not leave the node, so Sums neither
// prints nor marshals; whoever publishes released ones names the fields.
type Sums struct{ Count, Sum, Squares *big.Int }

// Format hides the figures from logs.
func (Sums) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sums:redacted") }

// MarshalJSON refuses.
func (Sums) MarshalJSON() ([]byte, error) {
	return nil, errors.New("circuits: exact sums must not leave the node")
}

func (s Sums) figures() [statistics]*big.Int { return [statistics]*big.Int{s.Count, s.Sum, s.Squares} }

func sumsOf(figures [statistics]*big.Int) Sums { return Sums{figures[0], figures[1], figures[2]} }

// newSums returns n cells of zeros.
func newSums(n int) []Sums {
	sums := make([]Sums, n)
	for i := range sums {
		sums[i] = Sums{new(big.Int), new(big.Int), new(big.Int)}
	}
	return sums
}

// pack returns the figures as one element, or an error if one is missing, negative
// or too wide.
func (s Sums) pack() (fr.Element, error) {
	var packed fr.Element
	total := new(big.Int)
	for t, figure := range s.figures() {
		if figure == nil || figure.Sign() < 0 || figure.BitLen() > figureBits[t] {
			return packed, errors.New("a figure is missing or out of range")
		}
		total.Add(total, new(big.Int).Mul(figure, figureUnits[t]))
	}
	packed.SetBigInt(total)
	return packed, nil
}

func packSums(sums []Sums) ([]fr.Element, error) {
	packed := make([]fr.Element, len(sums))
	for i, s := range sums {
		var err error
		if packed[i], err = s.pack(); err != nil {
			return nil, fmt.Errorf("cell %d: %w", i, err)
		}
	}
	return packed, nil
}

// commitTotals is sponge(35; salt, packed totals).
func commitTotals(salt fr.Element, packed []fr.Element) fr.Element {
	return sponge(TagTotals, append([]fr.Element{salt}, packed...))
}

// TotalsDigest returns the digest over the totals commitments of one release proof,
// in shard order, padded with the empty shard. Hub and auditors compute it from
// the aggregate proofs.
func TotalsDigest(c Circuit, commitments []Element) (Element, error) {
	if !c.IsRelease() {
		return Element{}, fmt.Errorf("totals digest: circuit %s is of another kind", c)
	}
	if err := c.Validate(); err != nil {
		return Element{}, err
	}
	s := Shape{ShardSize: 4, Shards: c.tally.Shards, Slots: 1}
	return shardDigest(s, TagTotalsDigest, "totals digest: commitment", commitments, func() fr.Element {
		return commitTotals(fr.Element{}, make([]fr.Element, c.tally.Cells()))
	})
}
