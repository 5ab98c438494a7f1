package pki

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	smallstep "github.com/smallstep/certificates/authority/provisioner"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// KindRenewal is the kind of the envelope that POST /v1/renew takes. Its body
// is a [RenewalRequest], its issuer the key that the certificate is for.
const KindRenewal message.Kind = "pki/renewal"

// maxRenewalWindow bounds how long a renewal request may be valid, and with it
// how long the store remembers it.
const maxRenewalWindow = 10 * time.Minute

// EnrollRequest is the body of POST /v1/enroll.
type EnrollRequest struct {
	Token Token  `json:"token" doc:"The secret of the invitation; never logged" maxLength:"2048"`
	CSR   string `json:"csr" doc:"PKCS#10 certificate request in PEM form, signed with the node's Ed25519 key" maxLength:"16384"`
}

// RenewalRequest is the body of the envelope of POST /v1/renew.
type RenewalRequest struct {
	Certificate string `json:"certificate" doc:"PEM chain of the certificate to renew, leaf first"`
}

// Issuance answers both: the certificate with its chain, and the root for
// whoever wants to look at it. The node trusts only the root it has pinned.
type Issuance struct {
	Certificate string `json:"certificate" doc:"PEM chain, leaf first, without the root"`
	Root        string `json:"root" doc:"PEM root certificate"`
}

// Enroll spends req's token and signs its certificate request. The token is
// spent only when everything else is right; an answer that gets lost on the way
// needs a new invitation. Errors: [ErrToken], [ErrTokenExpired],
// [ErrTokenUsed], [ErrRequest], [ErrName], [ErrRevoked], or the store's.
func (a *Authority) Enroll(ctx context.Context, req EnrollRequest) (Issuance, error) {
	grant, err := a.tokens.verify(req.Token, a.cfg.Now())
	if err != nil {
		return Issuance{}, fmt.Errorf("enroll: %w", err)
	}
	csr, subject, err := parseRequest([]byte(req.CSR), grant.name)
	if err != nil {
		return Issuance{}, fmt.Errorf("enroll %s: %w", grant.name, err)
	}
	if err := revoked(ctx, a.cfg.Store, "", subject); err != nil {
		return Issuance{}, fmt.Errorf("enroll %s: %w", grant.name, err)
	}
	options, err := a.step.Authorize(smallstep.NewContextWithMethod(ctx, smallstep.SignMethod), string(req.Token))
	if err != nil {
		return Issuance{}, fmt.Errorf("enroll %s: %w", grant.name, foreign(err))
	}
	chain, err := a.step.SignWithContext(ctx, csr, smallstep.SignOptions{}, append(options, nameDID(subject))...)
	if err != nil {
		return Issuance{}, fmt.Errorf("enroll %s: %w", grant.name, foreign(err))
	}
	return a.issuance(chain), nil
}

// nameDID puts the DID of the request's key into the certificate.
func nameDID(did identity.DID) smallstep.CertificateEnforcer {
	return smallstep.CertificateEnforcerFunc(func(cert *x509.Certificate) error {
		uri, err := url.Parse(string(did))
		if err != nil {
			return err
		}
		cert.URIs = []*url.URL{uri}
		return nil
	})
}

// Renew signs a new certificate for the holder of a valid one, who proves it by
// signing e (a [RenewalRequest]) with the certificate's key. The old
// certificate stays valid until its own end. Errors: [ErrCertificate],
// [ErrExpired], [ErrRevoked], [ErrReplayed], those of [message.Open], or the
// store's.
func (a *Authority) Renew(ctx context.Context, e message.Envelope) (Issuance, error) {
	now := a.cfg.Now()
	req, err := message.Open[RenewalRequest](e, KindRenewal, now)
	if err != nil {
		return Issuance{}, fmt.Errorf("renew: %w", err)
	}
	if e.Expires.Sub(e.Issued) > maxRenewalWindow {
		return Issuance{}, fmt.Errorf("renew: %w", message.ErrLifetime)
	}
	chain, err := parseCertificates([]byte(req.Certificate))
	if err != nil {
		return Issuance{}, fmt.Errorf("renew: %w", ErrCertificate)
	}
	holder, err := verifyNode(chain, a.root, now)
	if err != nil {
		return Issuance{}, fmt.Errorf("renew: %w", err)
	}
	if holder.DID != e.Issuer {
		return Issuance{}, fmt.Errorf("renew %s: %w", holder.Name, ErrCertificate)
	}
	if err := revoked(ctx, a.cfg.Store, holder.Serial, holder.DID); err != nil {
		return Issuance{}, fmt.Errorf("renew %s: %w", holder.Name, err)
	}
	fresh, err := a.cfg.Store.UseToken(ctx, e.Digest().String(), e.Expires)
	if err != nil {
		return Issuance{}, fmt.Errorf("renew %s: %w", holder.Name, err)
	}
	if !fresh {
		return Issuance{}, fmt.Errorf("renew %s: %w", holder.Name, ErrReplayed)
	}
	renewed, err := a.step.RenewContext(ctx, chain[0], nil)
	if err != nil {
		return Issuance{}, fmt.Errorf("renew %s: %w", holder.Name, foreign(err))
	}
	return a.issuance(renewed), nil
}

// authorizeRenewal replaces smallstep's check of the validity, which reads the
// system's clock.
func (a *Authority) authorizeRenewal(_ context.Context, _ *smallstep.Controller, cert *x509.Certificate) error {
	if a.cfg.Now().After(cert.NotAfter) {
		return ErrExpired
	}
	return nil
}

// Revoke takes away a certificate or a key, now and for good; the caller sets
// r.At. It holds for renewals, client connections and later enrollments as soon
// as it returns.
func (a *Authority) Revoke(ctx context.Context, r Revocation) error {
	switch {
	case (r.Serial == "") == (r.Subject == ""):
		return errors.New("revoke: name either a serial number or a DID")
	case len(r.Reason) > 200:
		return errors.New("revoke: the reason is over 200 bytes")
	}
	if r.Subject != "" {
		if _, err := identity.ParseDID(string(r.Subject)); err != nil {
			return fmt.Errorf("revoke: %w", err)
		}
	}
	if err := a.cfg.Store.Revoke(ctx, r); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

func (a *Authority) issuance(chain []*x509.Certificate) Issuance {
	return Issuance{Certificate: string(encodeCertificates(chain...)), Root: string(a.RootPEM())}
}
