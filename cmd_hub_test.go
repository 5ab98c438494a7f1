package main

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// runningHub is the directory of a hub that answers one path with a status and
// a text, and counts how often it is asked.
func runningHub(t *testing.T, path string, status int, text string) (dir string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != path {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	dir = t.TempDir()
	at, err := json.Marshal(place{URL: server.URL})
	require.NoError(t, err)
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string][]byte{hubConfigFile: nil, runFile: at, rootFile: root, operatorFile: []byte("an-operator")} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return dir, asked
}

// TestCredentialsAreNotLost: the file for a token or an invitation is made
// before the hub is asked, so that no live credential is thrown away.
func TestCredentialsAreNotLost(t *testing.T) {
	t.Parallel()
	const did = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
	for _, c := range []struct{ command, path, field, answer, known string }{
		{"hub token " + did, "/v1/tokens", "token", `{"id":"0011223344556677","token":"the-secret","expires":"2027-01-01T00:00:00Z"}`, "id"},
		{"hub invite north", "/v1/invitations", "invitation", `{"invitation":"the-secret","expires":"2027-01-01T00:00:00Z"}`, "name"},
	} {
		t.Run(c.command, func(t *testing.T) {
			t.Parallel()
			dir, asked := runningHub(t, c.path, http.StatusCreated, c.answer)
			out := filepath.Join(t.TempDir(), "out")
			call := append(strings.Fields(c.command), "--dir", dir)
			toFile := append(slices.Clone(call), "--out", out)

			_, err := execute(t, toFile...)
			require.NoError(t, err)
			raw, err := os.ReadFile(out)
			require.NoError(t, err)
			require.Equal(t, "the-secret\n", string(raw))
			info, err := os.Stat(out)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode())
			require.EqualValues(t, 1, asked.Load())

			_, err = execute(t, toFile...)
			require.ErrorIs(t, err, os.ErrExist)
			require.EqualValues(t, 1, asked.Load(), "the hub made a credential that nobody gets")

			text, err := execute(t, append(call, "--json")...)
			require.NoError(t, err)
			var about map[string]string
			require.NoError(t, json.Unmarshal([]byte(text), &about))
			require.Equal(t, "the-secret", about[c.field])
			require.NotEmpty(t, about[c.known])
			require.Equal(t, "2027-01-01T00:00:00Z", about["expires"])

			require.NoError(t, os.Remove(out))
			text, err = execute(t, append(toFile, "--json")...)
			require.NoError(t, err)
			require.FileExists(t, out)
			require.NotContains(t, text, "the-secret", "it is in the file")
			require.Contains(t, text, out)

			refusing, _ := runningHub(t, c.path, http.StatusForbidden, `{"type":"urn:trialmesh:problem:forbidden","title":"no"}`)
			none := filepath.Join(t.TempDir(), "none")
			_, err = execute(t, append(strings.Fields(c.command), "--dir", refusing, "--out", none)...)
			require.EqualError(t, err, "no")
			require.NoFileExists(t, none)
		})
	}
}
