package ceremony

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Kinds of signed statements about a ceremony. Each names the one before by its digest, so
// that whoever has the last on the ledger knows all of them.
const (
	KindPlan         message.Kind = "ceremony.plan"
	KindContribution message.Kind = "ceremony.contribution"
	KindBeacon       message.Kind = "ceremony.beacon"
	KindKeys         message.Kind = "ceremony.keys"
)

// statementLife is how long statements may be handed in. They are read without a clock.
const statementLife = message.MaxLifetime

// Plan says what a ceremony makes keys for. Whoever starts it signs it.
type Plan struct {
	Name     string    `json:"name"` // 1 to 100 characters
	Circuits []Subject `json:"circuits"`

	// Parties is how many different keys must have contributed to each part, 1 to 100.
	Parties int `json:"parties"`
}

// Subject is a circuit of a plan.
type Subject struct {
	Circuit circuits.Circuit `json:"circuit"`
	System  message.Digest   `json:"system"` // circuits.Digest of the compiled circuit
}

// Limits of a plan.
const (
	maxName     = 100
	maxParties  = 100
	maxCircuits = 32
)

func (p Plan) validate() error {
	switch {
	case p.Name == "" || len(p.Name) > maxName:
		return fmt.Errorf("plan: a name of 1 to %d characters is required", maxName)
	case p.Parties < 1 || p.Parties > maxParties:
		return fmt.Errorf("plan: %d parties, 1 to %d can be", p.Parties, maxParties)
	case len(p.Circuits) < 1 || len(p.Circuits) > maxCircuits:
		return fmt.Errorf("plan: %d circuits, 1 to %d can be", len(p.Circuits), maxCircuits)
	}
	for i, s := range p.Circuits {
		if slices.ContainsFunc(p.Circuits[:i], func(o Subject) bool { return o.Circuit == s.Circuit }) {
			return fmt.Errorf("plan: circuit %s stands twice", s.Circuit)
		}
	}
	return nil
}

// Powers is the part of the first phase. The parts of the second have the circuits' names.
const Powers = "powers"

// Contribution says what a party added to a part.
type Contribution struct {
	Part   string `json:"part"`
	Number int    `json:"number"` // from 1

	// Previous is the digest of the statement before: a contribution to the part or, of its
	// first, the plan or the beacon of the first phase.
	Previous message.Digest `json:"previous"`

	// Parameters is the SHA-256 of the parameters after the contribution.
	Parameters message.Digest `json:"parameters"`

	Name string `json:"name"` // of the party, as it calls itself; its key signs
}

// Beacon ends a phase.
type Beacon struct {
	// Previous are the digests of the last contributions of all parts of the phase.
	Previous []message.Digest `json:"previous"`

	// Value was public knowledge after, and nobody's before, the last contribution.
	Value []byte `json:"value"`

	// Source says where everybody can read Value, for example "block 21000000 of Ethereum".
	Source string `json:"source"`
}

// Limits of a beacon.
const (
	minBeacon = 16
	maxBeacon = 1024
	maxSource = 200
)

func (b Beacon) validate() error {
	switch {
	case len(b.Value) < minBeacon || len(b.Value) > maxBeacon:
		return fmt.Errorf("beacon: %d bytes, %d to %d can be", len(b.Value), minBeacon, maxBeacon)
	case b.Source == "" || len(b.Source) > maxSource:
		return fmt.Errorf("beacon: a source of 1 to %d characters is required", maxSource)
	}
	return nil
}

// Made says which keys came of a ceremony.
type Made struct {
	Previous message.Digest `json:"previous"` // the beacon of the second phase
	Keys     []MadeKey      `json:"keys"`     // in the plan's order
}

// MadeKey is the key of one circuit.
type MadeKey struct {
	Circuit       circuits.Circuit `json:"circuit"`
	VerifyingKey  []byte           `json:"verifyingKey"` // as verifier.Key.EVM
	ProvingDigest message.Digest   `json:"provingDigest"`
}

// Signed is a statement with who signed it when.
type Signed[T any] struct {
	Statement T
	Envelope  message.Envelope
}

// Digest names the statement.
func (s Signed[T]) Digest() message.Digest { return s.Envelope.Digest() }

// By returns who signed.
func (s Signed[T]) By() identity.DID { return s.Envelope.Issuer }

// At returns when that was, as they say.
func (s Signed[T]) At() time.Time { return s.Envelope.Issued }

// opened checks a statement's signature and what it says.
func opened[T any](e message.Envelope, kind message.Kind) (Signed[T], error) {
	body, err := message.Replay[T](e, kind)
	return Signed[T]{body, e}, err
}

// ErrTranscript reports a transcript that does not hold together. Nothing made of it is to be
// used.
var ErrTranscript = errors.New("the transcript does not hold together")
