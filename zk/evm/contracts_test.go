package evm_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/stretchr/testify/require"
)

const contractsDir = "contracts"

// compiled are the contracts that have artifacts.
var compiled = []string{
	"AccessLog", "ConsentRoots", "Custody", "Enrollment", "GeneratedVerifier", "Groth16Verifier", "HubAnchor", "Registry",
}

// artifact is a file that contracts/build.mjs writes.
type artifact struct {
	Contract string            `json:"contract"`
	Sources  map[string]string `json:"sources"`
	ABI      abi.ABI           `json:"abi"`
	Bytecode string            `json:"bytecode"`
}

func readArtifact(tb testing.TB, path string) artifact {
	tb.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(tb, err)
	var a artifact
	require.NoError(tb, json.Unmarshal(raw, &a))
	return a
}

func (a artifact) creation(tb testing.TB) []byte {
	tb.Helper()
	code, err := hex.DecodeString(a.Bytecode)
	require.NoError(tb, err)
	return code
}

// TestArtifactsNameTheirSources needs no Node: whoever edits a contract and forgets to build sees it.
func TestArtifactsNameTheirSources(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob(filepath.Join(contractsDir, "*.sol"))
	require.NoError(t, err)
	want := map[string]string{}
	for _, path := range sources {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		digest := sha256.Sum256(content)
		want[filepath.Base(path)] = hex.EncodeToString(digest[:])
	}
	artifacts, err := filepath.Glob(filepath.Join(contractsDir, "artifacts", "*.json"))
	require.NoError(t, err)
	require.Len(t, artifacts, len(compiled))
	for _, path := range artifacts {
		require.Equal(t, want, readArtifact(t, path).Sources, "%s: run npm run build in zk/evm/contracts", path)
	}
}

// TestArtifactsAreWhatSolcMakes compiles the sources again and compares byte for byte.
func TestArtifactsAreWhatSolcMakes(t *testing.T) {
	t.Parallel()
	made := compile(t)
	for _, dir := range []string{made, filepath.Join(contractsDir, "artifacts")} {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, len(compiled))
		for _, entry := range entries {
			want, err := os.ReadFile(filepath.Join(made, entry.Name()))
			require.NoError(t, err)
			committed, err := os.ReadFile(filepath.Join(contractsDir, "artifacts", entry.Name()))
			require.NoError(t, err)
			require.Equal(t, string(want), string(committed), "run npm run build in zk/evm/contracts")
		}
	}
}

// compile runs contracts/build.mjs on the sources, or on those of the folder if none are given, and
// returns the folder with the artifacts.
func compile(t *testing.T, sources ...string) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		missing(t, "no node to run solc with")
	}
	if _, err := os.Stat(filepath.Join(contractsDir, "node_modules", "solc")); err != nil {
		missing(t, "no solc: run npm ci in zk/evm/contracts")
	}
	out := t.TempDir()
	cmd := exec.CommandContext(t.Context(), node, append([]string{filepath.Join(contractsDir, "build.mjs"), out}, sources...)...)
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return out
}
