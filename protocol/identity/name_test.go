package identity_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "north", "st-olav", "lab.hospital.example", "7", strings.Repeat("a", 63)} {
		require.NoError(t, identity.CheckName(name), name)
	}
	for _, name := range []string{
		"", "Har Bor", "HARBOR", "har bor", "a\nb", "å", ".", "a.", "a..b", "-a", "a-", "a_b", "a/b", "10.0.0.1", "::1", strings.Repeat("a", 64),
	} {
		require.ErrorIs(t, identity.CheckName(name), identity.ErrName, name)
	}
}
