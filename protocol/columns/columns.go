// Package columns says which columns of a data set a node has committed to.
//
// A [Commitment] fixes the values of a named data set before anybody asks about them: one
// root a shard of consent slots, salted, so that it tells nothing. What a [Column] is
// called, its type and its coding are public, so that whoever reads the ledger can say
// which column of it a question is about. The openings never leave the node.
package columns

import (
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/cohort"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Kind is the kind of a signed [Commitment].
const Kind message.Kind = "dataset.columns"

// Protocol is the name under which the hub takes commitments: an envelope of a [Commitment]
// in, a [consent.Recorded] out. Sending one again is harmless.
const Protocol = "/trialmesh/columns/1"

// MaxColumns is how many columns of a data set can be committed to. A table has one more,
// the first, which says who has a row.
const MaxColumns = 255

// Commitment fixes columns of a data set for the participants of one trial.
type Commitment struct {
	Trial   trial.ID     `json:"trial"`
	Node    identity.DID `json:"node"`
	Dataset string       `json:"dataset"`
	Number  uint64       `json:"number"` // 1, 2, 3… per node, trial and data set

	// Revises is the digest of the commitment before, zero for the first.
	Revises message.Digest `json:"revises"`

	Columns []Column `json:"columns"`

	// ShardSize is how many consent slots a shard has. Row i of a shard's table belongs to
	// the participant in slot i.
	ShardSize int `json:"shardSize"`

	// Shards are the roots over the salted columns, in the order of the consent shards.
	Shards []consent.Element `json:"shards"`
}

// Column is a committed column: column i of a commitment is number i + 1 of its tables.
type Column struct {
	Name   string          `json:"name"`
	Kind   query.ValueKind `json:"kind"`
	Domain cohort.Domain   `json:"domain"`
	Low    float64         `json:"low,omitempty"`
	High   float64         `json:"high,omitempty"`
	Unit   string          `json:"unit,omitempty"`
	Levels []string        `json:"levels,omitempty"`
}

// maxSpan bounds the whole numbers of a column: a cell has 30 bits.
const maxSpan = 1 << 30

// Coded returns the range of the whole numbers that cells stand for: those of a number,
// 0 and 1 of a logical column, the place among its levels of a factor. The cell of a number is
// what it lies above the lowest.
func (c Column) Coded() (low, high int64) {
	switch c.Kind {
	case query.FactorValues:
		return 0, int64(len(c.Levels)) - 1
	case query.LogicalValues:
		return 0, 1
	}
	return int64(math.Ceil(c.Low)), int64(math.Floor(c.High))
}

// Validate reports the first thing that is wrong with the column.
func (c Column) Validate() error {
	if !query.ValidText(c.Name) {
		return fmt.Errorf("name: one printable line of 1 to %d bytes", query.MaxText)
	}
	asked := query.Column{Name: c.Name, From: query.FromDataset, Domain: c.Domain, Kind: c.Kind, Low: c.Low, High: c.High, Unit: c.Unit, Levels: c.Levels}
	if err := asked.CheckType(); err != nil {
		return err
	}
	if low, high := c.Coded(); high < low || high-low >= maxSpan {
		return fmt.Errorf("low: a committed column holds whole numbers of a range below 2^30")
	}
	return nil
}

// Validate reports the first thing that is wrong with the commitment.
func (c Commitment) Validate() error {
	bad := func(detail string) error { return problem.New(problem.Invalid, "columns: "+detail) }
	switch {
	case !query.ValidDataset(c.Dataset):
		return bad("dataset: the name of a data set, lower-case letters, digits, hyphens and underscores")
	case c.Number == 0 || (c.Number == 1) != c.Revises.IsZero():
		return bad("number: the first is 1 and revises nothing")
	case len(c.Columns) == 0 || len(c.Columns) > MaxColumns:
		return bad(fmt.Sprintf("columns: 1 to %d", MaxColumns))
	case len(c.Shards) == 0 || len(c.Shards) > consent.MaxShards:
		return bad(fmt.Sprintf("shards: 1 to %d", consent.MaxShards))
	}
	names := make(map[string]bool)
	for i, column := range c.Columns {
		if err := column.Validate(); err != nil {
			return bad(fmt.Sprintf("columns[%d].%s", i, err))
		}
		if names[column.Name] {
			return bad(fmt.Sprintf("columns[%d].name: stands twice", i))
		}
		names[column.Name] = true
	}
	return nil
}

// Subject is what a commitment's entry on the ledger is about.
func Subject(id trial.ID, dataset string) string { return string(id) + "/" + dataset }

// Digest names the commitment, whenever it was signed.
func (c Commitment) Digest() (message.Digest, error) {
	raw, err := canonical.Marshal(c)
	if err != nil {
		return message.Digest{}, fmt.Errorf("columns: %w", err)
	}
	return message.Sum(raw), nil
}
