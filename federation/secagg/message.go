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
	boxSize       = 2*shareSize + chacha20poly1305.Overhead
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
	ChannelKey PublicKey      `json:"channelKey"` // others encrypt shares to it
	MaskKey    PublicKey      `json:"maskKey"`    // pairwise masks are agreed with it
	Commitment message.Digest `json:"commitment"` // to the seed of the self mask
	Signature  []byte         `json:"signature"`
}

// Roster is the hub's answer to round 0: who takes part, in ascending order.
type Roster struct {
	Members []Advertisement `json:"members"`
}

// Box holds one dealer's two shares for one member, encrypted.
type Box struct {
	From       identity.DID `json:"from"`
	To         identity.DID `json:"to"`
	Ciphertext []byte       `json:"ciphertext"`
}

// Shares is a member's message of round 1: a box for every other member.
type Shares struct {
	Session message.Digest `json:"session"`
	From    identity.DID   `json:"from"`
	Boxes   []Box          `json:"boxes"` // ascending by To
}

// Inbox is the hub's answer to round 1: the boxes for one member. Their senders
// and the member itself are the dealers.
type Inbox struct {
	Session message.Digest `json:"session"`
	Boxes   []Box          `json:"boxes"` // ascending by From
}

// Masked is a member's message of round 2.
type Masked struct {
	Session message.Digest `json:"session"`
	From    identity.DID   `json:"from"`
	Vector  Vector         `json:"vector"`
}

// Confirmation is a member's message of round 3: its signature over the
// session, the roster, the dealers and the survivors.
type Confirmation struct {
	Session   message.Digest `json:"session"`
	From      identity.DID   `json:"from"`
	Signature []byte         `json:"signature"`
}

// Reveal is a member's message of round 4: for every dealer one share, of the
// self mask if the dealer survived, of the mask key if not.
type Reveal struct {
	Session   message.Digest  `json:"session"`
	From      identity.DID    `json:"from"`
	SelfMasks []RevealedShare `json:"selfMasks"` // of survivors, ascending
	MaskKeys  []RevealedShare `json:"maskKeys"`  // of the dropped, ascending
}

// RevealedShare is the sender's share of a secret of Of.
type RevealedShare struct {
	Of    identity.DID `json:"of"`
	Share Share        `json:"share"`
}

// Message is one of the messages of a session.
type Message interface {
	Advertisement | Roster | Shares | Inbox | Masked | Confirmation | Reveal
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

func (s Shares) check() error {
	to := make([]identity.DID, len(s.Boxes))
	for i, b := range s.Boxes {
		if b.From != s.From {
			return errors.New("a box from somebody else")
		}
		to[i] = b.To
	}
	return errors.Join(checkSet([]identity.DID{s.From}), checkSet(to), checkBoxes(s.Boxes))
}

func (in Inbox) check() error {
	for _, b := range in.Boxes {
		if b.To != in.Boxes[0].To {
			return errors.New("boxes for several members")
		}
	}
	return errors.Join(checkSet(in.senders()), checkBoxes(in.Boxes))
}

func checkBoxes(boxes []Box) error {
	for _, b := range boxes {
		if len(b.Ciphertext) != boxSize {
			return fmt.Errorf("a box has %d bytes", boxSize)
		}
		if b.From == b.To {
			return errors.New("a box to its own sender")
		}
	}
	return nil
}

func (m Masked) check() error {
	if len(m.Vector) == 0 || len(m.Vector) > MaxWords {
		return fmt.Errorf("a vector has 1 to %d words", MaxWords)
	}
	return checkSet([]identity.DID{m.From})
}

func (c Confirmation) check() error {
	if len(c.Signature) != signatureSize {
		return errors.New("a signature has 64 bytes")
	}
	return checkSet([]identity.DID{c.From})
}

func (r Reveal) check() error {
	return errors.Join(checkSet([]identity.DID{r.From}), checkSet(owners(r.SelfMasks)), checkSet(owners(r.MaskKeys)))
}

func owners(shares []RevealedShare) []identity.DID {
	dids := make([]identity.DID, len(shares))
	for i, s := range shares {
		dids[i] = s.Of
	}
	return dids
}

// senders returns whom the boxes are from, in their order.
func (in Inbox) senders() []identity.DID {
	dids := make([]identity.DID, len(in.Boxes))
	for i, b := range in.Boxes {
		dids[i] = b.From
	}
	return dids
}
