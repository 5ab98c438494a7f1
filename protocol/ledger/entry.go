// Package ledger names what the public log records.
//
// An [Entry] is one leaf: what happened, when, by whom, about what, and the
// digest of the document that says it in full. Documents are public too and
// are fetched by digest; no leaf and no document holds anything about a person
// beyond commitments and proofs. The tree over the leaves is hub/ledger's.
package ledger

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Version is the entry version this code writes.
const Version = 1

// MaxEntry is the largest entry, in bytes; tlog-tiles bundles carry 16-bit lengths.
const MaxEntry = 1 << 16

// Kind says what an entry records. Numbers are appended and never reused.
type Kind int

// The kinds, with the document each refers to.
const (
	NodeEnrolled       Kind = 1  // Enrollment
	NodeRevoked        Kind = 2  // Revocation
	CircuitRegistered  Kind = 3  // Circuit
	TrialRegistered    Kind = 4  // trial.Registration
	ConsentEpoch       Kind = 5  // envelope of consent.Epoch
	QuestionAsked      Kind = 6  // envelope of query.Request
	QuestionAnswered   Kind = 7  // query.Result
	AccessProved       Kind = 8  // envelope of query.Access
	ChainAnchored      Kind = 9  // Anchor
	StudyRegistered    Kind = 10 // envelope of study.Study
	ScheduleRegistered Kind = 11 // envelope of schedule.Schedule
	ScheduleCancelled  Kind = 12 // envelope of schedule.Cancellation
	OccurrenceMissed   Kind = 13 // schedule.Miss
	ConsentChanged     Kind = 14 // envelope of consent.Changes, which names their list
	CeremonyStated     Kind = 15 // envelope of a statement about a ceremony of keys
	ColumnsCommitted   Kind = 16 // envelope of columns.Commitment
	ResultProved       Kind = 17 // envelope of query.Proved
	PersonKeyFixed     Kind = 18 // enrollment.PersonKey
	PersonEnrolled     Kind = 19 // enrollment.Enrollment
)

var kindNames = map[Kind]string{
	NodeEnrolled: "node enrolled", NodeRevoked: "node revoked", CircuitRegistered: "circuit registered",
	TrialRegistered: "trial registered", ConsentEpoch: "consent epoch", QuestionAsked: "question asked",
	QuestionAnswered: "question answered", AccessProved: "access proved", ChainAnchored: "chain anchored",
	StudyRegistered: "study registered", ScheduleRegistered: "schedule registered", ScheduleCancelled: "schedule cancelled",
	OccurrenceMissed: "occurrence missed", ConsentChanged: "consent changed", CeremonyStated: "ceremony stated",
	ColumnsCommitted: "columns committed", ResultProved: "result proved",
	PersonKeyFixed: "person key fixed", PersonEnrolled: "person enrolled",
}

func (k Kind) String() string {
	if name, known := kindNames[k]; known {
		return name
	}
	return fmt.Sprintf("kind %d", int(k))
}

// Entry is one leaf of the log, as canonical JSON.
type Entry struct {
	V    int  `json:"v"`
	Kind Kind `json:"kind"`

	// At is the proposer's time of the command, in seconds.
	At time.Time `json:"at"`

	// Actor is who caused it: the issuer of the document, or the hub.
	Actor identity.DID `json:"actor"`

	// Subject is what it is about: a node's DID, a trial's ID, a question's digest, a study's name@version,
	// a schedule's name, an occurrence's name/number, a trial and its data set as trial/name.
	Subject string `json:"subject"`

	// Digest is the SHA-256 of the document's canonical bytes.
	Digest message.Digest `json:"digest"`
}

// Marshal returns the leaf's bytes.
func (e Entry) Marshal() ([]byte, error) {
	e.V, e.At = Version, e.At.UTC().Truncate(time.Second)
	raw, err := canonical.Marshal(e)
	if err != nil {
		return nil, err
	}
	if len(raw) >= MaxEntry {
		return nil, fmt.Errorf("ledger entry %s: %d bytes, limit %d", e.Kind, len(raw), MaxEntry)
	}
	return raw, nil
}

// Parse reads a leaf. An unknown kind is no error: old readers must be able to
// read new logs.
func Parse(raw []byte) (Entry, error) {
	var e Entry
	if len(raw) >= MaxEntry {
		return e, fmt.Errorf("ledger entry: %d bytes, limit %d", len(raw), MaxEntry)
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, fmt.Errorf("ledger entry: malformed")
	}
	if e.V != Version {
		return e, fmt.Errorf("ledger entry: version %d, this program reads %d", e.V, Version)
	}
	return e, nil
}

// Enrollment is the document of [NodeEnrolled].
type Enrollment struct {
	Node         identity.DID `json:"node"`
	Name         string       `json:"name"`
	Organization string       `json:"organization"`
}

// Revocation is the document of [NodeRevoked].
type Revocation struct {
	Node   identity.DID `json:"node"`
	Reason string       `json:"reason"`
}

// Circuit is the document of [CircuitRegistered].
type Circuit struct {
	Shape         string         `json:"shape"`
	VerifyingKey  []byte         `json:"verifyingKey"`
	ProvingDigest message.Digest `json:"provingDigest"`

	// Development says that one machine made the keys, so whoever ran it could
	// forge proofs. Good for demonstrations only.
	Development bool `json:"development"`

	// Ceremony is the digest of the plan of the ceremony that made the keys, zero of
	// development keys.
	Ceremony message.Digest `json:"ceremony,omitzero"`
}

// FromCeremony reports whether several parties made the keys.
func (c Circuit) FromCeremony() bool { return !c.Development && !c.Ceremony.IsZero() }

// Anchor is the document of [ChainAnchored]: a checkpoint that a contract holds.
type Anchor struct {
	ChainID  string `json:"chainId"`
	Contract string `json:"contract"`
	Size     int64  `json:"size"`
	Root     []byte `json:"root"`
	Tx       string `json:"tx"`
	Block    uint64 `json:"block"`
	Gas      uint64 `json:"gas"`
}
