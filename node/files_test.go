package node

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/pki"
	"github.com/trialmesh/trialmesh/federation/pki/pkitest"
)

// What becomes of a request to a [certifier].
const (
	answered int32 = iota
	lost           // it is acted on and the connection breaks
	unheard        // the connection breaks before
)

// certifier is a hub's certificate authority on a line that breaks.
type certifier struct {
	*pki.Authority
	store *pkitest.Store
	url   string
	fate  atomic.Int32
	heard func() // called before a request is acted on; may be nil
}

func newCertifier(t *testing.T) *certifier {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	require.NoError(t, pki.Init(dir, pki.InitConfig{Name: "Test"}))
	c := &certifier{store: new(pkitest.Store)}
	var err error
	c.Authority, err = pki.Open(dir, pki.Config{Store: c.store, Hosts: []string{"127.0.0.1"}})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	handler := pki.Handler(c.Authority, slog.New(slog.DiscardHandler))
	server := &http.Server{
		TLSConfig: c.ServerTLS(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.heard != nil {
				c.heard()
			}
			switch c.fate.Load() {
			case lost:
				handler.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			case unheard:
				panic(http.ErrAbortHandler)
			}
			handler.ServeHTTP(w, r)
		}),
	}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	c.url = "https://" + listener.Addr().String()
	return c
}

// invite returns an invitation of the hub with the given peer ID.
func (c *certifier) invite(t *testing.T, name, peer string) pki.Invitation {
	t.Helper()
	i, err := c.Invite(name, time.Hour, pki.Endpoint{URL: c.url, Addresses: []string{"/ip4/127.0.0.1/udp/4001/quic-v1/p2p/" + peer}})
	require.NoError(t, err)
	return i
}

// TestLostAnswerKeepsTheNode: what the hub may have enrolled is not thrown away.
func TestLostAnswerKeepsTheNode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fate  int32
		spent bool // the invitation
	}{
		"after the hub enrolled the node": {lost, true},
		"before the hub heard of it":      {unheard, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, dir := newCertifier(t), filepath.Join(t.TempDir(), "node")
			invitation := hub.invite(t, "north", "12D3KooWA")
			hub.fate.Store(c.fate)
			_, err := Init(t.Context(), dir, invitation)
			require.ErrorIs(t, err, ErrUnfinished)
			require.ErrorContains(t, err, "trialmesh node enroll")
			_, err = Open(t.Context(), Config{Dir: dir, Circuits: t.TempDir()})
			require.ErrorIs(t, err, ErrUnfinished)
			_, err = Init(t.Context(), dir, invitation)
			require.ErrorContains(t, err, "not empty")
			h, err := readHome(dir)
			require.ErrorIs(t, err, ErrUnfinished)

			hub.fate.Store(answered)
			did, err := Enroll(t.Context(), dir, invitation)
			if c.spent {
				require.Equal(t, h.key.DID(), hub.store.Issued()[0].Subject, "the hub knows the key")
				require.ErrorIs(t, err, pki.ErrTokenUsed)
				did, err = Enroll(t.Context(), dir, hub.invite(t, "north", "12D3KooWA"))
			}
			require.NoError(t, err)
			require.Equal(t, h.key.DID(), did)
			h, err = readHome(dir)
			require.NoError(t, err)
			require.Equal(t, "north", h.certificate.Holder().Name)
		})
	}
}

// TestUnwrittenCertificateKeepsTheNode: the key of a node that the hub enrolled
// outlives a disk that has no room for the certificate.
func TestUnwrittenCertificateKeepsTheNode(t *testing.T) {
	t.Parallel()
	hub, dir := newCertifier(t), filepath.Join(t.TempDir(), "node")
	certificate := filepath.Join(dir, certificateFile)
	hub.heard = sync.OnceFunc(func() { _ = os.Mkdir(certificate, 0o700) }) // no file can be put there
	_, err := Init(t.Context(), dir, hub.invite(t, "north", "12D3KooWA"))
	require.ErrorIs(t, err, ErrUnfinished)
	require.ErrorContains(t, err, "trialmesh node enroll")
	require.ErrorContains(t, err, certificateFile)
	require.Len(t, hub.store.Issued(), 1)
	require.DirExists(t, certificate)
	require.NoError(t, os.Remove(certificate))

	h, err := readHome(dir)
	require.ErrorIs(t, err, ErrUnfinished)
	require.Equal(t, hub.store.Issued()[0].Subject, h.key.DID(), "the key that the hub knows")
	did, err := Enroll(t.Context(), dir, hub.invite(t, "north", "12D3KooWA"))
	require.NoError(t, err)
	require.Equal(t, h.key.DID(), did)
}

func TestRefusedNodeLeavesNothing(t *testing.T) {
	t.Parallel()
	hub, dir := newCertifier(t), filepath.Join(t.TempDir(), "node")
	invitation := hub.invite(t, "north", "12D3KooWA")
	_, err := Init(t.Context(), filepath.Join(t.TempDir(), "other"), invitation)
	require.NoError(t, err)
	_, err = Init(t.Context(), dir, invitation)
	require.ErrorIs(t, err, pki.ErrTokenUsed)
	require.NoDirExists(t, dir)

	invitation = hub.invite(t, "north", "12D3KooWA")
	invitation.Hub.URL = "https://127.0.0.1:1" // nobody is there
	_, err = Init(t.Context(), dir, invitation)
	require.Error(t, err)
	require.NoDirExists(t, dir)
}

// TestEnrollIsForTheSameNodeOfTheSameHub: an invitation of another network must
// not replace what the node is.
func TestEnrollIsForTheSameNodeOfTheSameHub(t *testing.T) {
	t.Parallel()
	hub, stranger, dir := newCertifier(t), newCertifier(t), filepath.Join(t.TempDir(), "node")
	did, err := Init(t.Context(), dir, hub.invite(t, "north", "12D3KooWA"))
	require.NoError(t, err)
	before, err := os.ReadFile(filepath.Join(dir, certificateFile))
	require.NoError(t, err)
	for name, invitation := range map[string]pki.Invitation{
		"another root":            stranger.invite(t, "north", "12D3KooWA"),
		"another name":            hub.invite(t, "south", "12D3KooWA"),
		"another hub's addresses": hub.invite(t, "north", "12D3KooWB"),
	} {
		_, err := Enroll(t.Context(), dir, invitation)
		require.ErrorIs(t, err, errAnotherNode, name)
	}
	require.Empty(t, stranger.store.Issued(), "the stranger heard nothing")
	after, err := os.ReadFile(filepath.Join(dir, certificateFile))
	require.NoError(t, err)
	require.Equal(t, before, after)

	again, err := Enroll(t.Context(), dir, hub.invite(t, "north", "12D3KooWA"))
	require.NoError(t, err)
	require.Equal(t, did, again)
}
