package api

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEHRsNeedNoTokenOfTheNode: they sign each request, and the service looks at that.
func TestEHRsNeedNoTokenOfTheNode(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *Config) {
		c.CDS = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			w.Header().Set("Asked", r.Method+" "+r.URL.Path)
			if n > 0 {
				w.WriteHeader(http.StatusAccepted)
			}
		})
	})
	for path, method := range map[string]string{"/cds-services": "GET", "/cds-services/a": "OPTIONS", "/cds-services/a/feedback": "POST"} {
		status, header, body := s.sendAs("", method, path, "application/json", strings.NewReader("{}"))
		require.Equal(t, 202, status, body)
		require.Equal(t, method+" "+path, header.Get("Asked"))
		require.Equal(t, "no-store", header.Get("Cache-Control"))
	}
	status, _, _ := s.sendAs("", "POST", "/cds-services/a", "application/json", strings.NewReader(strings.Repeat(" ", maxBody+1)))
	require.Equal(t, 413, status)
}

func TestNoCDSIsNoAddress(t *testing.T) {
	t.Parallel()
	status, _, _ := newSite(t).sendAs("", "GET", "/cds-services", "", nil)
	require.Equal(t, 404, status)
}
