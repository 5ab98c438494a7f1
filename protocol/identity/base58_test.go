package identity

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBase58 are the test vectors of draft-msporny-base58-03, section 5.
func TestBase58(t *testing.T) {
	t.Parallel()
	leading, err := hex.DecodeString("0000287fb4cd")
	require.NoError(t, err)
	for want, raw := range map[string][]byte{
		"2NEpo7TZRRrLZSi2U": []byte("Hello World!"),
		"USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z": []byte("The quick brown fox jumps over the lazy dog."),
		"11233QC4": leading,
	} {
		require.Equal(t, want, encodeBase58(raw))
		back, err := decodeBase58(want)
		require.NoError(t, err)
		require.Equal(t, raw, back)
	}
}
