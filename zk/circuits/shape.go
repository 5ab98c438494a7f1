package circuits

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

// Shape fixes the sizes of the circuits over consents. A key belongs to one shape, and a
// shape once in use is never changed, only replaced.
type Shape struct {
	// ShardSize is the number of consent leaves in a shard: 4, 16, 64, 256,
	// 1,024 or 4,096. Production uses 1,024.
	ShardSize int

	// Shards is how many shards one access proof covers, 1 to 256. A node with
	// fewer pads with the empty shard; with more it makes several proofs.
	Shards int

	// Slots is how many scopes a question may need, 1 to 8. A question that
	// needs fewer repeats one.
	Slots int
}

// Limits of a shape.
const (
	MaxShardSize = 4096
	MaxShards    = 256
	MaxSlots     = 8

	scopes     = consent.MaxScopes // columns of a consent matrix, a power of four
	scopeBits  = 6                 // log2 of scopes
	scopeDepth = scopeBits / 2     // levels of the tree over the columns

	// countBits bounds any count in a proof: MaxShardSize·MaxShards is 2^20.
	countBits = 21
)

// Validate reports the first size that is out of bounds.
func (s Shape) Validate() error {
	switch {
	case s.ShardSize < 4 || s.ShardSize > MaxShardSize || !powerOfFour(s.ShardSize):
		return fmt.Errorf("shape: shard size %d: not a power of four from 4 to %d", s.ShardSize, MaxShardSize)
	case s.Shards < 1 || s.Shards > MaxShards:
		return fmt.Errorf("shape: %d shards: not 1 to %d", s.Shards, MaxShards)
	case s.Slots < 1 || s.Slots > MaxSlots:
		return fmt.Errorf("shape: %d slots: not 1 to %d", s.Slots, MaxSlots)
	}
	return nil
}

func powerOfFour(n int) bool {
	for n > 1 && n%4 == 0 {
		n /= 4
	}
	return n == 1
}

// Epoch names the circuit that commits a shard's consents to bitmaps.
func (s Shape) Epoch() Circuit { return Circuit{kind: epochKind, shape: Shape{ShardSize: s.ShardSize}} }

// Access names the circuit that proves the records of an answer permitted.
func (s Shape) Access() Circuit { return Circuit{kind: accessKind, shape: s} }

// Cover names the circuit that proves the records of an answer to be exactly those permitted.
func (s Shape) Cover() Circuit { return Circuit{kind: coverKind, shape: s} }

// Circuit names one statement at one size. Its text form is epoch-64 (shard size),
// access-64x2x4 or cover-64x2x4 (shard size, shards, slots), one of [Tally]'s, or a
// kind of participant.go and its sizes: enrollment-12, eligibility-5, quiz-20,
// custody-12x5x8.
type Circuit struct {
	kind  kind
	shape Shape
	tally Tally
	sizes sizes
}

type kind string

const (
	epochKind  kind = "epoch"
	accessKind kind = "access"
	coverKind  kind = "cover"
)

// ParseCircuit reads what [Circuit.String] wrote.
func ParseCircuit(name string) (Circuit, error) {
	var c Circuit
	what, sizes, _ := strings.Cut(name, "-")
	switch kind(what) {
	case epochKind:
		n, err := parseSizes(sizes, 1)
		if err != nil {
			return c, fmt.Errorf("circuit name: %w", err)
		}
		c = Shape{ShardSize: n[0]}.Epoch()
	case accessKind, coverKind:
		n, err := parseSizes(sizes, 3)
		if err != nil {
			return c, fmt.Errorf("circuit name: %w", err)
		}
		c = Circuit{kind: kind(what), shape: Shape{ShardSize: n[0], Shards: n[1], Slots: n[2]}}
	case aggregateKind:
		n, err := parseSizes(sizes, 4)
		if err != nil {
			return c, fmt.Errorf("circuit name: %w", err)
		}
		c = Tally{ShardSize: n[0], Groups: n[1], Values: n[2], Conditions: n[3]}.Aggregate()
	case releaseKind, noiseKind:
		n, err := parseSizes(sizes, 3)
		if err != nil {
			return c, fmt.Errorf("circuit name: %w", err)
		}
		c = Circuit{kind: kind(what), tally: Tally{Shards: n[0], Groups: n[1], Values: n[2]}}
	default:
		s := statementOf(kind(what))
		if s == nil {
			return c, fmt.Errorf("circuit name: no such kind")
		}
		var err error
		if c, err = s.parse(kind(what), sizes); err != nil {
			return Circuit{}, err
		}
	}
	if c.String() != name {
		return Circuit{}, fmt.Errorf("circuit name: sizes are not in their shortest form")
	}
	return c, c.Validate()
}

func parseSizes(text string, want int) ([]int, error) {
	parts := strings.Split(text, "x")
	if len(parts) != want {
		return nil, fmt.Errorf("%d sizes, not %d", len(parts), want)
	}
	sizes := make([]int, want)
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("size %d is not a number from 0 to 65535", i+1)
		}
		sizes[i] = int(n)
	}
	return sizes, nil
}

// String returns the circuit's name.
func (c Circuit) String() string {
	if s := statementOf(c.kind); s != nil {
		return s.name(c)
	}
	switch c.kind {
	case accessKind, coverKind:
		return fmt.Sprintf("%s-%dx%dx%d", c.kind, c.shape.ShardSize, c.shape.Shards, c.shape.Slots)
	case aggregateKind:
		return fmt.Sprintf("%s-%dx%dx%dx%d", c.kind, c.tally.ShardSize, c.tally.Groups, c.tally.Values, c.tally.Conditions)
	case releaseKind, noiseKind:
		return fmt.Sprintf("%s-%dx%dx%d", c.kind, c.tally.Shards, c.tally.Groups, c.tally.Values)
	}
	return fmt.Sprintf("%s-%d", c.kind, c.shape.ShardSize)
}

// MarshalText writes the name of a valid circuit.
func (c Circuit) MarshalText() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return []byte(c.String()), nil
}

// UnmarshalText reads a name.
func (c *Circuit) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCircuit(string(text))
	return err
}

// Validate reports sizes that are out of bounds; the zero Circuit is invalid.
func (c Circuit) Validate() error {
	switch c.kind {
	case epochKind:
		return Shape{ShardSize: c.shape.ShardSize, Shards: 1, Slots: 1}.Validate()
	case accessKind, coverKind:
		return c.shape.Validate()
	case aggregateKind, releaseKind, noiseKind:
		return c.tally.validate(c.kind)
	}
	if s := statementOf(c.kind); s != nil {
		return s.validate(c)
	}
	return fmt.Errorf("circuit: no such kind")
}

// Inputs is the number of public inputs.
func (c Circuit) Inputs() int {
	if s := statementOf(c.kind); s != nil {
		return s.inputs
	}
	switch c.kind {
	case accessKind, coverKind:
		return len(AccessPublic{}.Words())
	case aggregateKind:
		return len(AggregatePublic{}.Words())
	case releaseKind:
		return len(ReleasePublic{}.Words())
	case noiseKind:
		return len(ReleasePublic{Seed: new(Element)}.Words())
	}
	return len(EpochPublic{}.Words())
}

// IsEpoch and its like tell the statements apart; IsRelease holds with and without noise.
func (c Circuit) IsEpoch() bool     { return c.kind == epochKind }
func (c Circuit) IsAccess() bool    { return c.kind == accessKind }
func (c Circuit) IsCover() bool     { return c.kind == coverKind }
func (c Circuit) IsAggregate() bool { return c.kind == aggregateKind }
func (c Circuit) IsRelease() bool   { return c.kind == releaseKind || c.kind == noiseKind }

// Shape returns the sizes of a circuit over consents. An epoch circuit has only a
// ShardSize, a circuit over data none.
func (c Circuit) Shape() Shape { return c.shape }

// Tally returns the sizes of a circuit over data.
func (c Circuit) Tally() Tally { return c.tally }

// Development is the shape for demonstrations and small networks: its keys are
// made within seconds, it holds 256 participants of a trial per node, and a question may
// need all scopes there are.
var Development = Shape{ShardSize: 64, Shards: 4, Slots: 8}
