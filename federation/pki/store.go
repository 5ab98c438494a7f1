package pki

import (
	"context"
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Serial is a certificate's serial number in decimal.
type Serial string

// Issued is a certificate that the authority is about to hand out.
type Issued struct {
	Serial    Serial
	Subject   identity.DID
	Name      string
	NotBefore time.Time
	NotAfter  time.Time
	DER       []byte
	Replaces  Serial // the certificate this one renews, empty after an enrollment
}

// Revocation takes away one certificate or, for good, everything a key has and
// could ever be given. Exactly one of Serial and Subject is set.
type Revocation struct {
	Serial  Serial
	Subject identity.DID
	Reason  string // at most 200 bytes, for the audit; never about a patient
	At      time.Time
}

// Store keeps what every replica of a hub has to agree on. The hub implements
// it over its state machine. A method that returns nil has made its change
// durable; when it returns an error the change may or may not have happened,
// and the authority hands nothing out. pkitest.TestStore checks an implementation.
type Store interface {
	// UseToken spends a one-time token. It reports true exactly once for an
	// id, even to concurrent callers. It may forget the id after expires,
	// since the authority refuses the token from then on.
	UseToken(ctx context.Context, id string, expires time.Time) (bool, error)

	// RecordCertificate notes a certificate. A serial that is known already
	// is an error.
	RecordCertificate(ctx context.Context, c Issued) error

	// Revoke notes a revocation. Revoking again changes nothing; the first
	// reason and time stay.
	Revoke(ctx context.Context, r Revocation) error

	// IsRevoked reports whether the certificate or its subject is revoked.
	// An empty serial or subject matches nothing.
	IsRevoked(ctx context.Context, serial Serial, subject identity.DID) (bool, error)
}
