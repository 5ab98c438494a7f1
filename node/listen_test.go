package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/federation/transport"
	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

func TestAnAPIInTheClearStaysOnLoopback(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		listen string
		secure Secure
		says   string
	}{
		"loopback":                   {listen: "127.0.0.1:7422"},
		"loopback of IPv6":           {listen: "[::1]:0"},
		"localhost":                  {listen: "localhost:7422"},
		"secured":                    {listen: "0.0.0.0:7422", secure: Secure{Certificate: "c", Key: "k"}},
		"behind a proxy":             {listen: "127.0.0.1:7422", secure: Secure{URL: "https://node.example"}},
		"another port":               {listen: "127.0.0.1:7422", secure: Secure{URL: "http://127.0.0.1:9000"}},
		"all addresses":              {listen: "0.0.0.0:7422", says: "must not travel in the clear"},
		"all addresses, said less":   {listen: ":7422", says: "must not travel in the clear"},
		"all addresses of IPv6":      {listen: "[::]:7422", says: "must not travel in the clear"},
		"an address of the site":     {listen: "10.0.0.7:7422", says: "must not travel in the clear"},
		"a name":                     {listen: "node.example:7422", says: "must not travel in the clear"},
		"a certificate without key":  {listen: "127.0.0.1:7422", secure: Secure{Certificate: "c"}, says: "belong together"},
		"no port":                    {listen: "127.0.0.1", says: "listen"},
		"a URL in the clear":         {listen: "127.0.0.1:7422", secure: Secure{URL: "http://node.example"}, says: "url"},
		"a URL with a path":          {listen: "127.0.0.1:7422", secure: Secure{URL: "https://node.example/"}, says: "url"},
		"a URL with somebody's name": {listen: "127.0.0.1:7422", secure: Secure{URL: "https://a@node.example"}, says: "url"},
	} {
		err := c.secure.validate(c.listen)
		if c.says == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, c.says, name)
		}
	}
}

// certify makes a certificate of its own for hosts, and returns the files of it and its
// key, and who vouches for it.
func certify(t *testing.T, hosts ...string) (Secure, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	made := Secure{Certificate: filepath.Join(t.TempDir(), "crt"), Key: filepath.Join(t.TempDir(), "key")}
	require.NoError(t, os.WriteFile(made.Certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(made.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return made, roots
}

// TestAKeyThatOthersCanReadIsRefused: at the start, like the node's own keys.
func TestAKeyThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	made, _ := certify(t, "127.0.0.1")
	for mode, shared := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o440: true, 0o644: false, 0o604: false, 0o660: false, 0o650: false} {
		require.NoError(t, os.Chmod(made.Key, mode))
		_, err := loadPair(made.Certificate, made.Key)
		if mode&0o077 == 0 || shared && os.Geteuid() == 0 {
			require.NoError(t, err, "%04o", mode)
		} else {
			require.ErrorContains(t, err, "others have access", "%04o", mode)
			require.ErrorContains(t, err, made.Key)
		}
	}
	_, err := loadPair(made.Certificate, made.Key+".none")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestClientsAreToldTheHostOfTheCertificate(t *testing.T) {
	t.Parallel()
	at := &net.TCPAddr{IP: net.IPv4zero, Port: 7422}
	for _, c := range []struct {
		set   string
		hosts []string
		want  string
	}{
		{"", []string{"*.hospital.example", "node.hospital.example", "10.0.0.7"}, "https://node.hospital.example:7422"},
		{"", []string{"10.0.0.7"}, "https://10.0.0.7:7422"},
		{"", []string{"2001:db8::7"}, "https://[2001:db8::7]:7422"},
		{"https://other.example", []string{"node.hospital.example"}, "https://other.example"},
		{"", []string{"*.hospital.example"}, ""},
	} {
		leaf := &x509.Certificate{}
		for _, host := range c.hosts {
			if ip := net.ParseIP(host); ip != nil {
				leaf.IPAddresses = append(leaf.IPAddresses, ip)
			} else {
				leaf.DNSNames = append(leaf.DNSNames, host)
			}
		}
		got, err := originOf(c.set, leaf, at)
		require.Equal(t, c.want, got)
		require.Equal(t, c.want == "", err != nil)
	}
}

// TestASecuredNodeGivesTokens goes the way of an EHR to a running node: it is registered
// on the node's machine, finds the token endpoint, and searches with what it gets there.
func TestASecuredNodeGivesTokens(t *testing.T) {
	t.Parallel()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	peer, err := transport.PeerID(key.DID())
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "node")
	_, err = Init(t.Context(), dir, newCertifier(t).invite(t, "north", peer.String()))
	require.NoError(t, err)
	secure, roots := certify(t, "127.0.0.1")
	n, err := Open(t.Context(), Config{Dir: dir, Circuits: t.TempDir(), Secure: secure})
	require.NoError(t, err)
	require.Equal(t, n.URL(), n.Origin())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})

	token, err := os.ReadFile(filepath.Join(dir, tokenFile))
	require.NoError(t, err)
	certificate, err := os.ReadFile(filepath.Join(dir, LocalCertificateFile))
	require.NoError(t, err)
	operator, err := client.NewSecured(n.URL(), strings.TrimSpace(string(token)), certificate)
	require.NoError(t, err)
	defer operator.Close()
	mine, err := fhirserver.NewKey(fhirserver.ES384)
	require.NoError(t, err)
	public, err := mine.Public()
	require.NoError(t, err)
	_, err = operator.AddAPIClient(t.Context(), client.NewAPIClient{ID: "ehr", Scope: "system/*.rs", ClientKeys: client.ClientKeys{Set: public}})
	require.NoError(t, err)

	ehr, err := fhirserver.New(fhirserver.Config{Base: n.Origin() + "/fhir", Client: "ehr", Key: mine, Roots: roots, Tries: 1})
	require.NoError(t, err)
	defer ehr.Close()
	at, err := ehr.SearchURL("Patient", time.Time{}, 10)
	require.NoError(t, err)
	search := func() error {
		for _, err := range ehr.Search(t.Context(), at, new(fhirserver.Links)) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	require.NoError(t, search())
	require.NoError(t, operator.RemoveAPIClient(t.Context(), "ehr"))
	require.ErrorContains(t, search(), "token")

	elsewhere, _ := certify(t, "127.0.0.1")
	other, err := os.ReadFile(elsewhere.Certificate)
	require.NoError(t, err)
	stranger, err := client.NewSecured(n.URL(), strings.TrimSpace(string(token)), other)
	require.NoError(t, err)
	defer stranger.Close()
	_, err = stranger.Status(t.Context())
	require.ErrorContains(t, err, "certificate", "the operator's token goes to this node only")

	resp, err := http.Get("http" + strings.TrimPrefix(n.URL(), "https") + "/healthz")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusBadRequest, resp.StatusCode, "nothing is said in the clear")
}
