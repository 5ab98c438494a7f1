package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Fingerprint is the SHA-256 of a root certificate's DER form, 64 hex digits as
// text. It is what an invitation pins.
type Fingerprint [sha256.Size]byte

func fingerprintOf(cert *x509.Certificate) Fingerprint { return sha256.Sum256(cert.Raw) }

// String returns 64 hex digits.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// MarshalText writes 64 hex digits.
func (f Fingerprint) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads 64 hex digits.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(f)) {
		return errors.New("pki: a fingerprint has 64 hex digits")
	}
	_, err := hex.Decode(f[:], text)
	return err
}

// Holder is whom a node certificate is for.
type Holder struct {
	Name   string
	DID    identity.DID
	Serial Serial
}

// holderOf reads a leaf and checks that its parts agree: an Ed25519 key, its
// did:key as the only URI, the name as common name and only DNS name. Whether it
// is signed, and for what use, is the caller's check.
func holderOf(leaf *x509.Certificate) (Holder, error) {
	key, ok := leaf.PublicKey.(ed25519.PublicKey)
	if !ok {
		return Holder{}, ErrCertificate
	}
	h := Holder{Name: leaf.Subject.CommonName, DID: identity.FromPublicKey(key), Serial: serialOf(leaf)}
	switch {
	case leaf.IsCA, identity.CheckName(h.Name) != nil,
		len(leaf.URIs) != 1 || leaf.URIs[0].String() != string(h.DID),
		!slices.Equal(leaf.DNSNames, []string{h.Name}),
		len(leaf.IPAddresses)+len(leaf.EmailAddresses) != 0:
		return Holder{}, ErrCertificate
	}
	return h, nil
}

func serialOf(cert *x509.Certificate) Serial { return Serial(cert.SerialNumber.String()) }

// verifyNode returns the holder of a node certificate whose chain (leaf first)
// leads to root and is valid at now, else [ErrExpired] or [ErrCertificate].
func verifyNode(chain []*x509.Certificate, root *x509.Certificate, now time.Time) (Holder, error) {
	if err := verifyChain(chain, root, x509.VerifyOptions{
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		if invalid, found := errors.AsType[x509.CertificateInvalidError](err); found && invalid.Reason == x509.Expired && now.After(invalid.Cert.NotAfter) {
			return Holder{}, ErrExpired
		}
		return Holder{}, ErrCertificate
	}
	return holderOf(chain[0])
}

func verifyChain(chain []*x509.Certificate, root *x509.Certificate, opts x509.VerifyOptions) error {
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	opts.Roots = x509.NewCertPool()
	opts.Roots.AddCert(root)
	opts.Intermediates = x509.NewCertPool()
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(opts)
	return err
}

// Certificate is a node's certificate with its chain and the root it was
// enrolled under. It holds no secret. The zero value is none; only IsZero and
// TLS may be called on it.
type Certificate struct {
	chain  []*x509.Certificate // leaf first, without the root
	root   *x509.Certificate
	holder Holder
}

const maxChain = 4 // certificates in a chain; this package makes two

// newCertificate joins what the hub answered. It checks everything except time.
func newCertificate(chain []*x509.Certificate, root *x509.Certificate) (Certificate, error) {
	if len(chain) == 0 || len(chain) > maxChain || root.CheckSignatureFrom(root) != nil { // or an intermediate could stand in
		return Certificate{}, ErrCertificate
	}
	holder, err := verifyNode(chain, root, chain[0].NotBefore)
	if err != nil {
		return Certificate{}, err
	}
	return Certificate{chain: chain, root: root, holder: holder}, nil
}

// ParseCertificate reads what [Certificate.PEM] wrote and checks that leaf,
// chain and root belong together, but not whether it is still valid.
func ParseCertificate(text []byte) (Certificate, error) {
	certs, err := parseCertificates(text)
	if err != nil || len(certs) < 2 {
		return Certificate{}, ErrCertificate
	}
	last := len(certs) - 1
	return newCertificate(certs[:last], certs[last])
}

// PEM returns leaf, chain and root, for a file. None of it is secret.
func (c Certificate) PEM() []byte { return append(c.chainPEM(), encodeCertificates(c.root)...) }

func (c Certificate) chainPEM() []byte { return encodeCertificates(c.chain...) }

// Holder returns whom c is for.
func (c Certificate) Holder() Holder { return c.holder }

// NotBefore returns the first moment at which c is valid.
func (c Certificate) NotBefore() time.Time { return c.chain[0].NotBefore }

// NotAfter returns the last moment at which c is valid.
func (c Certificate) NotAfter() time.Time { return c.chain[0].NotAfter }

// Root returns the fingerprint of the root that c leads to.
func (c Certificate) Root() Fingerprint { return fingerprintOf(c.root) }

// Roots returns a pool with the root that c leads to, by which clients
// recognize the hub's HTTPS server.
func (c Certificate) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.root)
	return pool
}

// IsZero reports whether c holds no certificate.
func (c Certificate) IsZero() bool { return len(c.chain) == 0 }

// TLS returns c for a TLS client that holds key, which must be the key c is for.
func (c Certificate) TLS(key identity.Key) (tls.Certificate, error) {
	if c.IsZero() || key.IsZero() || key.DID() != c.holder.DID {
		return tls.Certificate{}, errors.New("pki: the certificate is for another key")
	}
	out := tls.Certificate{PrivateKey: key.Private(), Leaf: c.chain[0]}
	for _, cert := range c.chain {
		out.Certificate = append(out.Certificate, cert.Raw)
	}
	return out, nil
}

func encodeCertificates(certs ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a Buffer does not fail
	}
	return out.Bytes()
}

// parseCertificates reads one or more PEM certificates and nothing else, at
// most maxFile bytes and maxChain+1 certificates.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("certificates: over %d bytes", maxFile)
	}
	var certs []*x509.Certificate
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" || len(certs) > maxChain {
			return nil, errors.New("certificates: want a few PEM blocks of type CERTIFICATE")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("certificates: a block holds no certificate")
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("certificates: none")
	}
	return certs, nil
}
