package registry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
)

// TestTokenEnds: by its time, by its id, or with all of its holder's.
func TestTokenEnds(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	holder, other := peertest.NewKey(t).DID(), peertest.NewKey(t).DID()
	hashes := []string{registry.TokenHash("a"), registry.TokenHash("b"), registry.TokenHash("c"), registry.TokenHash("d")}
	for i, hash := range hashes {
		admit := registry.AdmitToken{Hash: hash, Holder: holder, Role: registry.RoleResearcher, Expires: h.at.Add(time.Hour)}
		if i == 3 {
			admit.Holder = other
		}
		h.must(t, admit)
	}
	good := func() string {
		var text strings.Builder
		for i, hash := range hashes {
			if _, err := h.reader.Token(t.Context(), hash, h.at); err == nil {
				text.WriteByte("abcd"[i])
			} else {
				require.ErrorIs(t, err, registry.ErrTokenRevoked)
			}
		}
		return text.String()
	}
	require.Equal(t, "abcd", good())
	want := registry.Token{
		ID: hashes[0][:16], Holder: holder, Role: registry.RoleResearcher, Issued: start.Add(time.Second), Expires: start.Add(time.Hour),
	}
	require.Equal(t, want, must(h.reader.Token(t.Context(), hashes[0], h.at)))
	_, err := h.reader.Token(t.Context(), hashes[0], want.Expires)
	require.ErrorIs(t, err, registry.ErrToken)
	_, err = h.reader.Token(t.Context(), registry.TokenHash("x"), h.at)
	require.ErrorIs(t, err, registry.ErrToken)

	require.False(t, h.must(t, registry.RevokeTokens{ID: want.ID}).Existed)
	require.Equal(t, "bcd", good())
	require.True(t, h.must(t, registry.RevokeTokens{ID: want.ID}).Existed)
	h.must(t, registry.AdmitToken{Hash: hashes[0], Holder: holder, Role: registry.RoleResearcher, Expires: h.at.Add(time.Hour)})
	require.Equal(t, "bcd", good(), "what was revoked is not admitted again")
	require.False(t, h.must(t, registry.RevokeTokens{Holder: holder}).Existed)
	require.Equal(t, "d", good())

	list := must(h.reader.Tokens(t.Context()))
	require.Len(t, list, 4)
	want.Revoked = true
	require.Equal(t, want, list[0])
	h.replay(t)
}
