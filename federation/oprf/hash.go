package oprf

import (
	"crypto/sha512"
	"encoding/binary"
	"fmt"

	"filippo.io/edwards25519"
)

// Mode is one of the two protocols. Keys and outputs of one mean nothing in the
// other.
type Mode byte

// The modes, with the numbers of RFC 9497, section 3.1.
const (
	Base       Mode = 0 // the answer is taken on trust
	Verifiable Mode = 1 // the answer has a proof
)

// context separates the hashes of one mode and suite from all others.
func (m Mode) context() string { return "OPRFV1-" + string(rune(m)) + "-ristretto255-SHA512" }

func (m Mode) check() error {
	if m > Verifiable {
		return fmt.Errorf("oprf: mode %d: want 0 or 1", m)
	}
	return nil
}

// expand is expand_message_xmd of RFC 9380, section 5.3.1, with SHA-512 and one
// block of output.
func expand(message []byte, separator string) [64]byte {
	suffix := append([]byte(separator), byte(len(separator)))
	h := sha512.New()
	h.Write(make([]byte, h.BlockSize()))
	h.Write(message)
	h.Write([]byte{0, sha512.Size, 0})
	h.Write(suffix)
	first := h.Sum(nil)
	h.Reset()
	h.Write(first)
	h.Write([]byte{1})
	h.Write(suffix)
	return [64]byte(h.Sum(nil))
}

func (m Mode) hashToGroup(input []byte) *edwards25519.Point {
	return derive(expand(input, "HashToGroup-"+m.context()))
}

func (m Mode) hashToScalar(message []byte) *edwards25519.Scalar {
	return m.scalar(message, "HashToScalar-")
}

func (m Mode) scalar(message []byte, purpose string) *edwards25519.Scalar {
	return reduce(expand(message, purpose+m.context()))
}

// reduce takes 64 uniform bytes, little-endian, modulo the group's order.
func reduce(uniform [64]byte) *edwards25519.Scalar {
	s, err := edwards25519.NewScalar().SetUniformBytes(uniform[:])
	if err != nil {
		panic("oprf: reduce 64 bytes: " + err.Error()) // only for another length
	}
	return s
}

// lengthed appends a part after its length in two bytes.
func lengthed(raw, part []byte) []byte {
	return append(binary.BigEndian.AppendUint16(raw, uint16(len(part))), part...)
}
