package client

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestClientTriesEveryReplica: whichever replica is away, the others answer.
func TestClientTriesEveryReplica(t *testing.T) {
	t.Parallel()
	var urls []string
	var servers []*httptest.Server
	for _, name := range []string{"a", "b"} {
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"origin":"` + name + `"}`)) }))
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
		servers[0].CloseClientConnections()
		servers[0].Close()
	}
	servers[1].CloseClientConnections()
	servers[1].Close()
	_, err = c.Trust(t.Context())
	require.ErrorIs(t, err, ErrUnreachable)
	_, err = New(Config{URL: urls[0] + ",http://b"})
	require.Error(t, err)
}
