package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/node"
	"github.com/trialmesh/trialmesh/node/client"
)

// securedNode stands in for a running node with a secured API; it returns the node's
// directory and what is sent there.
func securedNode(t *testing.T) (dir string, sent chan client.NewAPIClient) {
	t.Helper()
	sent = make(chan client.NewAPIClient, 4)
	one := client.APIClient{ID: "ehr", Scope: "ingest system/*.rs", TokenTime: 900, Keys: []client.ClientKey{{ID: "k1", Algorithm: "ES384", Thumbprint: "t"}}}
	answer := func(w http.ResponseWriter, v any) {
		raw, err := json.Marshal(v)
		if err == nil {
			_, _ = w.Write(raw)
		}
	}
	take := func(w http.ResponseWriter, r *http.Request) {
		var got client.NewAPIClient
		if json.NewDecoder(r.Body).Decode(&got) == nil {
			sent <- got
		}
		answer(w, one)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/clients", take)
	mux.HandleFunc("POST /v1/clients/ehr/keys", take)
	mux.HandleFunc("GET /v1/clients", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"clients": []client.APIClient{one}})
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, client.Status{DID: "did:key:z"}) })
	mux.HandleFunc("DELETE /v1/clients/ehr", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"id": "ehr"}) })
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	dir = t.TempDir()
	at, err := json.Marshal(place{URL: server.URL})
	require.NoError(t, err)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string][]byte{
		runFile: at, apiTokenFile: []byte("a-token-of-more-than-32-characters"), nodeConfigFile: nil, node.LocalCertificateFile: certificate,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return dir, sent
}

func TestStatusSaysWhereTheNodeIsReached(t *testing.T) {
	t.Parallel()
	dir, _ := securedNode(t)
	p, err := readPlace(dir)
	require.NoError(t, err)
	text, err := execute(t, "node", "status", "--dir", dir)
	require.NoError(t, err)
	require.Regexp(t, `(?m)^address +`+p.URL+`$`, text)
	text, err = execute(t, "node", "status", "--dir", dir, "--json")
	require.NoError(t, err)
	var told nodeStatus
	require.NoError(t, json.Unmarshal([]byte(text), &told))
	require.Equal(t, nodeStatus{URL: p.URL, Status: client.Status{DID: "did:key:z"}}, told)
}

func TestStatusOfAProcessBesideTheNodeSaysSo(t *testing.T) {
	t.Parallel()
	cmd := newNodeStatus()
	var out bytes.Buffer
	cmd.SetOut(&out)
	require.NoError(t, printStatus(cmd, nodeStatus{URL: "http://x", Status: client.Status{Process: "second"}}))
	require.Regexp(t, `(?m)^process +second, one of several`, out.String())
	require.NotContains(t, out.String(), "connected to the hub")
	out.Reset()
	require.NoError(t, printStatus(cmd, nodeStatus{URL: "http://x"}))
	require.NotContains(t, out.String(), "process")
	require.Contains(t, out.String(), "connected to the hub")
}

func TestStatusSaysWhomToUpdate(t *testing.T) {
	t.Parallel()
	cmd := newNodeStatus()
	var out bytes.Buffer
	cmd.SetOut(&out)
	var s nodeStatus
	told := `{"protocol":{"speaks":{"oldest":1,"newest":2},"hub":{"oldest":3,"newest":4},"update":"update the node"}}`
	require.NoError(t, json.Unmarshal([]byte(told), &s))
	require.NoError(t, printStatus(cmd, s))
	require.Regexp(t, `(?m)^protocol +2 and 1; the hub speaks 4 and 3$`, out.String())
	require.Regexp(t, `(?m)^does not work with the hub +update the node$`, out.String())
}

func TestListOfNoProgramsSaysSo(t *testing.T) {
	t.Parallel()
	cmd := newNodeClientList()
	var out bytes.Buffer
	cmd.SetOut(&out)
	require.NoError(t, printAPIClients(cmd, nil, nil))
	require.Equal(t, "none\n", out.String())
}

func TestProgramsAreRegistered(t *testing.T) {
	t.Parallel()
	dir, sent := securedNode(t)
	key, err := fhirserver.NewKey(fhirserver.ES384)
	require.NoError(t, err)
	public, err := key.Public()
	require.NoError(t, err)
	private, err := key.Private()
	require.NoError(t, err)
	keys, secret := filepath.Join(dir, "public.json"), filepath.Join(dir, "private.json")
	require.NoError(t, os.WriteFile(keys, public, 0o600))
	require.NoError(t, os.WriteFile(secret, []byte(`{"keys":[`+string(private)+`]}`), 0o600))

	text, err := execute(t, "node", "client", "add", "ehr", "--scope", "ingest system/*.read", "--keys", keys, "--token-time", "15m", "--dir", dir)
	require.NoError(t, err)
	require.Regexp(t, `(?m)^tokens hold +15m0s$`, text)
	require.Regexp(t, `(?m)^key +k1, ES384, thumbprint t$`, text)
	got := <-sent
	require.Equal(t, []any{"ehr", "ingest system/*.read", int64(900)}, []any{got.ID, got.Scope, got.TokenTime})
	require.JSONEq(t, string(public), string(got.Set))

	_, err = execute(t, "node", "client", "rotate", "ehr", "--jwks-url", "https://ehr.example/jwks", "--dir", dir)
	require.NoError(t, err)
	require.Equal(t, "https://ehr.example/jwks", (<-sent).URL)
	text, err = execute(t, "node", "client", "list", "--dir", dir, "--json")
	require.NoError(t, err)
	require.Contains(t, text, `"scope":"ingest system/*.rs"`)
	text, err = execute(t, "node", "client", "remove", "ehr", "--dir", dir)
	require.NoError(t, err)
	require.Equal(t, "ehr is removed\n", text)

	_, err = execute(t, "node", "client", "add", "ehr", "--scope", "ingest", "--keys", secret, "--dir", dir)
	require.ErrorContains(t, err, "private or symmetric key")
	require.Equal(t, exitError, statusOf(err))
	for _, wrong := range [][]string{
		{"--scope", "root", "--keys", keys},
		{"--scope", "ingest"},
		{"--scope", "ingest", "--keys", keys, "--jwks-url", "https://a.example/"},
		{"--scope", "ingest", "--keys", keys, "--token-time", "2h"},
		{"--scope", "ingest", "--jwks-url", "http://ehr.example/jwks"},
		{"--keys", keys},
	} {
		_, err = execute(t, append([]string{"node", "client", "add", "ehr", "--dir", dir}, wrong...)...)
		require.Equal(t, exitUsage, statusOf(err), "%v: %v", wrong, err)
	}
	require.Empty(t, sent, "nothing of these was sent")
}
