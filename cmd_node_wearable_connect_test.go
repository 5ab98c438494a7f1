package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/client"
)

// wearableNode is the directory of a node whose API has one connection. redirects get what
// comes back of an authorization.
func wearableNode(t *testing.T, redirect string) (dir string, redirects chan string) {
	t.Helper()
	redirects = make(chan string, 1)
	connection := func(rest string) string {
		return `{"id":"3","maker":"oura","patient":"p-17","state":"connected","connected":"2026-11-22T08:00:00Z","asked":"2026-11-22T09:00:00Z",
			"began":"2026-11-22T09:00:01Z","ended":"2026-11-22T09:00:09Z","next":"2026-11-23T03:00:00Z","pulling":false` + rest + `}`
	}
	complete := connection(`,"success":"2026-11-22T09:00:09Z"`)
	failed := strings.ReplaceAll(connection(`,"error":"not fetched: sleep"`), `"id":"3"`, `"id":"4"`)
	mux := http.NewServeMux()
	answer := func(pattern, text string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			var in struct{ Redirected string }
			if text, _ := io.ReadAll(r.Body); json.Unmarshal(text, &in) == nil && in.Redirected != "" {
				redirects <- in.Redirected
			}
			_, _ = w.Write([]byte(text))
		})
	}
	answer("POST /v1/wearables/authorizations", `{"url":"https://maker.example/allow?state=of-this-one","redirect":"`+redirect+`","expires":"2126-11-22T08:00:00Z"}`)
	answer("POST /v1/wearables/connections", complete)
	answer("GET /v1/wearables/connections", `{"connections":[`+complete+`,`+failed+`]}`)
	answer("POST /v1/wearables/connections/3/pull", complete)
	answer("POST /v1/wearables/connections/4/pull", failed)
	answer("POST /v1/wearables/connections/3/disconnect", `{"told":true}`)
	answer("POST /v1/wearables/connections/4/disconnect", `{"told":false}`)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	dir = t.TempDir()
	place, err := json.Marshal(place{URL: server.URL})
	require.NoError(t, err)
	for name, text := range map[string]string{runFile: string(place), apiTokenFile: "a-token-of-more-than-32-characters", nodeConfigFile: ""} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir, redirects
}

func TestAWearableIsConnectedByPaste(t *testing.T) {
	t.Parallel()
	dir, redirects := wearableNode(t, "https://clinic.example/back")
	root := newRoot()
	var out, said bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&said)
	root.SetIn(strings.NewReader("  https://clinic.example/back?code=c&state=of-this-one \n"))
	root.SetArgs([]string{"node", "wearable", "connect", "oura", "--patient", "p-17", "--paste", "--dir", dir})
	require.NoError(t, root.ExecuteContext(t.Context()))
	require.Equal(t, "https://clinic.example/back?code=c&state=of-this-one", <-redirects)
	require.Contains(t, said.String(), "https://maker.example/allow?state=of-this-one")
	require.Contains(t, out.String(), "connection 3: oura of patient p-17 is connected")

	for _, call := range [][]string{{"oura"}, {"--patient", "p-17"}, {"oura", "--patient", "p-17"}} { // the last is not on this machine
		_, err := execute(t, append([]string{"node", "wearable", "connect", "--dir", dir}, call...)...)
		require.Equal(t, exitUsage, statusOf(err), call)
	}
	root.SetIn(strings.NewReader(strings.Repeat("x", maxRedirected+1)))
	require.ErrorContains(t, root.ExecuteContext(t.Context()), "no URL was pasted")
}

// TestOnlyTheAnswerIsTakenOfARedirect: what else comes to the port is refused, and waiting
// goes on.
func TestOnlyTheAnswerIsTakenOfARedirect(t *testing.T) {
	t.Parallel()
	a := client.WearableAuthorization{URL: "https://maker.example/allow?state=of-this-one", Redirect: "http://127.0.0.1:0/back", Expires: time.Now().Add(time.Hour)}
	r, err := listenRedirect(t.Context(), a)
	require.NoError(t, err)
	defer r.close()
	ask := func(method, host, target string) int {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.addr.String()+target, nil)
		require.NoError(t, err)
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
		return resp.StatusCode
	}
	const good = "/back?code=c&state=of-this-one"
	require.Equal(t, http.StatusBadRequest, ask(http.MethodGet, "127.0.0.1:0", "/favicon.ico"))
	require.Equal(t, http.StatusBadRequest, ask(http.MethodGet, "127.0.0.1:0", "/back?code=c&state=of-another"))
	require.Equal(t, http.StatusBadRequest, ask(http.MethodGet, "127.0.0.1:0", "/back?code=c"))
	require.Equal(t, http.StatusBadRequest, ask(http.MethodPost, "127.0.0.1:0", good))
	require.Equal(t, http.StatusBadRequest, ask(http.MethodGet, "rebound.example", good), "a name that leads here")
	cmd := newNodeWearableConnect()
	cmd.SetContext(t.Context())
	r.until = time.Now().Add(-time.Second)
	_, err = r.receive(cmd)
	require.ErrorContains(t, err, "connect again")
}

// TestTheBrowserIsToldWhatBecameOfIt: also of a patient who refused, with whom the exchange
// fails as well.
func TestTheBrowserIsToldWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	for connected, want := range map[bool]string{true: "is connected", false: "It did not work"} {
		a := client.WearableAuthorization{URL: "https://maker.example/allow?state=s", Redirect: "http://127.0.0.1:0/back", Expires: time.Now().Add(time.Hour)}
		r, err := listenRedirect(t.Context(), a)
		require.NoError(t, err)
		defer r.close()
		page := make(chan string, 1)
		go func() {
			defer close(page)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.addr.String()+"/back?code=c&state=s", nil)
			if err != nil {
				return
			}
			req.Host = "127.0.0.1:0"
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			page <- string(text)
		}()
		cmd := newNodeWearableConnect()
		cmd.SetContext(t.Context())
		got, err := r.receive(cmd)
		require.NoError(t, err)
		require.Equal(t, "http://127.0.0.1:0/back?code=c&state=s", got)
		r.settle(t.Context(), connected)
		require.Contains(t, <-page, want)
	}
}

func TestWearablesArePulledListedAndDisconnected(t *testing.T) {
	t.Parallel()
	dir, _ := wearableNode(t, "https://clinic.example/back")
	text, err := execute(t, "node", "wearable", "list", "--dir", dir)
	require.NoError(t, err)
	require.Regexp(t, `3 +oura +p-17 +2026-\S+ \S+ +2026-\S+ \S+ +connected`, text)
	require.Regexp(t, `4 +oura +p-17 +never`, text)
	require.Contains(t, text, "not fetched: sleep")
	text, err = execute(t, "node", "wearable", "pull", "3", "--since", "2026-01-01", "--json", "--dir", dir)
	require.NoError(t, err)
	require.Contains(t, text, `"success":"2026-11-22T09:00:09Z"`)
	_, err = execute(t, "node", "wearable", "pull", "4", "--dir", dir)
	require.ErrorContains(t, err, "not complete")
	require.Equal(t, exitError, statusOf(err))
	_, err = execute(t, "node", "wearable", "pull", "4", "--detach", "--dir", dir)
	require.NoError(t, err)
	_, err = execute(t, "node", "wearable", "pull", "3", "--since", "yesterday", "--dir", dir)
	require.Equal(t, exitUsage, statusOf(err))
	text, err = execute(t, "node", "wearable", "disconnect", "3", "--dir", dir)
	require.NoError(t, err)
	require.Contains(t, text, "the maker was told")
	text, err = execute(t, "node", "wearable", "disconnect", "4", "--dir", dir)
	require.NoError(t, err)
	require.Contains(t, text, "have the patient take the access away")
}
