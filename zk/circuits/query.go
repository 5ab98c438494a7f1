package circuits

import (
	"encoding/binary"

	"golang.org/x/crypto/sha3"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// Question names one question put to one node, as far as a proof is concerned.
type Question struct {
	// ChainID and Contract name the access log on a chain; zero without one.
	ChainID  uint64
	Contract [20]byte

	Node  identity.DID
	Trial trial.ID

	// Request is the digest of the researcher's signed request, nonce included.
	Request message.Digest
}

// Hash binds a proof to the question: the leading 248 bits of the Keccak-256 of
//
//	keccak("trialmesh question v1") ‖ chain id ‖ contract ‖ keccak(node) ‖ keccak(trial) ‖ request
//
// each as 32 bytes, numbers and the address left-padded with zeros (as Solidity's
// abi.encode does). A proof's replay key is (node, hash), never its bytes:
// anybody can turn a Groth16 proof into another for the same statement.
func (q Question) Hash() Element {
	var chain, contract [32]byte
	binary.BigEndian.PutUint64(chain[24:], q.ChainID)
	copy(contract[12:], q.Contract[:])
	domain, node, tr := keccak([]byte("trialmesh question v1")), keccak([]byte(q.Node)), keccak([]byte(q.Trial))
	return Truncate(keccak(domain[:], chain[:], contract[:], node[:], tr[:], q.Request[:]))
}

func keccak(parts ...[]byte) (sum [32]byte) {
	h := sha3.NewLegacyKeccak256()
	for _, part := range parts {
		_, _ = h.Write(part) // a hash never fails
	}
	h.Sum(sum[:0])
	return sum
}
