package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// Key is an Ed25519 private key. It prints as "key:redacted" and refuses to
// marshal, so it cannot reach a log or a message by accident; [Key.PEM] is the
// one way to write it down.
type Key struct {
	// A pointer, because fmt skips Format on unexported fields of other types
	// and would print the bytes.
	private *ed25519.PrivateKey
}

const pemType = "PRIVATE KEY"

// ErrKey reports bytes that are not a PKCS#8 PEM block with an Ed25519 key.
var ErrKey = errors.New("identity: not an Ed25519 private key in PKCS#8 PEM form")

// Generate draws a new key from rand.
func Generate(rand io.Reader) (Key, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return Key{}, fmt.Errorf("identity: draw key: %w", err)
	}
	return NewKey(ed25519.NewKeyFromSeed(seed)), nil
}

// NewKey wraps a private key of 64 bytes.
func NewKey(private ed25519.PrivateKey) Key { return Key{&private} }

// ParsePEM reads what [Key.PEM] wrote. Errors never repeat the input.
func ParsePEM(data []byte) (Key, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemType {
		return Key{}, ErrKey
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return Key{}, ErrKey
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return Key{}, ErrKey
	}
	return NewKey(private), nil
}

// PEM returns the key in PKCS#8 PEM form, for a file of mode 0600.
func (k Key) PEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(*k.private)
	if err != nil {
		panic(fmt.Sprintf("identity: marshal an Ed25519 key: %v", err)) // only for another key type
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
}

// DID returns the public name of k.
func (k Key) DID() DID { return FromPublicKey(k.private.Public().(ed25519.PublicKey)) }

// Sign returns the Ed25519 signature of msg, 64 bytes.
func (k Key) Sign(msg []byte) []byte { return ed25519.Sign(*k.private, msg) }

// Private returns the key for libraries that sign by themselves (TLS, libp2p).
func (k Key) Private() ed25519.PrivateKey { return *k.private }

// IsZero reports whether k holds no key.
func (k Key) IsZero() bool { return k.private == nil }

// Format prints no part of the key, whatever the verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "key:redacted") }

// MarshalJSON refuses.
func (Key) MarshalJSON() ([]byte, error) {
	return nil, errors.New("identity: a private key must not be marshaled")
}

// MarshalText refuses.
func (Key) MarshalText() ([]byte, error) {
	return nil, errors.New("identity: a private key must not be marshaled")
}
