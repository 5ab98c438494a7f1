package secagg_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/secagg"
)

// TestSumIsExact is the law of the package: with any drop-outs that leave the
// demanded number, after any round, the hub gets the sum of those who masked; or nothing,
// if their masks with those who dropped out before cannot all be removed.
func TestSumIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{3, 3, 3, 3, 4, 4, 4, 5, 5, 6, 7, 8, 12}).Draw(t, "members")
		w := newNetwork(n, rapid.IntRange(1, 12).Draw(t, "words"))
		w.session.Threshold = rapid.IntRange(secagg.Majority(n), n).Draw(t, "threshold")
		needed := max(w.session.Threshold, w.session.MinMembers)
		vectors := make([][]uint64, n)
		for i := range vectors {
			vectors[i] = rapid.SliceOfN(rapid.Uint64(), w.session.Words, w.session.Words).Draw(t, "vector")
		}
		rounds := all(n)
		order := rapid.Permutation(slices.Collect(indices(n))).Draw(t, "order")
		for _, i := range order[:rapid.IntRange(0, n-needed).Draw(t, "dropped")] {
			rounds[i] = rapid.IntRange(0, 3).Draw(t, "silent after")
		}
		sum, err := w.sum(w.run(t, vectors, rounds))
		if rounds.helpless() {
			require.ErrorIs(t, err, secagg.ErrTooFewMembers)
			return
		}
		require.NoError(t, err)
		require.Equal(t, plainSum(vectors, rounds), sum)
	})
}

func indices(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// TestTwoOfFiveFallSilent tries every pair, and for every round in which the
// first falls silent another one for the second.
func TestTwoOfFiveFallSilent(t *testing.T) {
	t.Parallel()
	const n = 5
	vectors := make([][]uint64, n)
	for i := range vectors {
		vectors[i] = []uint64{uint64(i + 1), ^uint64(i)}
	}
	for a := range n {
		for b := range a {
			for after := range 4 {
				rounds := all(n)
				rounds[a], rounds[b] = after, (after+a+b)%4
				t.Run(fmt.Sprint(rounds), func(t *testing.T) {
					t.Parallel()
					w := newNetwork(n, 2)
					sum, err := w.sum(w.run(t, vectors, rounds))
					if rounds.helpless() {
						require.ErrorIs(t, err, secagg.ErrTooFewMembers)
						return
					}
					require.NoError(t, err)
					require.Equal(t, plainSum(vectors, rounds), sum)
				})
			}
		}
	}
}

func TestLongVectors(t *testing.T) {
	t.Parallel()
	for _, words := range []int{511, 512, 513, 1100} { // around the generator's buffer
		w := newNetwork(4, words)
		vectors := make([][]uint64, 4)
		for i := range vectors {
			vectors[i] = make([]uint64, words)
			for k := range vectors[i] {
				vectors[i][k] = uint64(i+1) << (k % 64)
			}
		}
		rounds := until{4, 1, 4, 4}
		sum, err := w.sum(w.run(t, vectors, rounds))
		require.NoError(t, err)
		require.Equal(t, plainSum(vectors, rounds), sum)
	}
}

func TestMessagesSurviveJSON(t *testing.T) {
	t.Parallel()
	w := newNetwork(4, 3)
	x := w.run(t, [][]uint64{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}}, until{4, 4, 1, 4})
	same(t, x.roster)
	same(t, x.roster.Members[0])
	same(t, x.masked[0])
	same(t, x.inboxes[x.survivors[0]])
	same(t, x.confirmations[0])
	same(t, x.reveals[0])
}

// same requires that a message is what Decode makes of its JSON.
func same[T secagg.Message](t *testing.T, m T) {
	t.Helper()
	raw, err := json.Marshal(m)
	require.NoError(t, err)
	back, err := secagg.Decode[T](raw)
	require.NoError(t, err)
	require.Equal(t, m, back)
}

func TestSumRefuses(t *testing.T) {
	t.Parallel()
	vectors := [][]uint64{{1}, {2}, {4}, {8}, {16}}
	for name, c := range map[string]struct {
		spoil func(*network, *transcript)
		want  error
	}{
		"too few reveals":              {func(_ *network, x *transcript) { x.reveals = x.reveals[:2] }, secagg.ErrTooFewMembers},
		"a reveal twice":               {func(_ *network, x *transcript) { x.reveals[1] = x.reveals[0] }, secagg.ErrSurvivors},
		"a reveal by a dropped member": {func(w *network, x *transcript) { x.reveals[1].From = w.sites[4].did() }, secagg.ErrSurvivors},
		"a reveal for other survivors": {func(_ *network, x *transcript) {
			x.reveals[1].Shares, x.reveals[1].Seeds = x.reveals[1].Shares[:3], append(x.reveals[1].Seeds, secagg.Seed{})
		}, secagg.ErrSurvivors},
		"a reveal of another session":      {func(_ *network, x *transcript) { x.reveals[0].Session[0] ^= 1 }, secagg.ErrSession},
		"a vector of another session":      {func(_ *network, x *transcript) { x.masked[0].Session[0] ^= 1 }, secagg.ErrSession},
		"a vector twice":                   {func(_ *network, x *transcript) { x.masked[1] = x.masked[0] }, secagg.ErrSurvivors},
		"a vector too short":               {func(_ *network, x *transcript) { x.masked[0].Vector = nil }, secagg.ErrVector},
		"a vector left out":                {func(_ *network, x *transcript) { x.masked = x.masked[:3] }, secagg.ErrSurvivors},
		"a vector of a stranger":           {func(_ *network, x *transcript) { x.masked[0].From = newSite(99).did() }, secagg.ErrShare},
		"a vector for a smaller roster":    {func(_ *network, x *transcript) { x.roster.Members = x.roster.Members[:4] }, secagg.ErrShare},
		"too few vectors":                  {func(_ *network, x *transcript) { x.masked = x.masked[:2] }, secagg.ErrTooFewMembers},
		"a corrupted share of a self mask": {func(_ *network, x *transcript) { x.reveals[1].Shares[2][3] ^= 1 }, secagg.ErrUnmask},
		"another commitment":               {func(_ *network, x *transcript) { x.roster.Members[0].Commitment[0] ^= 1 }, secagg.ErrUnmask},
		"a seed nobody committed to":       {func(_ *network, x *transcript) { x.reveals[3].Seeds[0][0] ^= 4 }, secagg.ErrUnmask},
		"a survivor's masks still on":      {func(_ *network, x *transcript) { x.reveals = x.reveals[:3] }, secagg.ErrTooFewMembers},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newNetwork(5, 1)
			x := w.run(t, vectors, until{4, 4, 4, 4, 1}) // the last drops out before it sends its vector
			sum, err := w.sum(x)
			require.NoError(t, err)
			require.Equal(t, []uint64{15}, sum)
			c.spoil(&w, &x)
			_, err = w.sum(x)
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestCorruptedSecretNamesItsOwner(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*transcript){
		"a share": func(x *transcript) { x.reveals[0].Shares[1][0] ^= 1 },
		"a seed":  func(x *transcript) { x.reveals[1].Seeds[0][0] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newNetwork(4, 1)
			x := w.run(t, [][]uint64{{1}, {2}, {3}, {4}}, until{4, 4, 4, 1})
			spoil(&x)
			_, err := w.sum(x)
			require.ErrorIs(t, err, secagg.ErrUnmask)
			require.ErrorContains(t, err, "of "+w.sites[1].did().Short())
		})
	}
}

// TestWholeRosterNeedsNoConfirmation: then any members as many as the threshold give the sum.
func TestWholeRosterNeedsNoConfirmation(t *testing.T) {
	t.Parallel()
	w := newNetwork(5, 2)
	rounds := until{4, 2, 4, 2, 4}
	x := w.run(t, fiveVectors, rounds)
	require.Empty(t, x.confirmations)
	require.Len(t, x.reveals, 3)
	sum, err := w.sum(x)
	require.NoError(t, err)
	require.Equal(t, plainSum(fiveVectors, rounds), sum)
}

func TestInboxesRefuse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func([]secagg.Masked) []secagg.Masked
		want  error
	}{
		"too few":              {func(s []secagg.Masked) []secagg.Masked { return s[:2] }, secagg.ErrTooFewMembers},
		"a vector twice":       {func(s []secagg.Masked) []secagg.Masked { return append(s, s[0]) }, secagg.ErrSurvivors},
		"a vector too long":    {func(s []secagg.Masked) []secagg.Masked { s[0].Vector = secagg.Vector{1, 2}; return s }, secagg.ErrVector},
		"a commitment too few": {func(s []secagg.Masked) []secagg.Masked { s[0].Pairs = s[0].Pairs[1:]; return s }, secagg.ErrShare},
		"a box too short":      {func(s []secagg.Masked) []secagg.Masked { s[0].Boxes[0] = nil; return s }, secagg.ErrShare},
		"another session":      {func(s []secagg.Masked) []secagg.Masked { s[0].Session[0] ^= 1; return s }, secagg.ErrSession},
		"one of the others left out": {func(s []secagg.Masked) []secagg.Masked {
			s[0].Boxes, s[0].Pairs = s[0].Boxes[1:], s[0].Pairs[1:]
			return s
		}, secagg.ErrShare},
		"a stranger": {func(s []secagg.Masked) []secagg.Masked {
			s[0].From = newSite(99).did()
			return s
		}, secagg.ErrShare},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newNetwork(4, 1)
			x := w.run(t, [][]uint64{{1}, {2}, {3}, {4}}, all(4))
			_, err := secagg.Inboxes(w.session, x.roster, c.spoil(x.masked))
			require.ErrorIs(t, err, c.want)
		})
	}
}
