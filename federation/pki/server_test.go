package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// greeting answers with the name of the node that calls.
func greeting(h *hub) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 {
			_, _ = io.WriteString(w, "stranger")
			return
		}
		holder, err := h.VerifyClient(r.Context(), r.TLS.PeerCertificates)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, holder.Name)
	})
}

// call opens a new connection to url, with the client certificate if there is one.
func (h *hub) call(t *testing.T, url string, certs ...tls.Certificate) (string, error) {
	t.Helper()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(h.RootPEM()))
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: certs, Time: h.clock.now},
	}}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return readAll(t, resp.Body), nil
}

func forTLS(t *testing.T, cert pki.Certificate, key identity.Key) tls.Certificate {
	t.Helper()
	out, err := cert.TLS(key)
	require.NoError(t, err)
	return out
}

func TestServerKnowsItsClients(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	url := serveTLS(t, &http.Server{Handler: greeting(h), TLSConfig: h.ServerTLS()})
	cert, key := h.member(t, "st-olav")

	text, err := h.call(t, url)
	require.NoError(t, err)
	require.Equal(t, "stranger", text, "a browser has no certificate")

	text, err = h.call(t, url, forTLS(t, cert, key))
	require.NoError(t, err)
	require.Equal(t, "st-olav", text)

	foreign, foreignKey := otherHubsMember(t)
	chain := forTLS(t, foreign, foreignKey)
	force := tls.Certificate{Certificate: chain.Certificate, PrivateKey: chain.PrivateKey}
	_, err = h.callForcing(t, url, force)
	require.Error(t, err, "another authority's certificate")

	require.NoError(t, h.Revoke(t.Context(), pki.Revocation{Serial: cert.Holder().Serial, At: h.clock.now()}))
	_, err = h.call(t, url, forTLS(t, cert, key))
	require.Error(t, err, "a revoked certificate")

	late, lateKey := h.member(t, "charite")
	h.clock.advance(pki.DefaultLifetime + time.Second)
	_, err = h.call(t, url, forTLS(t, late, lateKey))
	require.Error(t, err, "an expired certificate")
	text, err = h.call(t, url)
	require.NoError(t, err, "the server's own certificate was renewed")
	require.Equal(t, "stranger", text)
}

// callForcing offers cert even though the server does not list its issuer.
func (h *hub) callForcing(t *testing.T, url string, cert tls.Certificate) (string, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify:   true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil },
	}}}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return readAll(t, resp.Body), nil
}

func TestVerifyClient(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cert, key := h.member(t, "st-olav")
	chain := parse(t, cert.PEM())[:2]

	holder, err := h.VerifyClient(t.Context(), chain)
	require.NoError(t, err)
	require.Equal(t, cert.Holder(), holder)

	_, err = h.VerifyClient(t.Context(), nil)
	require.ErrorIs(t, err, pki.ErrCertificate)
	_, err = h.VerifyClient(t.Context(), chain[1:])
	require.ErrorIs(t, err, pki.ErrCertificate, "the intermediate is nobody's")
	foreign, _ := otherHubsMember(t)
	_, err = h.VerifyClient(t.Context(), parse(t, foreign.PEM()))
	require.ErrorIs(t, err, pki.ErrCertificate, "a chain to a root of its own")

	broken := newHub(t, func(cfg *pki.Config) { cfg.Store = faultyStore{Store: h.store, op: "revoked"} })
	_, err = broken.VerifyClient(t.Context(), chain)
	require.ErrorIs(t, err, errStore, "nobody passes while the store is silent")

	require.NoError(t, h.Revoke(t.Context(), pki.Revocation{Subject: key.DID(), At: h.clock.now()}))
	_, err = h.VerifyClient(t.Context(), chain)
	require.ErrorIs(t, err, pki.ErrRevoked)
	h.clock.advance(pki.DefaultLifetime + time.Second)
	_, err = h.VerifyClient(t.Context(), chain)
	require.ErrorIs(t, err, pki.ErrExpired)
}

func TestServerCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	get := h.ServerTLS().GetCertificate
	first, err := get(nil)
	require.NoError(t, err)
	h.clock.advance(pki.DefaultLifetime / 2)
	same, err := get(nil)
	require.NoError(t, err)
	require.Equal(t, first.Leaf.SerialNumber, same.Leaf.SerialNumber)
	h.clock.advance(pki.DefaultLifetime / 4)
	second, err := get(nil)
	require.NoError(t, err)
	require.NotEqual(t, first.Leaf.SerialNumber, second.Leaf.SerialNumber)
	require.True(t, h.clock.now().Before(first.Leaf.NotAfter), "before the old one ends")
	require.Empty(t, second.Leaf.URIs, "the server is nobody's node")
	_, err = h.VerifyClient(t.Context(), []*x509.Certificate{second.Leaf, parse(t, second.Certificate...)[1]})
	require.ErrorIs(t, err, pki.ErrCertificate)
}

func TestHandlerAnswersWithProblems(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	url := h.serve(t)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(h.RootPEM()))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
	token := string(h.invite(t, "st-olav", url).Token)
	for name, tc := range map[string]struct {
		path, body string
		want       *problem.Error
	}{
		"not JSON":            {pki.EnrollPath, "{", pki.ErrMalformed},
		"a duplicate name":    {pki.EnrollPath, `{"token":"` + token + `","token":"","csr":""}`, pki.ErrMalformed},
		"an unknown field":    {pki.EnrollPath, `{"token":"` + token + `","csr":"","sans":["hub.test"]}`, pki.ErrMalformed},
		"a wrong type":        {pki.EnrollPath, `{"token":["` + token + `"],"csr":""}`, pki.ErrMalformed},
		"two values":          {pki.EnrollPath, `{"token":"","csr":""} {}`, pki.ErrMalformed},
		"invalid UTF-8":       {pki.EnrollPath, "{\"token\":\"\xff\",\"csr\":\"\"}", pki.ErrMalformed},
		"nested very deep":    {pki.EnrollPath, strings.Repeat("[", 10000), pki.ErrMalformed},
		"too large":           {pki.EnrollPath, `{"token":"` + strings.Repeat("a", 1<<17) + `"}`, pki.ErrTooLarge},
		"no request inside":   {pki.EnrollPath, `{"token":"` + token + `","csr":"` + token + `"}`, pki.ErrRequest},
		"a renewal that lies": {pki.RenewPath, `{"version":2}`, problem.Refusal("message.version", "the envelope has a version this program does not read")},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := client.Post(url+tc.path, "application/json", strings.NewReader(tc.body))
			require.NoError(t, err)
			defer resp.Body.Close()
			want := problem.From(tc.want)
			require.Equal(t, want.Status, resp.StatusCode)
			require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
			body := readAll(t, resp.Body)
			require.Contains(t, body, tc.want.Public)
			require.NotContains(t, body, token)
		})
	}
	resp, err := client.Get(url + pki.EnrollPath)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
}
