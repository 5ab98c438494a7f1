package api

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// cutting is a way to a node that breaks every connection after some bytes.
func cutting(t *testing.T, to string, after int64) string {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && r.ContentLength > after {
			r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, after), failing{}))
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, net.ErrClosed }

func TestTheClientGoesOnAfterABrokenConnection(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := newStoredSite(t, db)
		content := make([]byte, 100_000)
		_, _ = rand.NewChaCha8([32]byte{}).Read(content)
		c, err := client.New(cutting(t, s.url, 30_000), token)
		require.NoError(t, err)
		defer c.Close()
		var last atomic.Int64
		sending := client.Sending{Name: "big.ndjson", Size: int64(len(content)), Data: bytes.NewReader(content), Key: "k", Sent: last.Store}
		var u client.Upload
		tries := 0
		for ; tries < 200; tries++ {
			if u, err = c.UploadParts(t.Context(), sending); err == nil {
				break
			}
			require.True(t, client.Passing(err), err)
		}
		require.NoError(t, err)
		require.GreaterOrEqual(t, tries, 3, "it broke on the way")
		require.Equal(t, message.Sum(content).String(), u.File)
		require.EqualValues(t, len(content), last.Load())
		job, err := c.Job(t.Context(), u.Job)
		require.NoError(t, err)
		require.Equal(t, "big.ndjson", job.Name)

		again, err := c.UploadParts(t.Context(), client.Sending{Name: "short", Size: 9, Data: bytes.NewReader(content[:5]), Key: "short"})
		require.ErrorIs(t, err, client.ErrChanged)
		require.False(t, client.Passing(err))
		require.Empty(t, again)
		_, err = c.UploadParts(t.Context(), client.Sending{Name: "other", Size: 8, Data: bytes.NewReader(content), Key: "short"})
		require.ErrorContains(t, err, "used for another request")
		require.False(t, client.Passing(err))
	})
}
