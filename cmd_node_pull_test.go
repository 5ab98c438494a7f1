package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// pullNode is the directory of a node whose API has one pull, with a run that is over when it
// is looked at for the third time.
func pullNode(t *testing.T, state string) (dir string) {
	t.Helper()
	var looks atomic.Int64
	run := func(state, rest string) string {
		return `{"id":"3","pull":"heart","state":"` + state + `","asked":"2026-11-22T08:00:00Z","findings":{"deleted Observation":2},` + rest +
			`"files":[{"kind":"output","type":"Patient","fetched":true,"jobId":"7"},{"kind":"output","type":"Device","fetched":true},{"kind":"deleted"}]}`
	}
	mux := http.NewServeMux()
	answer := func(pattern string, text func() string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text())) })
	}
	answer("GET /v1/ingest/pulls", func() string {
		return `{"pulls":[{"name":"heart","url":"https://fhir.example","kind":"bulk","last":` + run("completed", "") + `},{"name":"lung","error":"url: required\nkind: want bulk or search"}]}`
	})
	answer("POST /v1/ingest/pulls/heart/runs", func() string { return run("waiting", "") })
	answer("GET /v1/ingest/pulls/heart/runs", func() string {
		if looks.Add(1) < 3 {
			return `{"runs":[` + run("exporting", `"progress":"50%",`) + `]}`
		}
		return `{"runs":[` + run(state, `"ended":"2026-11-22T08:10:00Z",`) + `]}`
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	dir = t.TempDir()
	place, err := json.Marshal(place{URL: server.URL})
	require.NoError(t, err)
	for name, text := range map[string]string{runFile: string(place), apiTokenFile: "a-token-of-more-than-32-characters", nodeConfigFile: ""} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func TestPullIsWaitedFor(t *testing.T) {
	t.Parallel()
	text, err := execute(t, "node", "pull", "run", "heart", "--dir", pullNode(t, "completed"))
	require.NoError(t, err)
	text = strings.Join(strings.Fields(text), " ")
	require.Contains(t, text, "run 3 state completed")
	require.Contains(t, text, "deleted Observation 2 file output Patient job 7 file output Device nothing to load file deleted to fetch")

	_, err = execute(t, "node", "pull", "run", "heart", "--dir", pullNode(t, "failed"))
	require.ErrorContains(t, err, "the run is failed")
	require.Equal(t, exitError, statusOf(err))

	text, err = execute(t, "node", "pull", "run", "heart", "--detach", "--json", "--dir", pullNode(t, "failed"))
	require.NoError(t, err)
	require.Contains(t, text, `"state":"waiting"`)
}

func TestPullsAreListed(t *testing.T) {
	t.Parallel()
	dir := pullNode(t, "completed")
	text, err := execute(t, "node", "pull", "list", "--dir", dir)
	require.NoError(t, err)
	require.Regexp(t, `heart +bulk +https://fhir.example +on request +2026-\S+ \S+ +completed`, text)
	require.Contains(t, text, "url: required; kind: want bulk or search")
	text, err = execute(t, "node", "pull", "status", "heart", "--dir", dir, "--json")
	require.NoError(t, err)
	require.Contains(t, text, `"progress":"50%"`)
	_, err = execute(t, "node", "pull", "status", "heart", "--dir", dir, "--limit", "0")
	require.Equal(t, exitUsage, statusOf(err))
}

func TestPullKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, nodeConfigFile), nil, 0o600))
	first, err := execute(t, "node", "pull", "key", "heart", "--dir", dir)
	require.NoError(t, err)
	var set struct{ Keys []map[string]string }
	require.NoError(t, json.Unmarshal([]byte(first), &set))
	require.Equal(t, "ES384", set.Keys[0]["alg"])
	require.NotContains(t, set.Keys[0], "d")
	again, err := execute(t, "node", "pull", "key", "heart", "--dir", dir)
	require.NoError(t, err)
	require.Equal(t, first, again)
	_, err = execute(t, "node", "pull", "key", "heart", "--dir", dir, "--algorithm", "RS384")
	require.ErrorContains(t, err, "there is a key for ES384")
	for _, call := range [][]string{{"heart", "--algorithm", "HS256"}, {"../heart"}, {}} {
		_, err = execute(t, append([]string{"node", "pull", "key", "--dir", dir}, call...)...)
		require.Equal(t, exitUsage, statusOf(err), call)
	}
}
