package hub

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

func placeOf(host string) Replica {
	return Replica{URL: "https://" + host, Nodes: []string{"/dns/" + host + "/tcp/7421"}, Address: "/dns/" + host + "/tcp/7423"}
}

func newDID(t *testing.T) identity.DID {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	require.NoError(t, err)
	return key.DID()
}

// TestKit: replicas have in common what the hub is, and nothing of what one of them is.
func TestKit(t *testing.T) {
	t.Parallel()
	dirs := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "c")}
	var others []Replica
	for i, host := range []string{"b.example", "c.example"} {
		r, err := InitReplica(dirs[i+1], placeOf(host))
		require.NoError(t, err)
		others = append(others, r)
	}
	_, err := InitReplica(dirs[1], placeOf("b.example"))
	require.ErrorContains(t, err, "is not empty")
	_, err = InitGroup(dirs[0], "Test", "test/log", placeOf("a.example"), others[:1])
	require.ErrorIs(t, err, errGroupSize)
	require.NoDirExists(t, dirs[0], "a wrong call leaves nothing behind")

	made, err := InitGroup(dirs[0], "Test", "test/log", placeOf("a.example"), others)
	require.NoError(t, err)
	raw, err := json.Marshal(made)
	require.NoError(t, err)
	kit, err := ParseKit(raw)
	require.NoError(t, err)
	for i, dir := range dirs[1:] {
		self, err := Join(dir, kit)
		require.NoError(t, err)
		require.Equal(t, others[i], self)
		again, err := Join(dir, kit)
		require.NoError(t, err, "after what failed half-way")
		require.Equal(t, self, again)
		log := filepath.Join(dir, logKeyFile)
		require.NoError(t, os.WriteFile(log, []byte("of another hub"), 0o600))
		_, err = Join(dir, kit)
		require.ErrorContains(t, err, log+" is there with other content")
		require.NoError(t, os.Remove(log))
		_, err = Join(dir, kit)
		require.NoError(t, err)
	}
	of := func(dir, file string) string {
		text, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		info, err := os.Stat(filepath.Join(dir, file))
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm(), file)
		return string(text)
	}
	shared, err := common(dirs[0])
	require.NoError(t, err)
	require.Greater(t, len(shared), 4)
	for _, file := range shared {
		require.Equal(t, of(dirs[0], file), of(dirs[1], file), file)
	}
	for _, file := range []string{replicaKeyFile, chainKeyFile} {
		require.NotEqual(t, of(dirs[0], file), of(dirs[1], file), file)
		require.NotContains(t, kit.Files, file)
	}

	_, err = Open(t.Context(), Config{Dir: dirs[0], Origin: "test/log", Hosts: []string{"a.example"}, Circuits: t.TempDir()})
	require.ErrorContains(t, err, "replicas: none listed")
	listed := Config{Dir: dirs[0], Origin: "test/log", Circuits: t.TempDir()}
	listed.Replicas = append([]Replica{{DID: newDID(t), URL: "https://x.example", Nodes: []string{"/dns/x/tcp/1"}, Address: "/dns/x/tcp/2"}}, kit.Replicas[1:]...)
	_, err = Open(t.Context(), listed)
	require.ErrorContains(t, err, "none of those listed is this machine")

	stranger := filepath.Join(t.TempDir(), "d")
	_, err = InitReplica(stranger, placeOf("d.example"))
	require.NoError(t, err)
	_, err = Join(stranger, kit)
	require.ErrorContains(t, err, "for other replicas")
	for name, bad := range map[string]func(*Kit){
		"a file elsewhere": func(k *Kit) { k.Files = map[string][]byte{"../x": nil} },
		"another version":  func(k *Kit) { k.Version = 2 },
		"a replica twice":  func(k *Kit) { k.Replicas = append([]Replica{k.Replicas[1]}, k.Replicas[1:]...) },
		"an account twice": func(k *Kit) {
			k.Replicas = append([]Replica{}, k.Replicas...)
			k.Replicas[0].Account = "0x" + strings.ToUpper(k.Replicas[1].Account[2:])
		},
		"no port": func(k *Kit) {
			k.Replicas = append([]Replica{}, k.Replicas...)
			k.Replicas[0].Address = "/ip4/127.0.0.1/tcp/0"
		},
		"an account of none": func(k *Kit) { k.Replicas = append([]Replica{}, k.Replicas...); k.Replicas[0].Account = "" },
	} {
		k := kit
		bad(&k)
		raw, err := json.Marshal(k)
		require.NoError(t, err)
		_, err = ParseKit(raw)
		require.Error(t, err, name)
	}
}

func FuzzParseKit(f *testing.F) {
	f.Add([]byte(`{"v":1,"origin":"x","replicas":[{"did":"did:key:z","url":"https://a","nodes":["/a"],"address":"/b","account":"0x"}],"files":{"hub.key":"YQ=="}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		kit, err := ParseKit(raw)
		if err != nil {
			return
		}
		for path := range kit.Files {
			require.True(t, filepath.IsLocal(path))
		}
	})
}
