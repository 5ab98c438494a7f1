package pki_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/federation/pki/pkitest"
)

func TestEnroll(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	key := newKey(t)
	text, err := h.invite(t, "st-olav", h.serve(t)).Encode()
	require.NoError(t, err)

	inv, err := pki.ParseInvitation(text)
	require.NoError(t, err)
	cert, err := h.client().Enroll(t.Context(), inv, key)
	require.NoError(t, err)

	require.Equal(t, "st-olav", cert.Holder().Name)
	require.Equal(t, key.DID(), cert.Holder().DID, "the certificate is for the node's identity")
	require.Equal(t, h.Fingerprint(), cert.Root())
	require.Equal(t, h.clock.now().Add(pki.DefaultLifetime), cert.NotAfter())

	issued := h.store.Issued()
	require.Len(t, issued, 1)
	require.Equal(t, cert.Holder().Serial, issued[0].Serial)
	require.Equal(t, key.DID(), issued[0].Subject)
	require.Equal(t, "st-olav", issued[0].Name)
	require.Empty(t, issued[0].Replaces)

	again, err := pki.ParseCertificate(cert.PEM())
	require.NoError(t, err)
	require.Equal(t, cert.Holder(), again.Holder(), "the file says the same")

	leaf, err := x509.ParseCertificate(issued[0].DER)
	require.NoError(t, err)
	require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, leaf.ExtKeyUsage, "a node cannot pass for the hub")
	require.False(t, leaf.IsCA)
	require.Equal(t, string(key.DID()), leaf.URIs[0].String())
}

// OpenSSL is the outside opinion on the certificates.
func TestCertificateSatisfiesOpenSSL(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	h := newHub(t)
	cert, key := h.member(t, "st-olav")
	path := filepath.Join(t.TempDir(), "node.pem")
	require.NoError(t, os.WriteFile(path, cert.PEM(), 0o600))
	verify := func(purpose string) ([]byte, error) {
		return exec.CommandContext(t.Context(), openssl, "verify", "-purpose", purpose, "-no-CApath", "-no-CAstore",
			"-CAfile", filepath.Join(authorityDir(), "root.crt"), "-untrusted", path, path).CombinedOutput()
	}
	out, err := verify("sslclient")
	require.NoError(t, err, string(out))
	_, err = verify("sslserver")
	require.Error(t, err)
	shown, err := exec.CommandContext(t.Context(), openssl, "x509", "-in", path, "-noout", "-ext", "subjectAltName").CombinedOutput()
	require.NoError(t, err, string(shown))
	require.Contains(t, string(shown), "DNS:st-olav, URI:"+string(key.DID()))
}

func TestEnrollRefuses(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	good := request(t, key, x509.CertificateRequest{}, "st-olav")
	shared := newHub(t)
	flip := func(text string, at int) string {
		c := byte('A')
		if text[at] == c {
			c = 'B'
		}
		return text[:at] + string(c) + text[at+1:]
	}
	swapPayload := func(h *hub, token string) string {
		other := strings.Split(string(h.invite(t, "charite", "https://hub.test").Token), ".")
		parts := strings.Split(token, ".")
		return parts[0] + "." + other[1] + "." + parts[2]
	}
	for name, tc := range map[string]struct {
		change func(t *testing.T, h *hub, req *pki.EnrollRequest)
		want   error
	}{
		"a token altered in its header": {func(_ *testing.T, _ *hub, r *pki.EnrollRequest) { r.Token = pki.Token(flip(string(r.Token), 9)) }, pki.ErrToken},
		"a token altered in its claims": {func(_ *testing.T, _ *hub, r *pki.EnrollRequest) {
			r.Token = pki.Token(flip(string(r.Token), len(r.Token)/2))
		}, pki.ErrToken},
		"a token altered in its signature": {func(_ *testing.T, _ *hub, r *pki.EnrollRequest) {
			r.Token = pki.Token(flip(string(r.Token), len(r.Token)-5))
		}, pki.ErrToken},
		"another token's claims":    {func(_ *testing.T, h *hub, r *pki.EnrollRequest) { r.Token = pki.Token(swapPayload(h, string(r.Token))) }, pki.ErrToken},
		"a token without signature": {func(_ *testing.T, _ *hub, r *pki.EnrollRequest) { r.Token = unsigned(r.Token) }, pki.ErrToken},
		"no token":                  {func(_ *testing.T, _ *hub, r *pki.EnrollRequest) { r.Token = "" }, pki.ErrToken},
		"an endless token":          {func(_ *testing.T, _ *hub, r *pki.EnrollRequest) { r.Token += pki.Token(strings.Repeat("A", 4096)) }, pki.ErrToken},
		"another hub's token":       {func(t *testing.T, _ *hub, r *pki.EnrollRequest) { r.Token = otherHubsToken(t) }, pki.ErrToken},
		"an expired token":          {func(_ *testing.T, h *hub, _ *pki.EnrollRequest) { h.clock.advance(time.Hour) }, pki.ErrTokenExpired},
		"a request for another name": {func(t *testing.T, _ *hub, r *pki.EnrollRequest) {
			r.CSR = request(t, key, x509.CertificateRequest{}, "charite")
		}, pki.ErrName},
		"a request for a second name": {func(t *testing.T, _ *hub, r *pki.EnrollRequest) {
			r.CSR = request(t, key, x509.CertificateRequest{DNSNames: []string{"hub.test"}}, "st-olav")
		}, pki.ErrName},
		"a request for an address": {func(t *testing.T, _ *hub, r *pki.EnrollRequest) {
			r.CSR = request(t, key, x509.CertificateRequest{IPAddresses: []net.IP{{127, 0, 0, 1}}}, "st-olav")
		}, pki.ErrName},
		"a request for another's DID": {func(t *testing.T, _ *hub, r *pki.EnrollRequest) {
			r.CSR = request(t, key, x509.CertificateRequest{URIs: []*url.URL{{Scheme: "did", Opaque: "key:z6Mk"}}}, "st-olav")
		}, pki.ErrName},
		"a request for an ECDSA key":        {func(t *testing.T, _ *hub, r *pki.EnrollRequest) { r.CSR = ecdsaRequest(t) }, pki.ErrRequest},
		"a request with a broken signature": {func(t *testing.T, _ *hub, r *pki.EnrollRequest) { r.CSR = brokenRequest(t, r.CSR) }, pki.ErrRequest},
		"a request that is no request":      {func(_ *testing.T, h *hub, r *pki.EnrollRequest) { r.CSR = string(h.RootPEM()) }, pki.ErrRequest},
		"an endless request":                {func(_ *testing.T, _ *hub, r *pki.EnrollRequest) { r.CSR = strings.Repeat("A", 1<<20) }, pki.ErrRequest},
		"no request":                        {func(_ *testing.T, _ *hub, r *pki.EnrollRequest) { r.CSR = "" }, pki.ErrRequest},
		"a revoked key": {func(t *testing.T, h *hub, _ *pki.EnrollRequest) {
			require.NoError(t, h.Revoke(t.Context(), pki.Revocation{Subject: key.DID(), At: h.clock.now()}))
		}, pki.ErrRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := shared
			if tc.want == pki.ErrTokenExpired || tc.want == pki.ErrRevoked { // these change the hub for all
				h = newHub(t)
			}
			token := h.invite(t, "st-olav", "https://hub.test").Token
			req := pki.EnrollRequest{Token: token, CSR: good}
			tc.change(t, h, &req)

			issued, err := h.Enroll(t.Context(), req)
			require.ErrorIs(t, err, tc.want)
			requireNoSecret(t, err, string(token))
			require.Zero(t, issued)
			for _, cert := range h.store.Issued() {
				require.NotEqual(t, key.DID(), cert.Subject)
			}

			if tc.want != pki.ErrTokenExpired {
				other := request(t, newKey(t), x509.CertificateRequest{}, "st-olav")
				_, err = h.Enroll(t.Context(), pki.EnrollRequest{Token: token, CSR: other})
				require.NoError(t, err, "a refused request does not spend the token")
			}
		})
	}
}

func TestTokenIsSpentOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	token := h.invite(t, "st-olav", "https://hub.test").Token
	var accepted, used atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		csr := request(t, newKey(t), x509.CertificateRequest{}, "st-olav")
		wg.Go(func() {
			_, err := h.Enroll(t.Context(), pki.EnrollRequest{Token: token, CSR: csr})
			switch {
			case err == nil:
				accepted.Add(1)
			case errors.Is(err, pki.ErrTokenUsed):
				used.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, accepted.Load())
	require.EqualValues(t, 7, used.Load())

	// Another replica, or the same hub after a restart, on the same store.
	restarted := newHub(t, func(cfg *pki.Config) { cfg.Store = h.store })
	_, err := restarted.Enroll(t.Context(), pki.EnrollRequest{Token: token, CSR: request(t, newKey(t), x509.CertificateRequest{}, "st-olav")})
	require.ErrorIs(t, err, pki.ErrTokenUsed)
	requireNoSecret(t, err, string(token))
}

func TestInvitationSurvivesARestart(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	token := h.invite(t, "st-olav", "https://hub.test").Token
	restarted := newHub(t, func(cfg *pki.Config) { cfg.Store = h.store })
	_, err := restarted.Enroll(t.Context(), pki.EnrollRequest{Token: token, CSR: request(t, newKey(t), x509.CertificateRequest{}, "st-olav")})
	require.NoError(t, err)
}

func TestStoreFaultHandsNothingOut(t *testing.T) {
	t.Parallel()
	for _, fault := range []faultyStore{
		{op: "use"}, {op: "use", after: true}, {op: "record"}, {op: "record", after: true}, {op: "revoked"},
	} {
		t.Run(fmt.Sprintf("%s, after it took hold: %t", fault.op, fault.after), func(t *testing.T) {
			t.Parallel()
			store := new(pkitest.Store)
			fault.Store = store
			h := newHub(t, func(cfg *pki.Config) { cfg.Store = fault })
			inv := h.invite(t, "st-olav", "https://hub.test")
			issued, err := h.Enroll(t.Context(), pki.EnrollRequest{Token: inv.Token, CSR: request(t, newKey(t), x509.CertificateRequest{}, "st-olav")})
			require.ErrorContains(t, err, errStore.Error())
			requireNoSecret(t, err, string(inv.Token))
			require.Zero(t, issued)
		})
	}
}

func TestInviteRefuses(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	at := pki.Endpoint{URL: "https://hub.test"}
	for name, tc := range map[string]struct {
		node string
		ttl  time.Duration
		hub  pki.Endpoint
	}{
		"no name":                 {"", time.Hour, at},
		"upper case":              {"St-Olav", time.Hour, at},
		"a space":                 {"st olav", time.Hour, at},
		"an address":              {"10.0.0.1", time.Hour, at},
		"a mail address":          {"a@b.example", time.Hour, at},
		"a DID":                   {"did:key:z6Mk", time.Hour, at},
		"an empty label":          {"a..b", time.Hour, at},
		"a hyphen at the end":     {"a-", time.Hour, at},
		"64 bytes":                {strings.Repeat("a", 64), time.Hour, at},
		"the hub's own name":      {"hub.test", time.Hour, at},
		"no time":                 {"st-olav", 0, at},
		"too long":                {"st-olav", pki.MaxInvitation + time.Second, at},
		"a hub without HTTPS":     {"st-olav", time.Hour, pki.Endpoint{URL: "http://hub.test"}},
		"an address that is none": {"st-olav", time.Hour, pki.Endpoint{URL: at.URL, Addresses: []string{"hub.test:4001"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := h.Invite(tc.node, tc.ttl, tc.hub)
			require.Error(t, err)
		})
	}
}

// unsigned returns token with the algorithm "none" (RFC 7519, section 6).
func unsigned(token pki.Token) pki.Token {
	const none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0" // {"alg":"none","typ":"JWT"}
	return pki.Token(none + "." + strings.Split(string(token), ".")[1] + ".")
}

func otherHubsToken(t *testing.T) pki.Token {
	other, err := pki.Open(otherDir(), pki.Config{Store: new(pkitest.Store), Hosts: []string{"hub.test"}})
	require.NoError(t, err)
	inv, err := other.Invite("st-olav", time.Hour, pki.Endpoint{URL: "https://hub.test"})
	require.NoError(t, err)
	return inv.Token
}

func ecdsaRequest(t *testing.T) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.CertificateRequest{DNSNames: []string{"st-olav"}}
	template.Subject.CommonName = "st-olav"
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// brokenRequest claims another's key: the last byte of the signature differs.
func brokenRequest(t *testing.T, csr string) string {
	block, _ := pem.Decode([]byte(csr))
	require.NotNil(t, block)
	block.Bytes[len(block.Bytes)-1] ^= 1
	return string(pem.EncodeToMemory(block))
}
