package raw

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASealedSecretOpensForItsUseOnly(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "raw.key")
	require.NoError(t, CreateKey(key))
	before, err := OpenSealer(key)
	require.NoError(t, err)
	sealed, err := before.Seal([]byte("the secret"), "connection 1")
	require.NoError(t, err)
	require.NotContains(t, string(sealed), "the secret")

	require.NoError(t, RotateKey(key))
	after, err := OpenSealer(key)
	require.NoError(t, err)
	text, err := after.Unseal(sealed, "connection 1")
	require.NoError(t, err, "an older key opens what it sealed")
	require.Equal(t, "the secret", string(text))

	anew, err := after.Seal(text, "connection 1")
	require.NoError(t, err)
	_, err = before.Unseal(anew, "connection 1")
	require.ErrorIs(t, err, ErrDamaged, "a stolen older key does not open what comes now")
	_, err = after.Unseal(sealed, "connection 2")
	require.ErrorIs(t, err, ErrDamaged, "nobody else's connection")
	for i := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 1
		_, err = after.Unseal(damaged, "connection 1")
		require.ErrorIs(t, err, ErrDamaged)
		_, err = after.Unseal(sealed[:i], "connection 1")
		require.ErrorIs(t, err, ErrDamaged)
	}
	_, err = after.Seal(make([]byte, maxSealed+1), "connection 1")
	require.ErrorContains(t, err, "64 KiB")
}
