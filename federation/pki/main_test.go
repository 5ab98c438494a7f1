package pki_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/federation/pki/pkitest"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// The directories of two authorities for all tests.
var (
	scratch      string
	authorityDir = sync.OnceValue(func() string { return makeAuthority("ca") })
	otherDir     = sync.OnceValue(func() string { return makeAuthority("other") })
)

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "pki"); err != nil {
		panic(err)
	}
	// glog comes with smallstep and flushes for ever.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"), goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(scratch)
		os.Exit(code)
	}))
}

// started is the real time even where a test's own clock is another.
var started = time.Now()

func makeAuthority(name string) string {
	dir := filepath.Join(scratch, name)
	if err := pki.Init(dir, pki.InitConfig{Name: "Test", Now: func() time.Time { return started }}); err != nil {
		panic(err)
	}
	return dir
}

// clock starts at the real time, since smallstep also looks at that, and only
// moves when told to.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Now().UTC().Truncate(time.Second)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// hub is an authority with its store and clock.
type hub struct {
	*pki.Authority
	store *pkitest.Store
	clock *clock
}

func newHub(t testing.TB, change ...func(*pki.Config)) *hub {
	t.Helper()
	h := &hub{store: new(pkitest.Store), clock: newClock()}
	cfg := pki.Config{Store: h.store, Hosts: []string{"127.0.0.1", "hub.test"}, Now: h.clock.now}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	h.Authority, err = pki.Open(authorityDir(), cfg)
	require.NoError(t, err)
	return h
}

// serve runs the hub's HTTPS server on loopback until the test ends and returns
// its URL.
func (h *hub) serve(t testing.TB) string {
	t.Helper()
	return serveTLS(t, &http.Server{Handler: pki.Handler(h.Authority, slog.New(slog.DiscardHandler)), TLSConfig: h.ServerTLS()})
}

func serveTLS(t testing.TB, server *http.Server) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return "https://" + listener.Addr().String()
}

func (h *hub) invite(t testing.TB, name, url string) pki.Invitation {
	t.Helper()
	inv, err := h.Invite(name, time.Hour, pki.Endpoint{URL: url, Addresses: []string{"/ip4/127.0.0.1/udp/4001/quic-v1/p2p/12D3KooW"}})
	require.NoError(t, err)
	return inv
}

func (h *hub) client() *pki.Client { return pki.NewClient(pki.ClientConfig{Now: h.clock.now}) }

// member enrolls a new key under name without a network.
func (h *hub) member(t testing.TB, name string) (pki.Certificate, identity.Key) {
	t.Helper()
	key := newKey(t)
	inv := h.invite(t, name, "https://hub.test")
	issued, err := h.Enroll(t.Context(), pki.EnrollRequest{Token: inv.Token, CSR: request(t, key, x509.CertificateRequest{}, name)})
	require.NoError(t, err)
	cert, err := pki.ParseCertificate([]byte(issued.Certificate + issued.Root))
	require.NoError(t, err)
	return cert, key
}

func newKey(t testing.TB) identity.Key {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	return key
}

// request makes a certificate request for name as another program might.
func request(t testing.TB, key identity.Key, template x509.CertificateRequest, name string) string {
	t.Helper()
	template.Subject.CommonName = name
	template.DNSNames = append(template.DNSNames, name)
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key.Private())
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// requireNoSecret fails if err shows one of the secrets, however it is printed.
func requireNoSecret(t testing.TB, err error, secrets ...string) {
	t.Helper()
	require.Error(t, err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
			text := fmt.Sprintf(verb, e)
			for _, secret := range secrets {
				require.NotEmpty(t, secret)
				require.NotContains(t, text, secret)
				for part := range strings.SplitSeq(secret, ".") { // of a JWT
					require.NotContains(t, text, part)
				}
			}
		}
	}
}

// faultyStore fails an operation before or after it took hold.
type faultyStore struct {
	pki.Store
	op    string
	after bool
}

var errStore = errors.New("no leader")

func (s faultyStore) UseToken(ctx context.Context, id string, expires time.Time) (bool, error) {
	if s.op == "use" && !s.after {
		return false, errStore
	}
	ok, err := s.Store.UseToken(ctx, id, expires)
	if s.op == "use" {
		return false, errStore
	}
	return ok, err
}

func (s faultyStore) RecordCertificate(ctx context.Context, c pki.Issued) error {
	if s.op == "record" && !s.after {
		return errStore
	}
	err := s.Store.RecordCertificate(ctx, c)
	if s.op == "record" {
		return errStore
	}
	return err
}

func (s faultyStore) IsRevoked(ctx context.Context, serial pki.Serial, did identity.DID) (bool, error) {
	if s.op == "revoked" {
		return false, errStore
	}
	return s.Store.IsRevoked(ctx, serial, did)
}

func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	raw, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(raw)
}

func TestMemoryStore(t *testing.T) {
	t.Parallel()
	pkitest.TestStore(t, func(*testing.T) pki.Store { return new(pkitest.Store) })
}
