package message

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestVerifiedIsBounded: the last are remembered, and not many more.
func TestVerifiedIsBounded(t *testing.T) {
	t.Parallel()
	v := NewVerified()
	name := func(i int) Digest { return Sum([]byte(strconv.Itoa(i))) }
	const all = 5*maxVerified/2 + 1
	for i := range all {
		v.add(name(i))
		require.LessOrEqual(t, len(v.now)+len(v.before), 2*maxVerified)
	}
	for i := all - maxVerified; i < all; i++ {
		require.True(t, v.has(name(i)))
	}
	require.False(t, v.has(name(0)))
}
