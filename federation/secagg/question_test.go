package secagg_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/secagg"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
)

func TestForQuestion(t *testing.T) {
	t.Parallel()
	w := newNetwork(6, 1)
	nodes := slices.Clone(w.session.Members)
	slices.Reverse(nodes)
	given := slices.Clone(nodes)
	s, err := secagg.ForQuestion(w.session.ID, nodes, disclosure.Policy{MinSites: 5}, 12)
	require.NoError(t, err)
	require.Equal(t, secagg.Session{ID: w.session.ID, Members: w.session.Members, Threshold: 4, MinMembers: 5, Words: 12}, s)
	require.Equal(t, given, nodes, "the caller's list stays as it was")

	s, err = secagg.ForQuestion(w.session.ID, nodes, disclosure.Policy{}, 12)
	require.NoError(t, err)
	require.Equal(t, secagg.MinMembers, s.MinMembers)

	_, err = secagg.ForQuestion(w.session.ID, nodes[:2], disclosure.Policy{}, 12)
	refusedBy(t, secagg.ErrSession, err)
	_, err = secagg.ForQuestion(w.session.ID, nodes[:3], disclosure.Policy{MinSites: 4}, 12)
	refusedBy(t, secagg.ErrSession, err)
}

// TestSessionOfARound: each round has a session of its own, in which nobody may be missing.
func TestSessionOfARound(t *testing.T) {
	t.Parallel()
	w := newNetwork(4, 1)
	sites, id := w.session.Members, w.session.ID
	second, err := secagg.ForRound(id, 2, sites, 10)
	require.NoError(t, err)
	require.Equal(t, 4, second.MinMembers)
	require.Equal(t, 3, second.Threshold)
	third, err := secagg.ForRound(id, 3, sites, 10)
	require.NoError(t, err)
	require.NotEqual(t, second.ID, third.ID)
	require.NotEqual(t, id, second.ID)
	_, err = secagg.ForRound(id, 2, sites[:2], 10)
	refusedBy(t, secagg.ErrSession, err)
}
