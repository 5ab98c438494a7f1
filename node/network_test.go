package node

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/identity"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
)

// TestNetworkIsWrittenWhenItChanges: the hub is asked every ten seconds and
// mostly tells the same.
func TestNetworkIsWrittenWhenItChanges(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), networkFile)
	told := entry.Network{Nodes: []identity.DID{"did:key:zA"}}
	require.NoError(t, remember(file, told))
	before, err := os.Stat(file)
	require.NoError(t, err)
	require.NoError(t, remember(file, told))
	after, err := os.Stat(file)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "writing replaces the file")

	told.Nodes = append(told.Nodes, "did:key:zB")
	require.NoError(t, remember(file, told))
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var kept entry.Network
	require.NoError(t, json.Unmarshal(raw, &kept))
	require.Equal(t, told, kept)

	require.NoError(t, os.WriteFile(file, raw[:len(raw)/2], 0o600))
	require.NoError(t, remember(file, told), "a damaged file is replaced")
	again, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, raw, again)
}
