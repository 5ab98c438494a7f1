package node

import (
	"context"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/simulations/testdata"
)

// TestClientsOfOtherLanguages runs the tests of the clients under protocol/sdk against a
// running node. They find it by their environment, as their READMEs say.
func TestClientsOfOtherLanguages(t *testing.T) {
	t.Parallel()
	env := serveSDK(t)
	t.Run("python", func(t *testing.T) {
		t.Parallel()
		python := tool(t, "python3")
		const needed = "import sys, cryptography; sys.exit(sys.version_info < (3, 10))"
		if exec.CommandContext(t.Context(), python, "-c", needed).Run() != nil {
			missing(t, "no Python of 3.10 or later with the package cryptography: on Debian, apt-get install python3-cryptography")
		}
		runSuite(t, "python", env, python, "-m", "unittest", "discover", "-s", "tests", "-t", ".")
	})
	t.Run("typescript", func(t *testing.T) {
		t.Parallel()
		node := tool(t, "node")
		if _, err := os.Stat("../protocol/sdk/typescript/node_modules/.bin/tsc"); err != nil {
			missing(t, "no TypeScript: run npm ci in protocol/sdk/typescript")
		}
		runSuite(t, "typescript", env, node, "test.mjs")
	})
}

// runSuite runs the tests of one client.
func runSuite(t *testing.T, language string, env []string, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env = filepath.Join("..", "protocol", "sdk", language), append(os.Environ(), append(env, "PYTHONDONTWRITEBYTECODE=1")...)
	readSources(t, cmd.Dir)
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// readSources reads what a suite is made of: go test runs a test again when what it has
// read has changed, and knows nothing of what other programs read.
func readSources(t *testing.T, dir string) {
	t.Helper()
	// The folder itself is not listed: the suites write beside these.
	for _, name := range []string{"README.md", "package.json", "tsconfig.json", "test.mjs", "pyproject.toml", "generate.py"} {
		_, _ = os.ReadFile(filepath.Join(dir, name)) // each language has some
	}
	for _, pattern := range []string{"src/*.*", "src/trialmesh/*.*", "test/*.*", "tests/*.*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		for _, file := range files {
			_, err := os.ReadFile(file)
			require.NoError(t, err)
		}
	}
}

// tool finds a program.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, "no "+name)
	}
	return path
}

// missing skips a test, which in CI is a failure.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// serveSDK runs a node and returns where it is, for the tests of a client.
func serveSDK(t *testing.T) (env []string) {
	t.Helper()
	dir, _ := enrolled(t, newCertifier(t))
	n, err := Open(t.Context(), Config{Dir: dir, Circuits: t.TempDir()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	target, err := url.Parse(n.URL())
	require.NoError(t, err)

	token, err := os.ReadFile(filepath.Join(dir, tokenFile))
	require.NoError(t, err)

	files := t.TempDir()
	secure := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(target))
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // handshakes that clients refuse
	secure.StartTLS()
	t.Cleanup(secure.Close)
	ca := filepath.Join(files, "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600))

	bundle := filepath.Join(files, "bundle.json")
	require.NoError(t, os.WriteFile(bundle, patientBundle(t).Data, 0o600))
	return []string{
		"TRIALMESH_URL=" + n.URL(), "TRIALMESH_TOKEN=" + strings.TrimSpace(string(token)),
		"TRIALMESH_TEST_CUT_URL=http://" + cutting(t, target.Host, 64<<10),
		"TRIALMESH_TEST_TLS_URL=" + secure.URL, "TRIALMESH_TEST_CA=" + ca, "TRIALMESH_TEST_BUNDLE=" + bundle,
	}
}

// patientBundle is a patient of Synthea whose bundle has some hundred kilobytes.
func patientBundle(t *testing.T) (bundle testdata.File) {
	t.Helper()
	for f, err := range testdata.Hospitals()[0].Files(t.Context()) {
		require.NoError(t, err)
		if !f.Infrastructure() && len(f.Data) > 200<<10 && len(f.Data) < 400<<10 {
			return f
		}
	}
	require.Fail(t, "no bundle is of that size")
	return bundle
}

// cutting relays connections to a server and breaks each when it has brought so many
// bytes there. It returns its address.
func cutting(t *testing.T, target string, most int64) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var loops sync.WaitGroup
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		loops.Wait()
	})
	loops.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", target)
			if err != nil {
				_ = from.Close()
				continue
			}
			end := func() { _, _ = from.Close(), to.Close() }
			loops.Go(func() { _, _ = io.CopyN(to, from, most); end() })
			loops.Go(func() { _, _ = io.Copy(from, to); end() })
		}
	})
	return listener.Addr().String()
}
