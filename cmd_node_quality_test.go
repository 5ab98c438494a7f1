package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/report"
)

// judging stands in for a running node with a report; it returns the node's directory.
func judging(t *testing.T, passed bool) string {
	t.Helper()
	dir := t.TempDir()
	answer := func(w http.ResponseWriter, _ *http.Request) {
		raw, err := json.Marshal(report.Report{
			Notice: report.Notice, Ended: time.Now().UTC(), Passed: passed, Summary: []report.Sum{{Category: report.Conformance, Failed: 1}},
			Outliers: report.Marks{Set: 12},
			Checks: []report.Check{
				{ID: "measurement.orphan-person", Category: report.Conformance, Severity: report.Reject, Violations: 3, Denominator: 200, Percent: 1.5, Passed: passed},
				{ID: "person.unknown-gender", Category: report.Completeness, Severity: report.Flag, Denominator: 10, Passed: true},
			},
		})
		if err == nil {
			_, _ = w.Write(raw)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/quality/runs", answer)
	mux.HandleFunc("GET /v1/quality", answer)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	at, err := json.Marshal(place{URL: server.URL})
	require.NoError(t, err)
	for name, content := range map[string][]byte{runFile: at, apiTokenFile: []byte("a-token-of-more-than-32-characters"), nodeConfigFile: nil} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return dir
}

func TestAReportThatFailedIsAnExitStatus(t *testing.T) {
	t.Parallel()
	for _, act := range []string{"run", "show"} {
		c := call(t, "node", "quality", act, "--dir", judging(t, false))
		require.Equal(t, exitError, c.status)
		require.Contains(t, c.stderr, "severity reject")
		require.Regexp(t, `(?m)^measurement.orphan-person +reject +3 +200 +1.50 +0$`, c.stdout)
		require.NotContains(t, c.stdout, "unknown-gender", "it passed")

		c = call(t, "node", "quality", act, "--dir", judging(t, true))
		require.Equal(t, exitOK, c.status, c.stderr)
		require.Regexp(t, `(?m)^outliers +12 marked, 0 cleared$`, c.stdout)
		require.NotContains(t, c.stdout, "failed check")
	}
}

func TestAReportIsWrittenAsAPage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "quality.html")
	c := call(t, "node", "quality", "show", "--dir", judging(t, false), "--html", file, "--json")
	require.Equal(t, exitError, c.status, "also of a report that is written")
	var r report.Report
	require.NoError(t, json.Unmarshal([]byte(c.stdout), &r))
	require.Len(t, r.Checks, 2)
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(page), "<style>", "it needs no other file")
	require.Contains(t, string(page), "measurement.orphan-person")
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
