package consent

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/trialmesh/trialmesh/protocol/message"
)

// LeafSecret is 32 bytes that open one participant's leaf after each of its changes. The
// node and the participant have it; whoever else has it can follow this leaf and no other.
// It prints as nothing, and marshals into receipts only.
type LeafSecret [sha256.Size]byte

// Format hides the secret from logs.
func (LeafSecret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "leaf secret:redacted") }

// MarshalText writes 64 hex digits.
func (s LeafSecret) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText reads 64 hex digits.
func (s *LeafSecret) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(s) {
		return errors.New("consent: a leaf secret has 64 hex digits")
	}
	if _, err := hex.Decode(s[:], text); err != nil {
		return errors.New("consent: a leaf secret has 64 hex digits")
	}
	return nil
}

// Blind hides whose leaf it is after its n-th change, counted from 1: a leaf that says the
// same looks different after each.
func (s LeafSecret) Blind(n int) [sha256.Size]byte { return s.derive("blind", n) }

// Receipt commits the n-th change to the signed message that the leaf states from then on,
// by its digest. A change by which nobody said anything commits to none, and looks alike.
func (s LeafSecret) Receipt(n int, said message.Digest) message.Digest {
	salt := s.derive("receipt", n)
	return message.Sum(append(append([]byte("trialmesh consent receipt v1\n"), salt[:]...), said[:]...))
}

func (s LeafSecret) derive(purpose string, n int) [sha256.Size]byte {
	raw, err := hkdf.Key(sha256.New, s[:], nil, "trialmesh consent leaf v1\n"+purpose+"\n"+strconv.Itoa(n), sha256.Size)
	if err != nil {
		panic("consent: " + err.Error()) // only a length beyond HKDF's can fail
	}
	return [sha256.Size]byte(raw)
}
