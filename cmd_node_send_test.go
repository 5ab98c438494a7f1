package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// sendNode is the directory of a node whose API has one message, over when it is looked at for
// the third time.
func sendNode(t *testing.T, state string) (dir string) {
	t.Helper()
	var looks atomic.Int64
	message := func(state, rest string) string {
		return `{"id":"7","endpoint":"ehr","type":"Task","identifier":"00ff","state":"` + state + `","asked":"2026-11-22T08:00:00Z","attempts":2` + rest + `}`
	}
	mux := http.NewServeMux()
	answer := func(pattern string, text func() string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text())) })
	}
	mux.HandleFunc("POST /v1/writeback", func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		if r.URL.RawQuery != "to=ehr" || string(text) != "{}" {
			t.Errorf("sent to %s: %s", r.URL.RawQuery, text)
		}
		_, _ = w.Write([]byte(`{"messages":[` + message("waiting", "") + `]}`))
	})
	answer("GET /v1/writeback", func() string { return `{"messages":[` + message(state, `,"error":"status 422 (invariant)"`) + `]}` })
	answer("GET /v1/writeback/7", func() string {
		if looks.Add(1) < 3 {
			return message("waiting", `,"error":"status 503"`)
		}
		return message(state, `,"reference":"Task/17"`)
	})
	answer("POST /v1/writeback/7/retry", func() string { return message("waiting", "") })
	answer("POST /v1/writeback/7/cancel", func() string { return message("cancelled", "") })
	answer("GET /v1/writeback/endpoints", func() string {
		return `{"endpoints":[{"name":"ehr","url":"https://ehr.example","types":["Task"]},{"name":"lab","types":[],"error":"url: required\nca: no"}]}`
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	dir = t.TempDir()
	place, err := json.Marshal(place{URL: server.URL})
	require.NoError(t, err)
	for name, text := range map[string]string{runFile: string(place), apiTokenFile: "a-token-of-more-than-32-characters", nodeConfigFile: "", "notice.json": "{}"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func TestSendWaitsIfItIsToldTo(t *testing.T) {
	t.Parallel()
	dir := sendNode(t, "delivered")
	send := []string{"node", "send", filepath.Join(dir, "notice.json"), "--to", "ehr", "--dir", dir}
	text, err := execute(t, send...)
	require.NoError(t, err)
	require.Regexp(t, `7 +ehr +Task +waiting`, text)
	text, err = execute(t, append(send, "--wait")...)
	require.NoError(t, err)
	require.Regexp(t, `7 +ehr +Task +delivered .* Task/17`, text)

	dir = sendNode(t, "failed")
	_, err = execute(t, "node", "send", filepath.Join(dir, "notice.json"), "--to", "ehr", "--wait", "--json", "--dir", dir)
	require.ErrorContains(t, err, "1 of the messages were not delivered")
	require.Equal(t, exitError, statusOf(err))
	_, err = execute(t, "node", "send", "x.json", "--dir", dir)
	require.Equal(t, exitUsage, statusOf(err))
}

// onWrite is a writer that does something whenever something is written.
type onWrite func()

func (do onWrite) Write(p []byte) (int, error) {
	do()
	return len(p), nil
}

func TestSendThatIsEndedSaysThatTheNodeGoesOn(t *testing.T) {
	t.Parallel()
	dir := sendNode(t, "waiting")
	ctx, cancel := context.WithCancel(t.Context())
	root := newRoot()
	root.SetErr(onWrite(cancel)) // it says why the message waits
	root.SetArgs([]string{"node", "send", filepath.Join(dir, "notice.json"), "--to", "ehr", "--wait", "--dir", dir})
	require.ErrorContains(t, root.ExecuteContext(ctx), "the node goes on sending")
}

func TestMessagesAreListedAndActedOn(t *testing.T) {
	t.Parallel()
	dir := sendNode(t, "failed")
	text, err := execute(t, "node", "sent", "--state", "failed", "--dir", dir)
	require.NoError(t, err)
	require.Contains(t, text, "status 422 (invariant)")
	require.Regexp(t, `(?m)^message +to +type .*\n7 +ehr .*\n\nmessage 7: `, text, "what is wrong stands below the table")
	for act, state := range map[string]string{"retry": "waiting", "cancel": "cancelled", "show": "waiting"} {
		text, err = execute(t, "node", "sent", act, "7", "--json", "--dir", dir)
		require.NoError(t, err)
		require.Contains(t, text, `"state":"`+state+`"`)
	}
	for _, call := range [][]string{{"--state", "lost"}, {"--limit", "0"}, {"retry"}} {
		_, err = execute(t, append([]string{"node", "sent", "--dir", dir}, call...)...)
		require.Equal(t, exitUsage, statusOf(err), call)
	}
}

func TestEndpointsAreListedAndHaveKeys(t *testing.T) {
	t.Parallel()
	dir := sendNode(t, "failed")
	text, err := execute(t, "node", "endpoint", "list", "--dir", dir)
	require.NoError(t, err)
	require.Regexp(t, `ehr +https://ehr.example +Task`, text)
	require.Contains(t, text, "url: required; ca: no")
	text, err = execute(t, "node", "endpoint", "key", "ehr", "--dir", dir)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(text, `{"keys":[`), text)
	require.FileExists(t, filepath.Join(dir, "endpoints", "ehr.key"))
	_, err = execute(t, "node", "endpoint", "key", "../ehr", "--dir", dir)
	require.Equal(t, exitUsage, statusOf(err))
}
