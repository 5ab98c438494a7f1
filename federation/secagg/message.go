package secagg

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// MaxMessage is the size of the largest message in JSON, in bytes.
const MaxMessage = 16 << 20

const (
	signatureSize = 64
	boxSize       = shareSize + chacha20poly1305.Overhead
)

// PublicKey is an X25519 public key; its text form is 64 hex digits.
type PublicKey [32]byte

// MarshalText writes k as hex.
func (k PublicKey) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (k *PublicKey) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(k) {
		return errors.New("secagg: a public key has 64 hex digits")
	}
	_, err := hex.Decode(k[:], text)
	return err
}

// Seed is the seed of a mask; its text form is 64 hex digits. It does not print.
type Seed [32]byte

// Format hides the seed.
func (Seed) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "seed:redacted") }

// MarshalText writes s as hex.
func (s Seed) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Seed) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(s) {
		return errors.New("secagg: a seed has 64 hex digits")
	}
	_, err := hex.Decode(s[:], text)
	return err
}

// Vector is a masked vector; its text form is base64 of little-endian words.
type Vector []uint64

// MarshalText writes v as base64.
func (v Vector) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, 8*len(v))
	for _, w := range v {
		raw = binary.LittleEndian.AppendUint64(raw, w)
	}
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText reads what MarshalText wrote, up to [MaxWords] words.
func (v *Vector) UnmarshalText(text []byte) error {
	if len(text) > base64.StdEncoding.EncodedLen(8*MaxWords) {
		return errors.New("secagg: the vector is too long")
	}
	raw, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil || len(raw)%8 != 0 {
		return errors.New("secagg: a vector is base64 of words of eight bytes")
	}
	words := make(Vector, len(raw)/8)
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	*v = words
	return nil
}

// Advertisement is a member's message of round 0. The signature is the
// identity key's, so that the hub cannot put its own keys in place.
type Advertisement struct {
	Session    message.Digest `json:"session"`
	From       identity.DID   `json:"from"`
	Key        PublicKey      `json:"key"`        // masks and the keys of boxes are agreed with it
	Commitment message.Digest `json:"commitment"` // to the seed of the self mask
	Signature  []byte         `json:"signature"`
}

// Roster is the hub's answer to round 0: who takes part, in ascending order.
type Roster struct {
	Members []Advertisement `json:"members"`
}

// Box holds a share of one member's self mask for another, encrypted.
type Box []byte

// Masked is a member's message of round 1: its vector under its masks, and what the others
// on the roster need to help to take them off.
type Masked struct {
	Session message.Digest   `json:"session"`
	From    identity.DID     `json:"from"`
	Vector  Vector           `json:"vector"`
	Boxes   []Box            `json:"boxes"` // for each of the others, in their order
	Pairs   []message.Digest `json:"pairs"` // commitments to the seeds of the masks with them
}

// Inbox is what the hub has for a member after round 1.
type Inbox struct {
	Session message.Digest `json:"session"`
	Boxes   []Box          `json:"boxes"` // from each of the other survivors, in their order
}

// Confirmation is a member's message before round 2 if somebody dropped out: its
// signature over the session, the roster and the survivors.
type Confirmation struct {
	Session   message.Digest `json:"session"`
	From      identity.DID   `json:"from"`
	Signature []byte         `json:"signature"`
}

// Reveal is a member's message of round 2: of every survivor a share of its self mask, and
// of every other member of the roster the mask that the sender has in common with it.
type Reveal struct {
	Session message.Digest `json:"session"`
	From    identity.DID   `json:"from"`
	Shares  []Share        `json:"shares"`          // of the survivors' self masks, in their order
	Seeds   []Seed         `json:"seeds,omitempty"` // of the masks with the others, in their order
}

// Message is one of the messages of a session.
type Message interface {
	Advertisement | Roster | Masked | Inbox | Confirmation | Reveal
	check() error
}

// Decode reads one message and checks its sizes, names and order. What needs
// keys or the session (signatures, membership) is checked where it is used.
// Errors do not repeat the input.
func Decode[T Message](raw []byte) (T, error) {
	var m, none T
	if len(raw) > MaxMessage {
		return none, fmt.Errorf("secagg: decode message: more than %d bytes", MaxMessage)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return none, errors.New("secagg: decode message: malformed")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return none, errors.New("secagg: decode message: data after its end")
	}
	if err := m.check(); err != nil {
		return none, fmt.Errorf("secagg: decode message: %w", err)
	}
	return m, nil
}

func (a Advertisement) check() error {
	if len(a.Signature) != signatureSize {
		return errors.New("a signature has 64 bytes")
	}
	return checkSet([]identity.DID{a.From})
}

func (r Roster) check() error {
	for _, a := range r.Members {
		if len(a.Signature) != signatureSize {
			return errors.New("a signature has 64 bytes")
		}
	}
	return checkSet(r.names())
}

func (in Inbox) check() error { return checkBoxes(in.Boxes) }

func checkBoxes(boxes []Box) error {
	for _, b := range boxes {
		if len(b) != boxSize {
			return fmt.Errorf("a box has %d bytes", boxSize)
		}
	}
	return checkCount(len(boxes))
}

// checkCount bounds how many members a message may speak of.
func checkCount(n int) error {
	if n > MaxMembers {
		return fmt.Errorf("%d members, at most %d", n, MaxMembers)
	}
	return nil
}

func (m Masked) check() error {
	if len(m.Vector) == 0 || len(m.Vector) > MaxWords {
		return fmt.Errorf("a vector has 1 to %d words", MaxWords)
	}
	if len(m.Pairs) != len(m.Boxes) {
		return errors.New("not a box and a commitment for each of the others")
	}
	return errors.Join(checkSet([]identity.DID{m.From}), checkBoxes(m.Boxes))
}

func (c Confirmation) check() error {
	if len(c.Signature) != signatureSize {
		return errors.New("a signature has 64 bytes")
	}
	return checkSet([]identity.DID{c.From})
}

func (r Reveal) check() error {
	return errors.Join(checkSet([]identity.DID{r.From}), checkCount(len(r.Shares)+len(r.Seeds)))
}
