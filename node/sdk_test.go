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

	"github.com/trialmesh/trialmesh/protocol/sdk/sdktest"
	"github.com/trialmesh/trialmesh/simulations/testdata"
)

// TestClientsOfOtherLanguages runs the tests of the clients under protocol/sdk against a
// running node. They find it by their environment, as their READMEs say.
func TestClientsOfOtherLanguages(t *testing.T) {
	t.Parallel()
	env := serveSDK(t)
	t.Run("python", func(t *testing.T) {
		t.Parallel()
		runSuite(t, "python", env, sdktest.Python(t, "cryptography", "pandas", "yaml"), "-m", "unittest", "discover", "-s", "tests", "-t", ".")
	})
	t.Run("typescript", func(t *testing.T) {
		t.Parallel()
		node := sdktest.Tool(t, "node")
		if _, err := os.Stat("../protocol/sdk/typescript/node_modules/.bin/tsc"); err != nil {
			sdktest.Missing(t, "no TypeScript: run npm ci in protocol/sdk/typescript")
		}
		runSuite(t, "typescript", env, node, "test.mjs")
	})
}

// runSuite runs the tests of one client.
func runSuite(t *testing.T, language string, env []string, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = filepath.Join("..", "protocol", "sdk", language)
	sdktest.ReadSources(t, cmd.Dir, "README.md", "package.json", "tsconfig.json", "test.mjs", "pyproject.toml", "generate.py",
		"src/*.*", "src/trialmesh/*.*", "test/*.*", "tests/*.*", "tests/recorded/*", "examples/*.*", "../../vectors/*.json")
	sdktest.Run(t, "../protocol/sdk", cmd, env...)
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
