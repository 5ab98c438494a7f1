package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const golden = "../../protocol/openapi/hub.json"

// The served OpenAPI document is the one that clients were written against.
// Run the tests with -update after a change that is meant, and read the diff.
func TestOpenAPIIsTheGoldenFile(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	status, header, body := h.send(http.MethodGet, "/openapi.json", "", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "application/openapi+json", header.Get("Content-Type"))
	var indented bytes.Buffer
	require.NoError(t, json.Indent(&indented, []byte(body), "", "  "))
	indented.WriteByte('\n')
	if *update {
		require.NoError(t, os.WriteFile(golden, indented.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), indented.String())
	var document struct {
		Components struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		} `json:"components"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &document))
	require.NotContains(t, string(document.Components.Schemas["ProblemDocument"]), `"value"`, "an answer must not quote what was refused")
	require.NotContains(t, document.Components.Schemas, "ErrorDetail", "the framework's errors quote it")
	require.NotContains(t, body, `$schema`)
}
