package evm

import (
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/crypto"
)

const (
	wordSize   = 32
	fixedWords = 14 // alpha 2, beta 4, gamma 4, delta 4
	maxInputs  = 64 // as in Groth16Verifier.sol

	// ProofSize is the size of a Groth16 proof on BN254: A (2 words), B (4), C (2).
	ProofSize = 256
)

// fieldModulus is the order of the base field of BN254 (EIP-196).
var fieldModulus, _ = new(big.Int).SetString("30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47", 16)

// KeyWords is a Groth16 verifying key as the verifier contract takes it: 32-byte big-endian
// coordinates of alpha (2), beta (4), gamma (4), delta (4), IC[0..n] (2 each), for n public inputs,
// 1 to 64. G2 coordinates are imaginary part first (EIP-197). No point is negated.
type KeyWords []byte

// Inputs returns the number of public inputs, or an error if k is no key. It checks lengths and
// that coordinates are reduced; the contract checks the points.
func (k KeyWords) Inputs() (int, error) {
	words := len(k) / wordSize
	if len(k)%wordSize != 0 || words < fixedWords+4 || words%2 != 0 {
		return 0, fmt.Errorf("verifying key words: %d bytes is no key's length", len(k))
	}
	inputs := (words-fixedWords)/2 - 1
	if inputs > maxInputs {
		return 0, fmt.Errorf("verifying key words: %d public inputs, at most %d", inputs, maxInputs)
	}
	for i, word := range k.words() {
		if word.Cmp(fieldModulus) >= 0 {
			return 0, fmt.Errorf("verifying key words: word %d is not reduced", i)
		}
	}
	return inputs, nil
}

// Hash returns the Keccak-256 of the key, which the contract shows as keyHash.
func (k KeyWords) Hash() Hash { return crypto.Keccak256Hash(k) }

func (k KeyWords) words() []*big.Int {
	words := make([]*big.Int, len(k)/wordSize)
	for i := range words {
		words[i] = new(big.Int).SetBytes(k[i*wordSize : (i+1)*wordSize])
	}
	return words
}
