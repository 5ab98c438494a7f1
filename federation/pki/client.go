package pki

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// renewalWindow is how long the hub may take to read a renewal request; it
// allows for a node's clock that is off by minutes.
const renewalWindow = 5 * time.Minute

// ClientConfig configures a [Client].
type ClientConfig struct {
	// Timeout of one request, connecting included. Defaults to 30 s.
	Timeout time.Duration

	Now func() time.Time // Defaults to time.Now.
}

// Client asks a hub for certificates. It trusts no certificate authority but
// the one whose root is pinned, uses the HTTPS proxy of the environment, and
// keeps no connection open. It is safe for concurrent use.
type Client struct{ cfg ClientConfig }

// NewClient returns a Client that is ready to use.
func NewClient(cfg ClientConfig) *Client {
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Client{cfg}
}

// Enroll joins the hub of inv with key, which becomes the node's identity, and
// returns its certificate. The invitation is spent when Enroll succeeds, and
// may be spent when it fails with [ErrUndecided].
//
// Errors: [ErrInvitationExpired], [ErrRoot], what [Authority.Enroll] refuses,
// [ErrUndecided], or the network's.
func (c *Client) Enroll(ctx context.Context, inv Invitation, key identity.Key) (Certificate, error) {
	if err := inv.check(); err != nil {
		return Certificate{}, fmt.Errorf("enroll: %w", err)
	}
	if !c.cfg.Now().Before(inv.Expires) {
		return Certificate{}, fmt.Errorf("enroll: %w", ErrInvitationExpired)
	}
	csr, err := newRequest(key, inv.Name)
	if err != nil {
		return Certificate{}, fmt.Errorf("enroll %s: %w", inv.Name, err)
	}
	cert, err := c.post(ctx, inv.Hub.URL, EnrollPath, inv.Root, EnrollRequest{Token: inv.Token, CSR: string(csr)})
	if err == nil {
		err = undecided(c.usable(cert, inv.Name, key))
	}
	if err != nil {
		return Certificate{}, fmt.Errorf("enroll %s: %w", inv.Name, err)
	}
	return cert, nil
}

// Renew asks the hub at origin (as in [Endpoint.URL]) for the successor of cert,
// which must still be valid and belong to key. Errors: [ErrRoot], what
// [Authority.Renew] refuses, [ErrUndecided], or the network's.
func (c *Client) Renew(ctx context.Context, origin string, cert Certificate, key identity.Key) (Certificate, error) {
	if cert.IsZero() || key.IsZero() || cert.holder.DID != key.DID() {
		return Certificate{}, fmt.Errorf("renew: %w", ErrCertificate)
	}
	name := cert.holder.Name
	if err := checkURL(origin); err != nil {
		return Certificate{}, fmt.Errorf("renew %s: %w", name, err)
	}
	body := RenewalRequest{Certificate: string(cert.chainPEM())}
	e, err := message.Seal(key, KindRenewal, body, c.cfg.Now(), renewalWindow, rand.Reader)
	if err != nil {
		return Certificate{}, fmt.Errorf("renew %s: %w", name, err)
	}
	renewed, err := c.post(ctx, origin, RenewPath, cert.Root(), e)
	if err == nil {
		err = undecided(c.usable(renewed, name, key))
	}
	if err != nil {
		return Certificate{}, fmt.Errorf("renew %s: %w", name, err)
	}
	return renewed, nil
}

// undecided marks an error that leaves open whether the hub acted.
func undecided(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUndecided, err)
}

// usable checks what the hub returned: for this name and key, and valid now. A
// hub whose clock is days off is found out here and not at the first connection.
func (c *Client) usable(cert Certificate, name string, key identity.Key) error {
	now := c.cfg.Now()
	switch {
	case cert.holder.DID != key.DID() || cert.holder.Name != name:
		return ErrCertificate
	case now.Before(cert.NotBefore()) || now.After(cert.NotAfter()):
		return errors.New("the new certificate is not valid now: check the clocks of node and hub")
	}
	return nil
}

// post sends one request to the hub whose root is pinned and reads the
// certificate it answers with.
func (c *Client) post(ctx context.Context, origin, path string, pin Fingerprint, body any) (Certificate, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return Certificate{}, fmt.Errorf("encode request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(origin, "/")+path, bytes.NewReader(raw))
	if err != nil {
		return Certificate{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	var root *x509.Certificate
	resp, err := c.transport(req.URL, pin, &root).RoundTrip(req) // follows no redirect
	if err != nil && root == nil {
		return Certificate{}, err // the handshake did not end, so nothing was sent
	}
	if err != nil {
		return Certificate{}, undecided(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return Certificate{}, undecided(fmt.Errorf("read answer: %w", err))
	}
	if len(answer) > maxBody {
		return Certificate{}, undecided(fmt.Errorf("the hub's answer is over %d bytes", maxBody))
	}
	if resp.StatusCode != http.StatusOK {
		return Certificate{}, refusal(resp.StatusCode, answer)
	}
	cert, err := readIssuance(answer, root)
	return cert, undecided(err)
}

// readIssuance returns the certificate of an answer under the pinned root.
func readIssuance(answer []byte, root *x509.Certificate) (Certificate, error) {
	var issued Issuance
	if err := json.Unmarshal(answer, &issued); err != nil {
		return Certificate{}, errors.New("the hub's answer is malformed")
	}
	chain, err := parseCertificates([]byte(issued.Certificate))
	if err != nil {
		return Certificate{}, ErrCertificate
	}
	return newCertificate(chain, root)
}

// transport returns a transport for one request. It sets root to the server's
// root certificate once that has the pinned fingerprint and the server's
// certificate leads to it.
func (c *Client) transport(to *url.URL, pin Fingerprint, root **x509.Certificate) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 16 << 10,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS13,
			ServerName: to.Hostname(),
			// The usual verification would ask the system's roots.
			// VerifyConnection replaces it and runs on every handshake.
			InsecureSkipVerify: true,
			VerifyConnection: func(cs tls.ConnectionState) error {
				found, err := pinned(cs.PeerCertificates, pin, to.Hostname(), c.cfg.Now())
				*root = found
				return err
			},
		},
	}
}

// pinned returns the certificate of chain that has fingerprint pin, if the
// chain's leaf is a certificate for host that leads to it at now.
func pinned(chain []*x509.Certificate, pin Fingerprint, host string, now time.Time) (*x509.Certificate, error) {
	for _, cert := range chain {
		if fingerprintOf(cert) != pin {
			continue
		}
		if err := verifyChain(chain, cert, x509.VerifyOptions{
			DNSName:     host,
			CurrentTime: now,
			KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRoot, err)
		}
		return cert, nil
	}
	return nil, ErrRoot
}

// refusal turns the hub's problem document into the error it stands for. What
// is no document, or one about trouble of the hub's own, decides nothing.
func refusal(status int, body []byte) error {
	var doc problem.Document
	if err := json.Unmarshal(body, &doc); err != nil || doc.Title == "" {
		return undecided(fmt.Errorf("the hub answered with status %d", status))
	}
	err := doc.Err()
	if status >= http.StatusInternalServerError {
		return undecided(err)
	}
	return err
}
