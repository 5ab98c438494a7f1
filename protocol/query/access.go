package query

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/sha3"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// KindAccess is the kind of a node's signed access proof.
const KindAccess message.Kind = "query.access"

// Commitment hides and fixes the set of records a node used: the digest over
// its salted commitments to one bitmap per shard.
type Commitment = consent.Element

// Access is a node's proof that every record in its answer had a consent in
// force for the question's scopes, in the tree of an epoch that was on the
// ledger before the question, and that there were at least AtLeast of them.
type Access struct {
	Query  ID             `json:"query"`
	Node   identity.DID   `json:"node"`
	Epoch  message.Digest `json:"epoch"`
	Scopes consent.Mask   `json:"scopes"`

	// AtLeast is the proven lower bound of the count. The exact count stays in
	// the commitment: public single-site counts could be differenced.
	AtLeast int `json:"atLeast"`

	Used Commitment `json:"used"`

	// Circuit is the SHA-256 of the verifying key.
	Circuit message.Digest `json:"circuit"`

	// Proof is the Groth16 proof in Solidity layout, 256 bytes.
	Proof []byte `json:"proof"`
}

// Venue is the chain and contract that a proof is made for, so that it is
// worthless elsewhere.
type Venue struct {
	ChainID  uint64 `json:"chainId"`
	Contract string `json:"contract"` // 0x and 40 hex digits
}

// NoChain is the venue of a network without a chain.
var NoChain = Venue{Contract: "0x0000000000000000000000000000000000000000"}

// Hash binds an access proof to one question, node, chain and contract: the
// upper 248 bits of keccak-256 over chain id (32 bytes), contract (20),
// SHA-256 of the node's DID (32) and the question's digest (32). The question's
// digest covers trial, cohort, analysis and nonce.
func (v Venue) Hash(node identity.DID, question ID) (consent.Element, error) {
	digits, prefixed := strings.CutPrefix(v.Contract, "0x")
	contract, err := hex.DecodeString(digits)
	if err != nil || !prefixed || len(contract) != 20 {
		return consent.Element{}, fmt.Errorf("query venue: contract must be 0x and 40 hex digits")
	}
	h := sha3.NewLegacyKeccak256()
	var chain [32]byte
	binary.BigEndian.PutUint64(chain[24:], v.ChainID)
	nodeDigest := NodeTag(node)
	for _, part := range [][]byte{chain[:], contract, nodeDigest[:], question[:]} {
		_, _ = h.Write(part) // a hash never fails
	}
	var out consent.Element
	copy(out[1:], h.Sum(nil)[:31]) // >> 8
	return out, nil
}

// NodeTag is how contracts name a node: the SHA-256 of its DID.
func NodeTag(node identity.DID) message.Digest { return message.Sum([]byte(node)) }
