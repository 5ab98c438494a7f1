// Package consent decides whether a participant's grant permits a use of data.
//
// A [Grant] is what the participant signed; a [Use] is what a query is about
// to do. [Grant.Permits] is the one place that compares them. It reads no clock
// and no store, so a decision made on a node can be replayed years later. A
// [Withdrawal] ends a grant. An [Epoch] is a node's public commitment to all
// its grants of one trial at one moment: roots and proofs, nobody's choice.
package consent

import (
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Kinds of signed messages about consent.
const (
	KindGrant      message.Kind = "consent.grant"
	KindRefusal    message.Kind = "consent.refusal"
	KindWithdrawal message.Kind = "consent.withdrawal"
	KindEpoch      message.Kind = "consent.epoch"
	KindChanges    message.Kind = "consent.changes"
)

// Grant permits a trial the use of a participant's data at one node. The
// participant signs it; the issuer's DID is a pseudonym made for this trial.
type Grant struct {
	Trial trial.ID     `json:"trial"`
	Node  identity.DID `json:"node"`

	// Scopes are what may be looked at and what for.
	Scopes Mask `json:"scopes"`

	// From and To bound when data may be used, not which data.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`

	// Document is the SHA-256 of the consent document that was read.
	Document message.Digest `json:"document"`
}

// Refusal records that a participant was asked and said no.
type Refusal struct {
	Trial    trial.ID       `json:"trial"`
	Node     identity.DID   `json:"node"`
	Document message.Digest `json:"document"`
}

// Withdrawal ends the grant with the given digest from its time of issue.
type Withdrawal struct {
	Trial trial.ID       `json:"trial"`
	Node  identity.DID   `json:"node"`
	Grant message.Digest `json:"grant"`
}

// Use is what is about to be done with a person's data.
type Use struct {
	Trial  trial.ID
	Node   identity.DID
	Scopes Mask
	At     time.Time
}

// Permits reports whether g permits u. A withdrawal is not g's to know.
func (g Grant) Permits(u Use) bool {
	return g.Trial == u.Trial && g.Node == u.Node && g.Scopes.Covers(u.Scopes) &&
		!u.At.Before(g.From) && u.At.Before(g.To)
}

// Validate reports what is wrong with the grant.
func (g Grant) Validate() error {
	switch {
	case g.Scopes == 0:
		return problem.New(problem.Invalid, "consent grant: scopes: at least one")
	case !g.From.Before(g.To):
		return problem.New(problem.Invalid, "consent grant: from must lie before to")
	case g.From.Unix() < 0 || g.To.Unix() > maxUnix:
		return problem.New(problem.Invalid, "consent grant: from and to must lie between 1970 and 2106")
	case g.Document.IsZero():
		return problem.New(problem.Invalid, "consent grant: document: the SHA-256 of the consent document is missing")
	}
	return nil
}

// maxUnix is the last second a consent leaf can hold: 32 bits.
const maxUnix = 1<<32 - 1

// Element is a BN254 scalar field element, 32 bytes big-endian, canonical.
type Element [32]byte

// MarshalText writes 64 hex digits.
func (e Element) MarshalText() ([]byte, error) { return message.Digest(e).MarshalText() }

// UnmarshalText reads 64 hex digits.
func (e *Element) UnmarshalText(text []byte) error { return (*message.Digest)(e).UnmarshalText(text) }

// Epoch commits a node to its consents of one trial. For each shard it carries
// the root of the consent leaves, the root of the bitmaps "who permits scope j
// throughout From..To", and the proof that the second follows from the first.
type Epoch struct {
	Trial  trial.ID     `json:"trial"`
	Node   identity.DID `json:"node"`
	Number uint64       `json:"number"` // 1, 2, 3… per node and trial

	// Circuit is the SHA-256 of the verifying key the proofs are for.
	Circuit message.Digest `json:"circuit"`

	Shards []Shard `json:"shards"`

	// Changes is the number of the last [Changes] that the shards hold. It is 0 of nodes
	// from before there were any.
	Changes uint64 `json:"changes,omitempty"`

	// Revises is the digest of the epoch before, zero for the first.
	Revises message.Digest `json:"revises"`
}

// EpochProtocol is the name under which the hub takes epochs: an envelope of an
// [Epoch] in, a [Recorded] out. Sending one again is harmless.
const EpochProtocol = "/trialmesh/epoch/1"

// Recorded is the hub's answer to an epoch or to changes: their leaf on the ledger.
type Recorded struct {
	LedgerIndex int64 `json:"ledgerIndex"`
}

// Shard is one shard's part of an [Epoch]. A shard that did not change keeps its
// window, roots and proof from one epoch to the next.
type Shard struct {
	// From and To bound the window in which the bitmaps hold.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`

	Root   Element `json:"root"`
	Matrix Element `json:"matrix"`
	Proof  []byte  `json:"proof"`
}

// MaxShards bounds an epoch.
const MaxShards = 1024

// Covers reports whether t lies in the windows of all shards.
func (e Epoch) Covers(t time.Time) bool {
	for _, s := range e.Shards {
		if t.Before(s.From) || !t.Before(s.To) {
			return false
		}
	}
	return len(e.Shards) > 0
}
