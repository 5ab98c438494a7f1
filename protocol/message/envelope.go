// Package message signs what crosses an organization's border.
//
// An [Envelope] is a JSON body with its kind, issuer, lifetime and nonce, signed
// with the issuer's Ed25519 key over canonical JSON (RFC 8785). [Seal] makes
// one, [Open] checks and decodes one; nothing reads a body that was not opened. The
// signature covers the kind behind a fixed prefix, so a signature made for one
// purpose is worthless for another. Replay is the receiver's business:
// [Envelope.Digest] is the key to remember.
package message

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Version is the envelope version this code writes; it reads no other.
const Version = 1

// Limits of an envelope.
const (
	MaxBody     = 1 << 20                  // bytes of canonical body
	MaxLifetime = 5 * 366 * 24 * time.Hour // consents run for years
	// Skew is how far an issuer's clock may be ahead of the receiver's.
	Skew = 2 * time.Minute

	nonceBytes = 16
	domain     = "trialmesh envelope v1\n"
)

// Kind says what a body is, and so which code may act on it.
type Kind string

// Digest is a SHA-256 digest; its text form is 64 hex digits.
type Digest [sha256.Size]byte

// Envelope is a signed message. Times have a resolution of one second.
type Envelope struct {
	Version   int             `json:"version"`
	Kind      Kind            `json:"kind"`
	Issuer    identity.DID    `json:"issuer"`
	Issued    time.Time       `json:"issued"`
	Expires   time.Time       `json:"expires"`
	Nonce     string          `json:"nonce"`
	Body      json.RawMessage `json:"body"`
	Signature []byte          `json:"signature,omitempty"`
}

// What a receiver refuses. Each names the rule, so that a refusal far away
// says which check failed.
var (
	ErrVersion   = problem.Refusal("message.version", "the envelope has a version this program does not read")
	ErrKind      = problem.Refusal("message.kind", "the envelope is of another kind than expected")
	ErrSignature = problem.Refusal("message.signature", "the envelope's signature does not verify")
	ErrExpired   = problem.Refusal("message.expired", "the envelope has expired")
	ErrEarly     = problem.Refusal("message.not-yet-valid", "the envelope was issued in the future")
	ErrLifetime  = problem.Refusal("message.lifetime", "the envelope's lifetime is empty or too long")
	ErrMalformed = problem.Refusal("message.malformed", "the envelope is malformed")
)

// Seal signs body as a message of the given kind. issued is cut to seconds.
func Seal(key identity.Key, kind Kind, body any, issued time.Time, ttl time.Duration, rand io.Reader) (Envelope, error) {
	raw, err := canonical.Marshal(body)
	if err != nil {
		return Envelope{}, fmt.Errorf("seal %s: %w", kind, err)
	}
	if len(raw) > MaxBody {
		return Envelope{}, fmt.Errorf("seal %s: body has %d bytes, limit %d", kind, len(raw), MaxBody)
	}
	nonce := make([]byte, nonceBytes)
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return Envelope{}, fmt.Errorf("seal %s: draw nonce: %w", kind, err)
	}
	issued = issued.UTC().Truncate(time.Second)
	e := Envelope{
		Version: Version,
		Kind:    kind,
		Issuer:  key.DID(),
		Issued:  issued,
		Expires: issued.Add(ttl).Truncate(time.Second),
		Nonce:   hex.EncodeToString(nonce),
		Body:    raw,
	}
	if err := e.checkLifetime(); err != nil {
		return Envelope{}, fmt.Errorf("seal %s: %w", kind, err)
	}
	signed, err := e.signed()
	if err != nil {
		return Envelope{}, fmt.Errorf("seal %s: %w", kind, err)
	}
	e.Signature = key.Sign(signed)
	return e, nil
}

// Open checks that e is a message of the given kind, whole, signed by its
// issuer and valid at now, and returns its body. Unknown fields in the body
// refuse. Whether the issuer may say this is for the caller to decide.
func Open[T any](e Envelope, kind Kind, now time.Time) (T, error) {
	return OpenBy[T](nil, e, kind, now)
}

// Replay is [Open] without the clock: for whoever verifies, years later, what
// was accepted then.
func Replay[T any](e Envelope, kind Kind) (T, error) { return ReplayBy[T](nil, e, kind) }

// Stored decodes the body of a message that [Open] accepted before it was stored
// where nobody else writes. It verifies nothing but the kind.
func Stored[T any](e Envelope, kind Kind) (T, error) {
	var body T
	if e.Kind != kind {
		return body, ErrKind
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return body, errors.Join(ErrMalformed, errors.New("decode body"))
	}
	return body, nil
}

// Check verifies everything of e that does not depend on the time of reading.
func (e Envelope) Check(kind Kind) error {
	switch {
	case e.Version != Version:
		return ErrVersion
	case e.Kind != kind:
		return ErrKind
	case len(e.Body) > MaxBody:
		return ErrMalformed
	}
	if nonce, err := hex.DecodeString(e.Nonce); err != nil || len(nonce) != nonceBytes {
		return ErrMalformed
	}
	if err := e.checkLifetime(); err != nil {
		return err
	}
	signed, err := e.signed()
	if err != nil {
		return ErrMalformed
	}
	if identity.Verify(e.Issuer, signed, e.Signature) != nil {
		return ErrSignature
	}
	return nil
}

func (e Envelope) checkLifetime() error {
	if life := e.Expires.Sub(e.Issued); life <= 0 || life > MaxLifetime {
		return ErrLifetime
	}
	return nil
}

// signed returns the bytes under the signature: a domain line and the
// canonical envelope without its signature.
func (e Envelope) signed() ([]byte, error) {
	e.Signature = nil
	e.Issued, e.Expires = e.Issued.UTC(), e.Expires.UTC()
	raw, err := canonical.Marshal(e)
	if err != nil {
		return nil, err
	}
	return append([]byte(domain), raw...), nil
}

// Digest identifies e: the SHA-256 of what was signed. It leaves the signature
// out, because one message can carry several valid ones. It is zero for an
// envelope whose body is not JSON, which [Envelope.Check] refuses.
func (e Envelope) Digest() Digest {
	signed, err := e.signed()
	if err != nil {
		return Digest{}
	}
	return sha256.Sum256(signed)
}

// decode reads exactly what was signed: the canonical form.
func decode[T any](raw []byte) (T, error) {
	var body T
	raw, err := canonical.Fields(raw)
	if err != nil {
		return body, errors.Join(ErrMalformed, err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
			return body, errors.Join(ErrMalformed, fmt.Errorf("unknown field %.42s", name))
		}
		return body, errors.Join(ErrMalformed, errors.New("decode body"))
	}
	return body, nil
}

// Parse reads one envelope from outside bytes. It checks form only.
func Parse(raw []byte) (Envelope, error) {
	if len(raw) > 2*MaxBody {
		return Envelope{}, ErrMalformed
	}
	return decode[Envelope](raw)
}

// String returns d as 64 hex digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is unset.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText writes d as 64 hex digits.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads 64 hex digits.
func (d *Digest) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(d) {
		return errors.New("message: a digest has 64 hex digits")
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// Sum returns the digest of raw.
func Sum(raw []byte) Digest { return sha256.Sum256(raw) }
