package pki

import (
	"crypto"
	"crypto/x509"
	"time"

	casapi "github.com/smallstep/certificates/cas/apiv1"
	"go.step.sm/crypto/x509util"
)

// backdate lets a certificate begin before it was issued, for nodes whose
// clock is behind the hub's.
const backdate = 5 * time.Minute

// issuer signs leaf certificates with the intermediate key, on our clock. It
// stands in for smallstep's software signer, which reads the system's. It alone
// decides how long a leaf lives, so renewal follows a changed Config.Lifetime.
type issuer struct {
	intermediate *x509.Certificate
	key          crypto.Signer
	lifetime     time.Duration
	now          func() time.Time
}

var _ casapi.CertificateAuthorityService = (*issuer)(nil)

// sign issues template, valid from now for the lifetime, but never beyond the
// intermediate's own end.
func (i *issuer) sign(template *x509.Certificate) (*x509.Certificate, error) {
	now := i.now().UTC().Truncate(time.Second)
	template.NotBefore = now.Add(-backdate)
	template.NotAfter = now.Add(i.lifetime)
	if template.NotAfter.After(i.intermediate.NotAfter) {
		template.NotAfter = i.intermediate.NotAfter
	}
	return x509util.CreateCertificate(template, i.intermediate, template.PublicKey, i.key)
}

// CreateCertificate signs a certificate for an enrollment.
func (i *issuer) CreateCertificate(req *casapi.CreateCertificateRequest) (*casapi.CreateCertificateResponse, error) {
	leaf, err := i.sign(req.Template)
	if err != nil {
		return nil, err
	}
	return &casapi.CreateCertificateResponse{Certificate: leaf, CertificateChain: []*x509.Certificate{i.intermediate}}, nil
}

// RenewCertificate signs a certificate for a renewal.
func (i *issuer) RenewCertificate(req *casapi.RenewCertificateRequest) (*casapi.RenewCertificateResponse, error) {
	leaf, err := i.sign(req.Template)
	if err != nil {
		return nil, err
	}
	return &casapi.RenewCertificateResponse{Certificate: leaf, CertificateChain: []*x509.Certificate{i.intermediate}}, nil
}

// RevokeCertificate has nothing to do: revocation is what the [Store] says.
func (i *issuer) RevokeCertificate(req *casapi.RevokeCertificateRequest) (*casapi.RevokeCertificateResponse, error) {
	return &casapi.RevokeCertificateResponse{Certificate: req.Certificate, CertificateChain: []*x509.Certificate{i.intermediate}}, nil
}
