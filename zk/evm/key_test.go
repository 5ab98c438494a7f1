package evm_test

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
)

func TestKeyDoesNotLeak(t *testing.T) {
	t.Parallel()
	raw := make([]byte, 32)
	raw[31] = 42
	key, err := evm.NewKey(raw)
	require.NoError(t, err)
	secret := hex.EncodeToString(raw)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		for _, value := range []any{key, &key, evm.Config{Signer: key}, []evm.Key{key}} {
			shown := fmt.Sprintf(verb, value)
			require.Contains(t, shown, "redacted", verb)
			require.NotContains(t, shown, secret, verb)
			require.NotContains(t, shown, "PrivateKey", verb)
		}
	}
	_, err = json.Marshal(evm.Config{Signer: key})
	require.Error(t, err)
	_, err = key.MarshalText()
	require.Error(t, err)
}

func TestNewKeyRefuses(t *testing.T) {
	t.Parallel()
	order, err := hex.DecodeString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
	require.NoError(t, err)
	for name, raw := range map[string][]byte{
		"nothing": nil, "zero": make([]byte, 32), "31 bytes": make([]byte, 31), "the order": order,
	} {
		_, err := evm.NewKey(raw)
		require.Error(t, err, name)
	}
	_, err = evm.GenerateKey(strings.NewReader("short"))
	require.Error(t, err)
}

// TestKeyAddress checks an address from outside: the account that `geth --dev` announces for the
// developer key that is in its source.
func TestKeyAddress(t *testing.T) {
	t.Parallel()
	raw, err := hex.DecodeString("b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291")
	require.NoError(t, err)
	key, err := evm.NewKey(raw)
	require.NoError(t, err)
	require.Equal(t, "0x71562b71999873DB5b286dF957af199Ec94617F7", key.Address().Hex())
	require.Zero(t, evm.Key{}.Address())
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "hub.key")
	key := newKey(t)
	passphrase := strings.Repeat("random, ", 4)
	require.NoError(t, key.Save(path, passphrase, rand.Reader))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	loaded, err := evm.LoadKey(path, passphrase)
	require.NoError(t, err)
	require.Equal(t, key.Address(), loaded.Address())

	t.Run("a wrong passphrase is refused", func(t *testing.T) {
		_, err := evm.LoadKey(path, "guess")
		require.ErrorContains(t, err, path)
		require.NotContains(t, err.Error(), "guess")
	})
	t.Run("a passphrase that can be guessed is refused", func(t *testing.T) {
		require.ErrorContains(t, newKey(t).Save(filepath.Join(dir, "short"), "correct horse", rand.Reader), "32 bytes")
		require.NoFileExists(t, filepath.Join(dir, "short"))
	})
	t.Run("a key file is not overwritten", func(t *testing.T) {
		require.ErrorIs(t, newKey(t).Save(path, passphrase, rand.Reader), os.ErrExist)
	})
	t.Run("no key is not saved", func(t *testing.T) {
		require.ErrorIs(t, evm.Key{}.Save(filepath.Join(dir, "none"), passphrase, rand.Reader), evm.ErrReadOnly)
	})
	for name, content := range map[string]string{
		"empty": "", "not JSON": "key", "too large": `{"x":"` + strings.Repeat("x", 1<<17) + `"}`,
		"without crypto": `{"version":3}`, "an unknown version": `{"version":4}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			_, err := evm.LoadKey(path, "x")
			require.Error(t, err)
		})
	}
	_, err = evm.LoadKey(filepath.Join(dir, "missing"), "x")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestKeyWords(t *testing.T) {
	t.Parallel()
	good := toy().words
	inputs, err := good.Inputs()
	require.NoError(t, err)
	require.Equal(t, 5, inputs)
	require.NotEqual(t, good.Hash(), newToyKeys().words.Hash())
	unreduced := append(evm.KeyWords{}, good...)
	for i := range 32 {
		unreduced[64+i] = 0xff
	}
	for name, bad := range map[string]evm.KeyWords{
		"nothing": nil, "a byte short": good[:len(good)-1], "a word short": good[:len(good)-32],
		"no inputs": good[:16*32], "65 inputs": make(evm.KeyWords, (14+2*66)*32), "unreduced": unreduced,
	} {
		_, err := bad.Inputs()
		require.Error(t, err, name)
	}
}
