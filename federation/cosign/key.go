package cosign

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	cosig "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// NewSigner returns the log's signer. name is the origin of the log; like every
// key name it holds no space and no plus.
func NewSigner(name string, key ed25519.PrivateKey) (note.Signer, error) {
	public, err := publicKey(name, key)
	if err != nil {
		return nil, err
	}
	vkey, err := VerifierKey(name, public)
	if err != nil {
		return nil, err
	}
	// A signer key has the same name and key hash as its verifier key. The last
	// part is base64 and may hold a plus of its own.
	parts := strings.SplitN(vkey, "+", 3)
	named := parts[0] + "+" + parts[1]
	secret := base64.StdEncoding.EncodeToString(append([]byte{algEd25519}, key.Seed()...))
	s, err := note.NewSigner("PRIVATE+KEY+" + named + "+" + secret)
	if err != nil {
		return nil, fmt.Errorf("cosign: signer %q: %w", name, err)
	}
	return s, nil
}

// publicKey returns the public half of a key, which is checked first because
// the standard library panics on one of the wrong length.
func publicKey(name string, key ed25519.PrivateKey) (ed25519.PublicKey, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("cosign: private key of %q has %d bytes", name, len(key))
	}
	return key.Public().(ed25519.PublicKey), nil
}

// algEd25519 is the signature type of a plain Ed25519 key in C2SP signed-note.
const algEd25519 = 0x01

// VerifierKey returns the text form of a log's public key, as [Trust] and other
// transparency-log tools take it.
func VerifierKey(name string, key ed25519.PublicKey) (string, error) {
	vkey, err := note.NewEd25519VerifierKey(name, key)
	if err != nil {
		return "", fmt.Errorf("cosign: key of %q: %w", name, err)
	}
	if _, err := note.NewVerifier(vkey); err != nil {
		return "", fmt.Errorf("cosign: key of %q: %w", name, err)
	}
	return vkey, nil
}

// KeyOf returns the key by which an organization's key countersigns: one under the
// name of its DID, so that whoever knows the DID knows the key.
func KeyOf(did identity.DID) (string, error) {
	public, err := did.PublicKey()
	if err != nil {
		return "", fmt.Errorf("cosign: key of %q: %w", did, err)
	}
	return CosignerKey(string(did), public)
}

// CosignerKey returns the text form of a cosigner's public key.
func CosignerKey(name string, key ed25519.PublicKey) (string, error) {
	vkey, err := VerifierKey(name, key)
	if err != nil {
		return "", err
	}
	vkey, err = cosig.VKeyToCosignatureV1(vkey)
	if err != nil {
		return "", fmt.Errorf("cosign: cosigner key of %q: %w", name, err)
	}
	return vkey, nil
}

// Cosign returns signed with one more line: name's statement that at now this
// was the newest checkpoint it had seen and that it was consistent with all
// before (C2SP tlog-cosignature v1). The caller has checked that. An older line
// of the same cosigner is replaced, others are kept; none of them is verified.
func Cosign(signed []byte, name string, key ed25519.PrivateKey, now time.Time) ([]byte, error) {
	public, err := publicKey(name, key)
	if err != nil {
		return nil, err
	}
	vkey, err := CosignerKey(name, public)
	if err != nil {
		return nil, err
	}
	verifier, err := cosig.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		return nil, fmt.Errorf("cosign: cosigner %q: %w", name, err)
	}
	var unverified *note.UnverifiedNoteError
	if _, err := note.Open(signed, nil); !errors.As(err, &unverified) {
		return nil, fmt.Errorf("cosign: cosign as %q: %w", name, err)
	}
	if _, err := parseCheckpoint(unverified.Note.Text); err != nil {
		return nil, fmt.Errorf("cosign as %q: %w", name, err)
	}
	if now.Unix() < 0 {
		return nil, fmt.Errorf("cosign: cosign as %q: time before 1970", name)
	}
	out, err := note.Sign(unverified.Note, cosigner{verifier, key, now.Unix()})
	if err != nil {
		return nil, fmt.Errorf("cosign: cosign as %q: %w", name, err)
	}
	return out, nil
}

// cosigner is a note.Signer at one moment. The one in transparency-dev/formats
// reads the clock itself.
type cosigner struct {
	note.Verifier
	key  ed25519.PrivateKey
	unix int64
}

// Sign returns a timestamped_signature of C2SP tlog-cosignature.
func (c cosigner) Sign(text []byte) ([]byte, error) {
	signed := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", c.unix, text)
	stamp := binary.BigEndian.AppendUint64(nil, uint64(c.unix))
	return append(stamp, ed25519.Sign(c.key, signed)...), nil
}
