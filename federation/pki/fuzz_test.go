package pki_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/pki"
)

func FuzzParseInvitation(f *testing.F) {
	text, err := pki.Invitation{
		Name:    "st-olav",
		Hub:     pki.Endpoint{URL: "https://hub.test:8443", Addresses: []string{"/ip4/10.0.0.1/udp/4001/quic-v1"}},
		Root:    pki.Fingerprint{1},
		Token:   "a.b.c",
		Expires: started.UTC().Truncate(time.Second),
	}.Encode()
	require.NoError(f, err)
	f.Add(text)
	f.Add(text[:40] + "\n" + text[40:])
	f.Add("eyJ2IjoxfQ")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		inv, err := pki.ParseInvitation(text)
		if err != nil {
			require.ErrorIs(t, err, pki.ErrInvitation)
			return
		}
		again, err := inv.Encode()
		require.NoError(t, err, "what was read can be written")
		same, err := pki.ParseInvitation(again)
		require.NoError(t, err)
		require.Equal(t, inv, same)
	})
}

func FuzzParseCertificate(f *testing.F) {
	h := newHub(f)
	cert, _ := h.member(f, "st-olav")
	f.Add(cert.PEM())
	f.Add(h.RootPEM())
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		cert, err := pki.ParseCertificate(text)
		if err != nil {
			require.ErrorIs(t, err, pki.ErrCertificate)
			return
		}
		again, err := pki.ParseCertificate(cert.PEM())
		require.NoError(t, err)
		require.Equal(t, cert.Holder(), again.Holder())
	})
}

// FuzzEnroll feeds token and certificate request, which come from anybody.
func FuzzEnroll(f *testing.F) {
	h := newHub(f)
	token := string(h.invite(f, "st-olav", "https://hub.test").Token)
	csr := request(f, newKey(f), x509.CertificateRequest{}, "st-olav")
	f.Add(token, "")
	f.Add("", csr)
	f.Add(token[:len(token)-1], csr)
	f.Add("eyJhbGciOiJub25lIn0.e30.", csr)
	f.Add(token, "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")
	f.Fuzz(func(t *testing.T, token, csr string) {
		before := len(h.store.Issued())
		if _, err := h.Enroll(t.Context(), pki.EnrollRequest{Token: pki.Token(token), CSR: csr}); err != nil {
			require.Len(t, h.store.Issued(), before, "a refusal records nothing")
		}
	})
}
