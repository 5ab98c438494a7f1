package client

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestClientTriesEveryReplica: whichever replica is lost, also while it answers, the others do.
func TestClientTriesEveryReplica(t *testing.T) {
	t.Parallel()
	var urls []string
	var servers []*httptest.Server
	var lost atomic.Bool
	for _, name := range []string{"a", "b"} {
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if name == "a" && lost.Load() {
				_ = servers[0].Listener.Close()
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write([]byte(`{"origin":"` + name + `"}`))
		}))
		t.Cleanup(s.Close)
		servers, urls = append(servers, s), append(urls, s.URL)
	}
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: servers[0].Certificate().Raw})
	c, err := New(Config{URL: strings.Join(urls, ", "), Root: root})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	for _, name := range []string{"a", "b"} {
		told, err := c.Trust(t.Context())
		require.NoError(t, err)
		require.Equal(t, name, told.Origin)
		lost.Store(true)
	}
	servers[1].CloseClientConnections()
	servers[1].Close()
	_, err = c.Trust(t.Context())
	require.ErrorIs(t, err, ErrUnreachable)
	_, err = New(Config{URL: urls[0] + ",http://b"})
	require.Error(t, err)
}
