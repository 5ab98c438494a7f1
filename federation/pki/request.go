package pki

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

const (
	maxRequest  = 16 << 10 // bytes of a PEM certificate request
	requestType = "CERTIFICATE REQUEST"
)

// newRequest returns a PEM certificate request (PKCS#10) for name, signed with key.
func newRequest(key identity.Key, name string) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: name},
		DNSNames: []string{name},
	}, key.Private())
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: requestType, Bytes: der}), nil
}

// parseRequest reads a certificate request for name and returns it with the DID
// of the key that signed it. The request proves possession of that key.
func parseRequest(text []byte, name string) (*x509.CertificateRequest, identity.DID, error) {
	if len(text) > maxRequest {
		return nil, "", ErrRequest
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != requestType {
		return nil, "", ErrRequest
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, "", ErrRequest
	}
	key, ok := csr.PublicKey.(ed25519.PublicKey)
	if !ok || csr.CheckSignature() != nil {
		return nil, "", ErrRequest
	}
	if csr.Subject.CommonName != name || !slices.Equal(csr.DNSNames, []string{name}) ||
		len(csr.IPAddresses)+len(csr.EmailAddresses)+len(csr.URIs) != 0 {
		return nil, "", ErrName
	}
	return csr, identity.FromPublicKey(key), nil
}
