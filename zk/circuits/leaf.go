package circuits

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Status says whether a leaf's consent is in force. Only [Active] permits. There
// are no others: the circuit proves that a status is one of these.
type Status uint8

// The statuses.
const (
	Empty     Status = 0 // nobody uses the slot
	Active    Status = 1
	Withdrawn Status = 2
)

// Widths of the attribute fields. The grant, that is mask, from and to, is split
// into bits in the circuit; the status above it is proved to be 0, 1 or 2. So the
// sum stays far below the 253 bits that have one reading in the field.
const (
	timeBits  = 32
	grantBits = 2*timeBits + scopes
)

// Attributes is what a consent leaf says, without saying who. A consent covers
// the times t with From <= t < To, in seconds since 1970.
type Attributes struct {
	Mask     consent.Mask
	Status   Status
	From, To uint32
}

// grant packs mask(64) | from(32) | to(32), most significant first.
func (a Attributes) grant() fr.Element {
	var buf [grantBits / 8]byte
	binary.BigEndian.PutUint64(buf[:8], uint64(a.Mask))
	binary.BigEndian.PutUint32(buf[8:12], a.From)
	binary.BigEndian.PutUint32(buf[12:], a.To)
	var x fr.Element
	x.SetBytes(buf[:])
	return x
}

// field packs status | grant(128).
func (a Attributes) field() fr.Element {
	var status, shift fr.Element
	status.SetUint64(uint64(a.Status))
	shift.SetBigInt(statusUnit)
	grant := a.grant()
	return *grant.Add(&grant, status.Mul(&status, &shift))
}

// statusUnit is what the status counts in.
var statusUnit = new(big.Int).Lsh(big.NewInt(1), grantBits)

// permitsThroughout reports whether the consent is in force in all of w.
func (a Attributes) permitsThroughout(w Window) bool {
	return a.Status == Active && a.From <= w.From && a.To >= w.To
}

// Consent is the opening of one leaf. It must not leave the node: it neither
// prints nor marshals. The zero Consent is an empty slot.
type Consent struct {
	// Participant is the salted commitment made by [CommitParticipant].
	Participant Element
	Attributes  Attributes
}

// Format hides the consent from logs.
func (Consent) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "consent:redacted") }

// MarshalJSON refuses.
func (Consent) MarshalJSON() ([]byte, error) {
	return nil, errors.New("circuits: a consent opening must not leave the node")
}

// CommitParticipant hides who a leaf belongs to: hash(11; participant, blind).
// The blind must be drawn once per participant and kept secret.
func CommitParticipant(participant, blind Element) (Element, error) {
	xs, err := toFields("participant commitment: input", []Element{participant, blind})
	if err != nil {
		return Element{}, err
	}
	return fromField(hash2(TagParticipant, xs[0], xs[1])), nil
}

// OpenLeaf returns what stands in a leaf after its n-th change: a participant's consent, or
// a slot that is kept for one and is nobody's yet. The participant is a [Pseudonym] or, of
// somebody who enrolls, their [Secret].
func OpenLeaf(participant Element, secret consent.LeafSecret, n int, a Attributes) (Consent, error) {
	commitment, err := CommitParticipant(participant, Truncate(secret.Blind(n)))
	return Consent{Participant: commitment, Attributes: a}, err
}

// Pseudonym is how a leaf names somebody of whom no more is known than the key with which
// they sign; "" is nobody.
func Pseudonym(participant identity.DID) Element {
	return Truncate(sha256.Sum256([]byte(participant)))
}

// Leaf returns hash(12; participant commitment, attributes), the public value
// of one slot.
func (c Consent) Leaf() (Element, error) {
	x, err := c.leaf()
	return fromField(x), err
}

func (c Consent) leaf() (fr.Element, error) {
	pc, err := toField(c.Participant)
	if err != nil {
		return pc, fmt.Errorf("participant commitment: %w", err)
	}
	if c.Attributes.Status > Withdrawn {
		return pc, errors.New("status is none of those there are")
	}
	return hash2(TagLeaf, pc, c.Attributes.field()), nil
}

// EmptyLeaf is the leaf of a slot that nobody uses.
func EmptyLeaf() Element { return fromField(emptyLeaf()) }

func emptyLeaf() fr.Element { return hash2(TagLeaf, fr.Element{}, fr.Element{}) }

// ShardRoot returns the root of the arity-4 tree over a shard's leaves. Missing
// leaves are empty slots. It needs only public values, so the hub and any
// auditor recompute it.
func ShardRoot(shardSize int, leaves []Element) (Element, error) {
	if err := (Shape{ShardSize: shardSize}).Epoch().Validate(); err != nil {
		return Element{}, err
	}
	if len(leaves) > shardSize {
		return Element{}, fmt.Errorf("shard root: %d leaves in a shard of %d", len(leaves), shardSize)
	}
	xs, err := toFields("shard root: leaf", leaves)
	if err != nil {
		return Element{}, err
	}
	for empty := emptyLeaf(); len(xs) < shardSize; {
		xs = append(xs, empty)
	}
	return fromField(merkleRoot(xs)), nil
}
