package peer

import (
	"context"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

type forgetful struct{}

func (forgetful) Once(context.Context, message.Digest, string, message.Digest) error { return nil }

func TestSeatIsHeldForItsSession(t *testing.T) {
	t.Parallel()
	keys, names := make([]identity.Key, 3), make([]identity.DID, 3)
	for i := range keys {
		var err error
		keys[i], err = identity.Generate(rand.Reader)
		require.NoError(t, err)
		names[i] = keys[i].DID()
	}
	id := query.ID{1}
	session, err := secagg.ForQuestion(id, names, disclosure.Default(), 2)
	require.NoError(t, err)
	held := newSeats()
	get := func(id query.ID, session secagg.Session, secret [32]byte) *secagg.Member {
		m, err := held.get(id, session, secret, func() (*secagg.Member, error) {
			return secagg.NewMember(secret, session, keys[0], forgetful{})
		})
		require.NoError(t, err)
		return m
	}
	first := get(id, session, [32]byte{1})
	require.Same(t, first, get(id, session, [32]byte{1}))
	second := get(id, session, [32]byte{2})
	require.NotSame(t, first, second, "of another secret")
	next, err := secagg.ForRound(id, 2, names, 2)
	require.NoError(t, err)
	third := get(id, next, [32]byte{2})
	require.NotSame(t, second, third, "of another round")
	held.drop(id)
	require.NotSame(t, third, get(id, next, [32]byte{2}), "dropped")

	for i := range maxSeats + 10 {
		get(query.ID{2, byte(i), byte(i >> 8)}, session, [32]byte{1})
	}
	require.Len(t, held.of, maxSeats)
	_, err = held.get(id, secagg.Session{}, [32]byte{1}, func() (*secagg.Member, error) { return nil, secagg.ErrSession })
	require.ErrorIs(t, err, secagg.ErrSession)
}
