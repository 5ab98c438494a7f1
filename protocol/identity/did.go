// Package identity names organizations, nodes and people by their Ed25519 keys.
//
// A [DID] is the public name, "did:key:z6Mk…", and carries the key itself, so
// checking a signature needs no directory. A [Key] is the secret half; it
// neither prints nor marshals. The package decides nothing about who is
// trusted: that is the trial's document and the reader's trust file.
package identity

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
)

// DID is a decentralized identifier of the did:key method over Ed25519, for
// example "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK".
//
// Source: W3C CCG "The did:key Method v0.7", section 3.1.1.
type DID string

const (
	didPrefix = "did:key:z"
	// maxDID bounds what ParseDID decodes: 34 bytes are at most 47 base58 digits.
	maxDID = len(didPrefix) + 48
)

// ed25519Multicodec is the unsigned varint 0xed that marks an Ed25519 public key.
var ed25519Multicodec = []byte{0xed, 0x01}

// ErrDID reports text that is not a did:key of an Ed25519 key.
var ErrDID = errors.New("identity: not a did:key of an Ed25519 key")

// FromPublicKey returns the DID of an Ed25519 public key (32 bytes).
func FromPublicKey(key ed25519.PublicKey) DID {
	return DID(didPrefix + encodeBase58(append(bytes.Clone(ed25519Multicodec), key...)))
}

// ParseDID returns s as a DID, or [ErrDID]. Only the canonical spelling passes,
// so equal keys always have equal DIDs.
func ParseDID(s string) (DID, error) {
	d := DID(s)
	if _, err := d.PublicKey(); err != nil {
		return "", err
	}
	return d, nil
}

// PublicKey returns the key that d names, or [ErrDID].
func (d DID) PublicKey() (ed25519.PublicKey, error) {
	text, found := strings.CutPrefix(string(d), didPrefix)
	if !found || len(d) > maxDID {
		return nil, ErrDID
	}
	raw, err := decodeBase58(text)
	if err != nil || len(raw) != len(ed25519Multicodec)+ed25519.PublicKeySize || !bytes.HasPrefix(raw, ed25519Multicodec) {
		return nil, ErrDID
	}
	return ed25519.PublicKey(raw[len(ed25519Multicodec):]), nil
}

// Short returns the last eight characters, enough to tell a handful of
// parties apart on a screen. It is not an identifier.
func (d DID) Short() string {
	return "…" + string(d[max(0, len(d)-8):])
}

// Verify checks sig over msg with the key that d names.
func Verify(d DID, msg, sig []byte) error {
	key, err := d.PublicKey()
	if err != nil {
		return err
	}
	if !ed25519.Verify(key, msg, sig) {
		return fmt.Errorf("identity: signature of %s does not verify", d)
	}
	return nil
}
