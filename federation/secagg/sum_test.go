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
// demanded number, after any round, the hub gets the sum of those who masked.
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
			rounds[i] = rapid.IntRange(0, 4).Draw(t, "silent after")
		}
		x := w.run(t, vectors, rounds)
		sum, err := w.sum(x)
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
			for after := range 5 {
				rounds := all(n)
				rounds[a], rounds[b] = after, (after+a+b)%5
				t.Run(fmt.Sprint(rounds), func(t *testing.T) {
					t.Parallel()
					w := newNetwork(n, 2)
					sum, err := w.sum(w.run(t, vectors, rounds))
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
		rounds := until{5, 2, 5, 5}
		sum, err := w.sum(w.run(t, vectors, rounds))
		require.NoError(t, err)
		require.Equal(t, plainSum(vectors, rounds), sum)
	}
}

func TestMessagesSurviveJSON(t *testing.T) {
	t.Parallel()
	w := newNetwork(4, 3)
	x := w.run(t, [][]uint64{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}}, until{5, 5, 2, 5})
	same(t, x.roster)
	same(t, x.roster.Members[0])
	same(t, x.shares[0])
	same(t, x.inboxes[x.dealers[0]])
	same(t, x.masked[0])
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
			r := &x.reveals[1]
			r.MaskKeys, r.SelfMasks = r.SelfMasks[3:], append(slices.Clone(r.SelfMasks[:3]), r.MaskKeys...)
		}, secagg.ErrSurvivors},
		"a reveal of another session":      {func(_ *network, x *transcript) { x.reveals[0].Session[0] ^= 1 }, secagg.ErrSession},
		"a vector of another session":      {func(_ *network, x *transcript) { x.masked[0].Session[0] ^= 1 }, secagg.ErrSession},
		"a vector twice":                   {func(_ *network, x *transcript) { x.masked[1] = x.masked[0] }, secagg.ErrSurvivors},
		"a vector too short":               {func(_ *network, x *transcript) { x.masked[0].Vector = nil }, secagg.ErrVector},
		"a vector left out":                {func(_ *network, x *transcript) { x.masked = x.masked[:3] }, secagg.ErrSurvivors},
		"a survivor who never dealt":       {func(_ *network, x *transcript) { x.dealers = x.dealers[1:] }, secagg.ErrSurvivors},
		"too few vectors":                  {func(_ *network, x *transcript) { x.masked = x.masked[:2] }, secagg.ErrTooFewMembers},
		"a corrupted share of a self mask": {func(_ *network, x *transcript) { x.reveals[1].SelfMasks[2].Share[3] ^= 1 }, secagg.ErrUnmask},
		"a corrupted share of a mask key":  {func(_ *network, x *transcript) { x.reveals[2].MaskKeys[0].Share[0] ^= 4 }, secagg.ErrUnmask},
		"a forged advertisement":           {func(_ *network, x *transcript) { x.roster.Members[0].MaskKey[0] ^= 1 }, secagg.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newNetwork(5, 1)
			x := w.run(t, vectors, until{5, 5, 5, 5, 2}) // the last deals and drops out
			sum, err := w.sum(x)
			require.NoError(t, err)
			require.Equal(t, []uint64{15}, sum)
			c.spoil(&w, &x)
			_, err = w.sum(x)
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestCorruptedShareNamesItsOwner(t *testing.T) {
	t.Parallel()
	w := newNetwork(3, 1)
	x := w.run(t, [][]uint64{{1}, {2}, {3}}, all(3))
	x.reveals[0].SelfMasks[1].Share[0] ^= 1
	_, err := w.sum(x)
	require.ErrorIs(t, err, secagg.ErrUnmask)
	require.ErrorContains(t, err, w.sites[1].did().Short())
}

func TestInboxesRefuse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func([]secagg.Shares) []secagg.Shares
		want  error
	}{
		"too few":         {func(s []secagg.Shares) []secagg.Shares { return s[:2] }, secagg.ErrTooFewMembers},
		"a dealer twice":  {func(s []secagg.Shares) []secagg.Shares { return append(s, s[0]) }, secagg.ErrShare},
		"a box too few":   {func(s []secagg.Shares) []secagg.Shares { s[0].Boxes = s[0].Boxes[1:]; return s }, secagg.ErrShare},
		"a box too short": {func(s []secagg.Shares) []secagg.Shares { s[0].Boxes[0].Ciphertext = nil; return s }, secagg.ErrShare},
		"another session": {func(s []secagg.Shares) []secagg.Shares { s[0].Session[0] ^= 1; return s }, secagg.ErrSession},
		"a stranger": {func(s []secagg.Shares) []secagg.Shares {
			s[0].From = newSite(99).did()
			for i := range s[0].Boxes {
				s[0].Boxes[i].From = s[0].From
			}
			return s
		}, secagg.ErrShare},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newNetwork(4, 1)
			x := w.run(t, [][]uint64{{1}, {2}, {3}, {4}}, all(4))
			_, err := secagg.Inboxes(w.session, x.roster, c.spoil(x.shares))
			require.ErrorIs(t, err, c.want)
		})
	}
}
