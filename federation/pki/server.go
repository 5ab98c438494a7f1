package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"time"
)

// serverCertificate is the hub's own HTTPS certificate. Its key lives in memory
// only: clients pin the root, so a restart may change it.
type serverCertificate struct {
	tls     tls.Certificate
	renewAt time.Time
	expires time.Time
}

// ServerTLS returns the configuration of the hub's HTTPS server (TLS 1.3). Its
// certificate is made at the first handshake and again after two thirds of its
// lifetime. It comes with the root, which joining nodes compare with the
// fingerprint they were given.
//
// A client certificate is optional, since browsers have none; one that is
// offered must pass [Authority.VerifyClient] or the handshake fails.
func (a *Authority) ServerTLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       a.cfg.Now,
		ClientAuth: tls.VerifyClientCertIfGiven,
		ClientCAs:  pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return a.serverCertificate()
		},
		// Unlike VerifyPeerCertificate, this also runs for resumed sessions.
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return nil
			}
			_, err := a.VerifyClient(context.Background(), cs.PeerCertificates)
			return err
		},
	}
}

// VerifyClient returns the node that presents chain (leaf first): issued here,
// valid now, not revoked. Otherwise the error is [ErrCertificate],
// [ErrExpired], [ErrRevoked] or the store's; without an answer from the store
// nobody passes. It waits at most ten seconds.
func (a *Authority) VerifyClient(ctx context.Context, chain []*x509.Certificate) (Holder, error) {
	holder, err := verifyNode(chain, a.root, a.cfg.Now())
	if err != nil {
		return Holder{}, fmt.Errorf("verify client: %w", err)
	}
	if err := revoked(ctx, a.cfg.Store, holder.Serial, holder.DID); err != nil {
		return Holder{}, fmt.Errorf("verify client %s: %w", holder.Name, err)
	}
	return holder, nil
}

func (a *Authority) serverCertificate() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.cfg.Now()
	if a.server != nil && now.Before(a.server.renewAt) {
		return &a.server.tls, nil
	}
	fresh, err := a.issueServer()
	switch {
	case err == nil:
		a.server = fresh
	case a.server == nil || now.After(a.server.expires):
		return nil, fmt.Errorf("issue server certificate: %w", err)
	}
	return &a.server.tls, nil
}

func (a *Authority) issueServer() (*serverCertificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Trialmesh hub"},
		PublicKey:   key.Public(),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range a.cfg.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	leaf, err := a.issuer.sign(template)
	if err != nil {
		return nil, err
	}
	return &serverCertificate{
		tls: tls.Certificate{
			Certificate: [][]byte{leaf.Raw, a.intermediate.Raw, a.root.Raw},
			PrivateKey:  key,
			Leaf:        leaf,
		},
		renewAt: twoThirds(leaf.NotBefore, leaf.NotAfter),
		expires: leaf.NotAfter,
	}, nil
}

func twoThirds(from, to time.Time) time.Time { return from.Add(to.Sub(from) / 3 * 2) }
