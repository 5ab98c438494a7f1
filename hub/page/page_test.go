package page

import (
	"archive/zip"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// alter writes an archive again with one bit of its first document flipped.
func alter(t testing.TB, file []byte) []byte {
	t.Helper()
	from, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	var out bytes.Buffer
	to, altered := zip.NewWriter(&out), false
	for _, f := range from.File {
		r, err := f.Open()
		require.NoError(t, err)
		raw, err := io.ReadAll(r)
		require.NoError(t, err)
		if !altered && strings.HasPrefix(f.Name, "documents/") {
			raw[len(raw)/2] ^= 1
			altered = true
		}
		w, err := to.Create(f.Name)
		require.NoError(t, err)
		_, err = w.Write(raw)
		require.NoError(t, err)
	}
	require.NoError(t, to.Close())
	require.True(t, altered)
	return out.Bytes()
}

func TestAssembledPageSendsNothing(t *testing.T) {
	t.Parallel()
	made, err := Assemble([]byte("wasm"), []byte("// Go's runtime"))
	require.NoError(t, err)
	page := string(made)
	require.NotContains(t, page, "{{")
	require.NotRegexp(t, `https?://|src=|@import|url\(`, page, "it refers to nothing outside")
	policy, _, _ := strings.Cut(page[strings.Index(page, "default-src"):], `"`)
	require.Contains(t, policy, "default-src 'none'; connect-src 'none'; script-src 'sha256-")
	require.NotContains(t, policy, "unsafe-inline")
	again, err := Assemble([]byte("wasm"), []byte("// Go's runtime"))
	require.NoError(t, err)
	require.Equal(t, made, again)

	_, err = Assemble([]byte("wasm"), []byte(`"</script>"`))
	require.ErrorContains(t, err, "ends its own element")
}

func TestHandlerServesThePage(t *testing.T) {
	t.Parallel()
	recorder := httptest.NewRecorder()
	err := Handler()(recorder, httptest.NewRequest(http.MethodGet, "/verify", nil))
	built, missing := os.ReadFile(File)
	if missing != nil {
		require.ErrorIs(t, err, ErrUnbuilt)
		return
	}
	require.NoError(t, err)
	require.Equal(t, built, recorder.Body.Bytes())
	policy := recorder.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "connect-src 'none'")
	require.Contains(t, policy, "frame-ancestors 'none'")
}
