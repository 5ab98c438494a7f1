package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	hubclient "github.com/trialmesh/trialmesh/hub/client"
	nodeclient "github.com/trialmesh/trialmesh/node/client"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// settingsCommand is a command with the flags of hub run.
func settingsCommand(t *testing.T, args ...string) *cobra.Command {
	t.Helper()
	cmd := newHubRun()
	require.NoError(t, cmd.ParseFlags(args))
	return cmd
}

func TestSettingsComeFromFileEnvironmentAndFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.yaml")
	require.NoError(t, os.WriteFile(path, []byte("origin: a.example/log\nhost: [one, two]\nlisten: 1.1.1.1:1\nanchor-every: 5m\n"+
		"circuits-shape: 16x2x4\ndisclosure:\n  min-cell: 20\n  max-share: 95\n"), 0o600))
	t.Setenv("TRIALMESH_HUB_LISTEN", "2.2.2.2:2")
	t.Setenv("TRIALMESH_HUB_HOST", "three,four")

	var s hubSettings
	require.NoError(t, loadConfig(settingsCommand(t), path, "TRIALMESH_HUB_", &s))
	require.Equal(t, "a.example/log", s.Origin)
	require.Equal(t, "2.2.2.2:2", s.Listen, "the environment stands over the file")
	require.Equal(t, []string{"three", "four"}, s.Hosts)
	require.Equal(t, 5*time.Minute, s.AnchorEvery)
	require.Equal(t, 16, s.Shape.ShardSize)

	s = hubSettings{}
	require.NoError(t, loadConfig(settingsCommand(t, "--listen", "3.3.3.3:3"), path, "TRIALMESH_HUB_", &s))
	require.Equal(t, "3.3.3.3:3", s.Listen, "a flag stands over the environment")

	want := disclosure.Default()
	want.MinCell = 20
	got, err := s.Disclosure.policy()
	require.NoError(t, err)
	require.Equal(t, want, got, "stricter counts, looser does not")
}

// TestLimitsThatAreMistakesAreRefused: left out silently, they would be no limits.
func TestLimitsThatAreMistakesAreRefused(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]limits{
		"noise":      {Noise: "gausian", NoiseScale: 10},
		"noiseScale": {Noise: disclosure.Gaussian},
		"researcher": {Noise: disclosure.Gaussian, NoiseScale: 10}, // and no budget
		"minCell":    {MinCell: -11},
		"delta":      {Delta: 1},
	} {
		_, err := l.policy()
		require.ErrorAs(t, err, new(usageError))
		require.ErrorContains(t, err, "disclosure."+name)
	}
	p, err := limits{Noise: disclosure.Laplace, NoiseScale: 4, TrialEpsilon: 2}.policy()
	require.NoError(t, err)
	require.Equal(t, disclosure.Laplace, p.Noise)
}

func TestSettingsRefuse(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"orign: a\n":                    `no setting is called "orign" (did you mean origin?)`,
		"disclosure:\n  mincell: 20\n":  `no setting is called "disclosure.mincell" (did you mean disclosure.min-cell?)`,
		"anchor-every: often\n":         "anchor-every",
		"circuits-shape: big\n":         "circuits-shape",
		"a: [\n":                        "yaml",
		"circuits-keys: a\nnobody: 1\n": `no setting is called "`,
	} {
		path := filepath.Join(t.TempDir(), "hub.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		var s hubSettings
		err := loadConfig(settingsCommand(t), path, "TRIALMESH_NO_HUB_", &s)
		require.ErrorAs(t, err, new(usageError), text)
		require.ErrorContains(t, err, says, text)
	}
}

func TestInputIsNeverCut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "large")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(maxInput+1))
	require.NoError(t, f.Close())
	_, err = readInput(&cobra.Command{}, path)
	require.ErrorContains(t, err, "larger than")
}

// execute runs a command in this process and returns its output and error.
func execute(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// TestWrongUsageIsStatus2 lists calls that cannot be right, whatever the state
// of the world, and some that can.
func TestWrongUsageIsStatus2(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"", exitOK, ""},
		{"help hub", exitOK, ""},
		{"query submit --help", exitOK, ""},
		{"bogus", exitUsage, `unknown command "bogus"`},
		{"bogus --json", exitUsage, `unknown command "bogus"`},
		{"hub", exitUsage, "needs a command"},
		{"hub bogus", exitUsage, `unknown command "bogus"`},
		{"hub init --bogus", exitUsage, "unknown flag"},
		{"hub init", exitUsage, `required flag(s) "dir" not set: see trialmesh hub init --help`},
		{"hub run", exitUsage, `"dir"`},
		{"hub revoke did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK --dir " + dir, exitUsage, `"reason"`},
		{"node init --dir x", exitUsage, `"invitation"`},
		{"node run", exitUsage, `"dir"`},
		{"trial sign design.json", exitUsage, `"key"`},
		{"trial approve design.signed --key k", exitUsage, `"statement"`},
		{"query submit question.json --key k", exitUsage, `"hub"`},
		{"query list", exitUsage, `"hub"`},
		{"query submit", exitUsage, "accepts 1 arg"},
		{"query list --hub ftp://x", exitUsage, "https://host:port"},
		{"verify ledger", exitUsage, `"from", "trust"`},
		{"verify proof 00112233 nobody --from x --trust y", exitUsage, "did:key"},
		{"--log-level loud", exitUsage, "--log-level"},
		{"key show x --log-level loud", exitUsage, "--log-level"},
		{"hub trust --dir x --log-format xml", exitUsage, "--log-format"},
		{"key show " + filepath.Join(dir, "none.key"), exitError, "no such file"},
		{"hub trust --dir " + dir, exitError, "hub init makes one"},
	} {
		_, err := execute(t, strings.Fields(c.args)...)
		require.Equal(t, c.status, statusOf(err), "%s: %v", c.args, err)
		if c.says != "" {
			require.ErrorContains(t, err, c.says, c.args)
		}
	}
}

// TestInitIsNamedWhereItHelps: that init makes directories helps only whoever
// named one that is not there.
func TestInitIsNamedWhereItHelps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	none := filepath.Join(dir, "none")
	for args, named := range map[string]bool{
		"hub run --dir " + none:                               true,
		"hub trust --dir " + none:                             true,
		"node run --dir " + none:                              true,
		"node status --dir " + none:                           true,
		"node enroll --invitation x --dir " + none:            true,
		"node vocabulary " + dir + " --dir " + none:           true,
		"hub trust --dir " + dir:                              true,
		"trial sign " + none + " --key k":                     false,
		"key show " + none:                                    false,
		"node enroll --dir " + dir + " --invitation " + none:  false,
		"verify ledger --trust t --from " + none:              false,
		"query list --hub https://127.0.0.1:1 --root " + none: false,
	} {
		_, err := execute(t, strings.Fields(args)...)
		require.Equal(t, exitError, statusOf(err), "%s: %v", args, err)
		require.Equal(t, named, strings.Contains(err.Error()+hintFor(err), "init makes one"), "%s: %v", args, err)
	}
}

func TestErrorsAreJSONWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	said := func(err error, args ...string) string {
		cmd := newRoot()
		var out bytes.Buffer
		cmd.SetErr(&out)
		require.NoError(t, cmd.ParseFlags(args))
		printError(cmd, err)
		return out.String()
	}
	refused := fmt.Errorf("ask: %w", problem.Refusal("trial.unknown", "no such trial"))
	require.Equal(t, "trialmesh: ask: no such trial (rule trial.unknown)\n", said(refused))
	require.JSONEq(t, `{"error":"ask: no such trial (rule trial.unknown)","kind":"refused","rule":"trial.unknown","status":1}`, said(refused, "--json"))
	require.JSONEq(t, `{"error":"what?","status":2}`, said(usageError{errors.New("what?")}, "--json"))
	require.Contains(t, said(fmt.Errorf("%w: %w", hubclient.ErrUnreachable, syscall.ECONNREFUSED), "--json"), `"hint":"nothing listens there`)
	require.NotContains(t, said(fmt.Errorf("dial: %w", syscall.ECONNREFUSED), "--json"), "hint", "a server of somebody else")
	foreign := fmt.Errorf("%w: %w", hubclient.ErrUnreachable, x509.UnknownAuthorityError{})
	require.Contains(t, said(foreign), "hint: give the hub's root certificate with --root")
	gone := httptest.NewServer(nil)
	gone.Close()
	node, err := nodeclient.New(gone.URL, "")
	require.NoError(t, err)
	_, err = node.Jobs(t.Context(), 1, "")
	require.Contains(t, said(err), "hint: nothing listens there")
}

func TestProblemsOfALoadArePrintedWithTheirDetail(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	printProblems(&out, []nodeclient.Problem{{File: "lab.csv", Line: 1, Rule: "wrong-header", Detail: "no mapping"}, {File: "a.json", Rule: "missing-field"}})
	require.Equal(t, "problem\tlab.csv line 1 \twrong-header: no mapping\nproblem\ta.json line 0 \tmissing-field\n", out.String())
}

func TestDamagedRunFileIsNamed(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", "[]", `{"url":""}`} {
		dir := t.TempDir()
		path := filepath.Join(dir, runFile)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, hubConfigFile), nil, 0o600))
		_, err := execute(t, "hub", "trust", "--dir", dir)
		require.ErrorContains(t, err, path+" is damaged", text)
		require.ErrorContains(t, err, "start it again", text)
		require.Equal(t, exitError, statusOf(err))
	}
}

// TestDefaultsAreShownOnceAndInDays in the help of every command.
func TestDefaultsAreShownOnceAndInDays(t *testing.T) {
	t.Parallel()
	flags := 0
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.LocalFlags().FlagUsages()) {
			flags++
			require.LessOrEqual(t, strings.Count(line, "(default"), 1, "%s: %s", cmd.CommandPath(), line)
			require.NotRegexp(t, `default \d\d+h0m0s`, line, cmd.CommandPath())
		}
		for _, c := range cmd.Commands() {
			look(c)
		}
	}
	look(newRoot())
	require.Greater(t, flags, 100)
}

// TestAVocabularyIsQuietInALog: it is loaded in less time than a line is for.
func TestAVocabularyIsQuietInALog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	cmd := newNodeVocabulary()
	cmd.SetErr(&log)
	now := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	tell := vocabularyProgress(cmd, func() time.Time { return now })
	for _, read := range []int64{0, 50, 100, 0, 30} {
		tell("CONCEPT.csv", read, 100)
	}
	require.Empty(t, log.String())
	now = now.Add(betweenLines)
	tell("CONCEPT.csv", 40, 100)
	tell("CONCEPT.csv", 50, 100)
	require.Equal(t, "loading CONCEPT.csv: 40 %\n", log.String())
}

func TestAMissingFileIsToldWithItsFlag(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.json")
	_, err := execute(t, "query", "count", "--trial", "bp-2026", "--purpose", "how many", "--print", "--cohort", missing)
	require.ErrorContains(t, err, "--cohort: open "+missing)
}
