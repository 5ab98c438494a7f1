package pki_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// parse reads certificates in PEM form, or the DER of several.
func parse(t testing.TB, raw ...[]byte) []*x509.Certificate {
	t.Helper()
	var out []*x509.Certificate
	for _, data := range raw {
		der := data
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			cert, err := x509.ParseCertificate(block.Bytes)
			require.NoError(t, err)
			out = append(out, cert)
			der = nil
		}
		if der != nil {
			cert, err := x509.ParseCertificate(der)
			require.NoError(t, err)
			out = append(out, cert)
		}
	}
	return out
}

func TestClientRenews(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	url := h.serve(t)
	key := newKey(t)
	cert, err := h.client().Enroll(t.Context(), h.invite(t, "st-olav", url), key)
	require.NoError(t, err)
	h.clock.advance(20 * 24 * time.Hour)
	renewed, err := h.client().Renew(t.Context(), url, cert, key)
	require.NoError(t, err)
	require.Equal(t, h.clock.now().Add(pki.DefaultLifetime), renewed.NotAfter())

	_, err = h.client().Renew(t.Context(), url, cert, newKey(t))
	require.ErrorIs(t, err, pki.ErrCertificate, "with another key")

	require.NoError(t, h.Revoke(t.Context(), pki.Revocation{Subject: key.DID(), At: h.clock.now()}))
	_, err = h.client().Renew(t.Context(), url, renewed, key)
	require.ErrorIs(t, err, pki.ErrRevoked, "the refusal keeps its name across the network")
}

func TestEnrollTellsWhyAcrossTheNetwork(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	inv := h.invite(t, "st-olav", h.serve(t))
	_, err := h.client().Enroll(t.Context(), inv, newKey(t))
	require.NoError(t, err)

	_, err = h.client().Enroll(t.Context(), inv, newKey(t))
	require.ErrorIs(t, err, pki.ErrTokenUsed)
	require.NotErrorIs(t, err, pki.ErrUndecided, "a refusal is sure")
	requireNoSecret(t, err, string(inv.Token))

	renamed := h.invite(t, "st-olav", inv.Hub.URL)
	renamed.Name = "charite"
	_, err = h.client().Enroll(t.Context(), renamed, newKey(t))
	require.ErrorIs(t, err, pki.ErrName)

	h.clock.advance(2 * time.Hour)
	_, err = h.client().Enroll(t.Context(), inv, newKey(t))
	require.ErrorIs(t, err, pki.ErrInvitationExpired)
}

// A client that does not reach the hub it was invited to must not say anything.
func TestClientRefusesTheWrongServer(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var asked atomic.Int32
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	own := selfSigned(t, "127.0.0.1")
	impostor := tls.Certificate{ // a leaf of its own with the hub's real root behind it
		Certificate: [][]byte{own.Certificate[0], parse(t, h.RootPEM())[0].Raw},
		PrivateKey:  own.PrivateKey,
	}
	foreign, err := pki.Open(otherDir(), pki.Config{Store: h.store, Hosts: []string{"127.0.0.1"}})
	require.NoError(t, err)
	elsewhere := newHub(t, func(cfg *pki.Config) { cfg.Hosts = []string{"other.test"} })
	expired := newHub(t)
	_, err = expired.ServerTLS().GetCertificate(nil) // made now, shown in a year
	require.NoError(t, err)

	for name, config := range map[string]*tls.Config{
		"another authority":            foreign.ServerTLS(),
		"a self-signed certificate":    {Certificates: []tls.Certificate{own}},
		"the real root behind a lie":   {Certificates: []tls.Certificate{impostor}},
		"a certificate for other host": elsewhere.ServerTLS(),
	} {
		t.Run(name, func(t *testing.T) {
			url := serveTLS(t, &http.Server{Handler: handler, TLSConfig: config})
			inv := h.invite(t, "st-olav", url)
			_, err := h.client().Enroll(t.Context(), inv, newKey(t))
			require.ErrorIs(t, err, pki.ErrRoot)
			require.NotErrorIs(t, err, pki.ErrUndecided, "the token did not leave")
			requireNoSecret(t, err, string(inv.Token))
		})
	}
	t.Run("another fingerprint", func(t *testing.T) {
		inv := h.invite(t, "st-olav", serveTLS(t, &http.Server{Handler: handler, TLSConfig: h.ServerTLS()}))
		inv.Root[0] ^= 1
		_, err := h.client().Enroll(t.Context(), inv, newKey(t))
		require.ErrorIs(t, err, pki.ErrRoot)
	})
	t.Run("an expired server certificate", func(t *testing.T) {
		inv := h.invite(t, "st-olav", serveTLS(t, &http.Server{Handler: handler, TLSConfig: expired.ServerTLS()}))
		inv.Expires = inv.Expires.AddDate(2, 0, 0)
		late := pki.NewClient(pki.ClientConfig{Now: func() time.Time { return h.clock.now().AddDate(1, 0, 0) }})
		_, err := late.Enroll(t.Context(), inv, newKey(t))
		require.ErrorIs(t, err, pki.ErrRoot)
	})
	require.Zero(t, asked.Load(), "no request was sent")
}

// A hub that holds the right key may still answer wrongly.
func TestClientRefusesTheWrongAnswer(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	others, _ := h.member(t, "st-olav")
	foreign, _ := otherHubsMember(t)
	answer := func(cert pki.Certificate) string {
		raw, err := json.Marshal(pki.Issuance{Certificate: string(cert.PEM())})
		require.NoError(t, err)
		return string(raw)
	}
	for name, tc := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"a certificate for another key":     {http.StatusOK, answer(others), pki.ErrCertificate},
		"another authority's certificate":   {http.StatusOK, answer(foreign), pki.ErrCertificate},
		"no certificate":                    {http.StatusOK, `{}`, pki.ErrCertificate},
		"no JSON":                           {http.StatusOK, `<html>`, nil},
		"an endless answer":                 {http.StatusOK, strings.Repeat(" ", 1<<20), nil},
		"an error that is no problem":       {http.StatusBadGateway, `<html>`, nil},
		"trouble of the hub's own":          {http.StatusServiceUnavailable, `{"type":"urn:trialmesh:problem:unavailable","title":"busy"}`, nil},
		"a redirect, which is not followed": {http.StatusTemporaryRedirect, ``, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serveTLS(t, &http.Server{TLSConfig: h.ServerTLS(), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://attacker.test/")
				w.WriteHeader(tc.status)
				_, _ = fmt.Fprint(w, tc.body)
			})})
			inv := h.invite(t, "st-olav", url)
			_, err := h.client().Enroll(t.Context(), inv, newKey(t))
			requireNoSecret(t, err, string(inv.Token))
			require.ErrorIs(t, err, pki.ErrUndecided)
			if tc.want != nil {
				require.ErrorIs(t, err, tc.want)
			}
		})
	}
}

func TestClientGivesUpInTime(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts, never answers
	require.NoError(t, err)
	defer listener.Close()
	client := pki.NewClient(pki.ClientConfig{Now: h.clock.now, Timeout: 50 * time.Millisecond})
	_, err = client.Enroll(t.Context(), h.invite(t, "st-olav", "https://"+listener.Addr().String()), newKey(t))
	require.Error(t, err)
}

func TestParseCertificateRefuses(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cert, _ := h.member(t, "st-olav")
	foreign, _ := otherHubsMember(t)
	good := string(cert.PEM())
	parts := strings.SplitAfter(good, "-----END CERTIFICATE-----\n")
	otherRoot := strings.SplitAfter(string(foreign.PEM()), "-----END CERTIFICATE-----\n")[2]
	for name, text := range map[string]string{
		"nothing":           "",
		"no PEM":            "certificate",
		"only the leaf":     parts[0],
		"no root":           parts[0] + parts[1],
		"no intermediate":   parts[0] + parts[2],
		"another root":      parts[0] + parts[1] + otherRoot,
		"the wrong order":   parts[2] + parts[1] + parts[0],
		"too many":          strings.Repeat(parts[0], 10),
		"something else":    good + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"a cut certificate": good[:len(good)-40],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pki.ParseCertificate([]byte(text))
			require.Error(t, err)
		})
	}
	_, err := pki.Certificate{}.TLS(newKey(t))
	require.Error(t, err)
	_, err = cert.TLS(newKey(t))
	require.Error(t, err, "another key")
	_, err = cert.TLS(identity.Key{})
	require.Error(t, err, "no key")
}

func selfSigned(t *testing.T, host string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: host},
		IPAddresses:  []net.IP{net.ParseIP(host)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
