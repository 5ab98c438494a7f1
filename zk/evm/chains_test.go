package evm_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
)

// endpoint is a chain that a test uses through JSON-RPC.
type endpoint struct {
	url  string
	fund func(context.Context, evm.Address) error
}

// inProcess starts a chain in this process.
func inProcess(tb testing.TB, cfg inprocess.Config) (endpoint, *inprocess.Chain) {
	tb.Helper()
	chain, err := inprocess.Start(context.Background(), cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, chain.Close()) })
	return endpoint{url: chain.URL(), fund: chain.Fund}, chain
}

// tool finds a program of go-ethereum: the variable of its name, the path, ~/go/bin.
func tool(t *testing.T, name string) string {
	t.Helper()
	variable := strings.ToUpper(name)
	candidates := []string{os.Getenv(variable), name}
	if home, err := os.UserHomeDir(); err == nil {
		candidates = append(candidates, filepath.Join(home, "go", "bin", name))
	}
	for _, candidate := range candidates {
		if candidate == "" {
			continue
		}
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	missing(t, fmt.Sprintf("no %s: set %s or go install github.com/ethereum/go-ethereum/cmd/%s@v1.17.3", name, variable, name))
	return ""
}

// missing skips a test that needs a tool, or fails it where all tools have to be there.
func missing(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// geth starts `geth --dev` on free ports and ends it with the test. Its developer account, whose
// key file geth writes, has the money.
func geth(t *testing.T) (endpoint, evm.Key) {
	t.Helper()
	binary := tool(t, "geth")
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(password, []byte("developer\n"), 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "--dev", "--datadir", dir, "--password", password,
		"--http", "--http.addr", "127.0.0.1", "--http.port", "0", "--http.api", "eth",
		"--authrpc.addr", "127.0.0.1", "--authrpc.port", "0",
		"--ipcdisable", "--nodiscover", "--verbosity", "3")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second // then it is killed
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	// geth says where it listens.
	where := make(chan string, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			_, after, ok := strings.Cut(lines.Text(), "HTTP server started")
			if !ok || strings.Contains(after, "auth=true") {
				continue
			}
			if _, address, ok := strings.Cut(after, "endpoint="); ok {
				select {
				case where <- strings.Fields(address)[0]:
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-drained
		_ = cmd.Wait() // says that it was interrupted
	})
	var address string
	select {
	case address = <-where:
	case <-drained:
		t.Fatal("geth ended before it listened")
	case <-time.After(time.Minute):
		t.Fatal("geth did not listen within a minute")
	}
	files, err := filepath.Glob(filepath.Join(dir, "keystore", "UTC--*"))
	require.NoError(t, err)
	require.Len(t, files, 1, "geth writes the developer's key file")
	key, err := evm.LoadKey(files[0], "developer")
	require.NoError(t, err)
	return endpoint{url: "http://" + address}, key
}

func newKey(tb testing.TB) evm.Key {
	tb.Helper()
	key, err := evm.GenerateKey(rand.Reader)
	require.NoError(tb, err)
	return key
}

// fundedKey returns a new account with money.
func (e endpoint) fundedKey(tb testing.TB) evm.Key {
	tb.Helper()
	key := newKey(tb)
	require.NoError(tb, e.fund(context.Background(), key.Address()))
	return key
}

// deploy puts the contracts on the chain for one replica, and accepts the root of toy accesses.
func (e endpoint) deploy(tb testing.TB, replica evm.Key) evm.Deployment {
	tb.Helper()
	cfg := evm.Config{Endpoint: e.url, Signer: replica}
	var err error
	cfg.Deployment, err = evm.Deploy(tb.Context(), cfg, deployConfig(tb, replica))
	require.NoError(tb, err)
	acceptToys(tb, cfg)
	return cfg.Deployment
}

// toyNodes have the root of toy accesses accepted.
const toyNodes = 20

func acceptToys(tb testing.TB, cfg evm.Config) {
	tb.Helper()
	var roots []evm.AcceptedRoot
	for i := range byte(toyNodes) {
		roots = append(roots, evm.AcceptedRoot{Node: toyNode(i), Root: toyRoot, Until: time.Now().Add(time.Hour)})
	}
	client := dial(tb, cfg)
	_, err := client.AcceptRoots(tb.Context(), roots)
	require.NoError(tb, err)
}

func deployConfig[R evm.Replica](tb testing.TB, replicas ...R) evm.DeployConfig {
	tb.Helper()
	cfg := evm.DeployConfig{
		Record: filepath.Join(tb.TempDir(), "deployment.json"), Origin: "heart.example/log",
		VerifyingKey: toy().words, QueryPosition: queryPosition, RootPosition: rootPosition,
	}
	for _, replica := range replicas {
		cfg.Replicas = append(cfg.Replicas, replica.Address())
	}
	return cfg
}

// dial connects a client and closes it with the test.
func dial(tb testing.TB, cfg evm.Config) *evm.Client {
	tb.Helper()
	client, err := evm.Dial(tb.Context(), cfg)
	require.NoError(tb, err)
	tb.Cleanup(client.Close)
	return client
}

// ready returns a client of a fresh deployment on a fresh chain in this process.
func ready(tb testing.TB) (endpoint, evm.Config, *evm.Client) {
	tb.Helper()
	e, _ := inProcess(tb, inprocess.Config{})
	key := e.fundedKey(tb)
	cfg := evm.Config{Endpoint: e.url, Signer: key, Deployment: e.deploy(tb, key)}
	return e, cfg, dial(tb, cfg)
}
