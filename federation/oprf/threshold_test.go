package oprf_test

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/oprf"
)

// split returns the shares of a key and what everybody knows of them.
func split(t require.TestingT, key oprf.Key, threshold, holders int) ([]oprf.Key, oprf.Holders) {
	shares, err := key.Split(rand.Reader, threshold, holders)
	require.NoError(t, err)
	var public []oprf.PublicKey
	for _, s := range shares {
		public = append(public, s.Public())
	}
	known, err := oprf.NewHolders(threshold, public)
	require.NoError(t, err)
	return shares, known
}

func part(t require.TestingT, holder int, key oprf.Key, r *oprf.Request) oprf.Part {
	evaluated, proof, err := key.EvaluateVerifiably(rand.Reader, r.Elements())
	require.NoError(t, err)
	return oprf.Part{Holder: holder, Evaluated: evaluated, Proof: proof}
}

// The published vectors of the mode with proofs hold for a key that nobody has any more.
func TestVectorsHoldForASplitKey(t *testing.T) {
	t.Parallel()
	var suites []suite
	require.NoError(t, json.Unmarshal(vectors, &suites))
	s := suites[1]
	require.Equal(t, oprf.Verifiable, s.Mode)
	key, err := oprf.DeriveKey(s.Mode, [32]byte(unhex(t, s.Seed)[0]), unhex(t, s.KeyInfo)[0])
	require.NoError(t, err)
	shares, known := split(t, key, 3, 5)
	require.Equal(t, s.PkSm, hex.EncodeToString(known.Public().Bytes()))
	require.Len(t, s.Vectors, 3)
	for _, v := range s.Vectors {
		request, err := oprf.Blind(scalars(t, v.Blind), s.Mode, unhex(t, v.Input))
		require.NoError(t, err)
		for _, holders := range [][]int{{0, 1, 2}, {4, 2, 0}, {1, 3, 4, 0}} {
			var parts []oprf.Part
			for _, i := range holders {
				parts = append(parts, part(t, i, shares[i], request))
			}
			outputs, liars, err := request.FinalizeParts(known, parts)
			require.NoError(t, err)
			require.Empty(t, liars)
			for j, want := range unhex(t, v.Output) {
				require.Equal(t, want, outputs[j][:])
			}
		}
	}
}

func TestSplitKeys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		holders := rapid.IntRange(1, 5).Draw(t, "holders")
		threshold := rapid.IntRange(1, holders).Draw(t, "threshold")
		answer := rapid.Permutation(order(holders)).Draw(t, "answer")
		key := newKey(t, oprf.Verifiable)
		shares, known := split(t, key, threshold, holders)
		require.Equal(t, key.Public().Bytes(), known.Public().Bytes())
		request, err := oprf.Blind(rand.Reader, oprf.Verifiable, [][]byte{[]byte("a"), []byte("b")})
		require.NoError(t, err)
		var parts []oprf.Part
		for _, i := range answer[:threshold] {
			parts = append(parts, part(t, i, shares[i], request))
		}
		outputs, _, err := request.FinalizeParts(known, parts)
		require.NoError(t, err)
		want, err := key.Output([]byte("b"))
		require.NoError(t, err)
		require.True(t, want.Equal(outputs[1]))
		_, _, err = request.FinalizeParts(known, parts[1:])
		require.ErrorIs(t, err, oprf.ErrParts, "one fewer")
	})
}

func order(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

func TestALyingHolderIsNamed(t *testing.T) {
	t.Parallel()
	key := newKey(t, oprf.Verifiable)
	shares, known := split(t, key, 2, 3)
	request, err := oprf.Blind(rand.Reader, oprf.Verifiable, [][]byte{[]byte("a"), []byte("b")})
	require.NoError(t, err)
	honest := []oprf.Part{part(t, 0, shares[0], request), part(t, 1, shares[1], request)}
	other := part(t, 2, newKey(t, oprf.Verifiable), request)
	swapped := part(t, 2, shares[2], request)
	swapped.Evaluated = []oprf.Element{swapped.Evaluated[1], swapped.Evaluated[0]}
	for name, lie := range map[string]oprf.Part{
		"another key":              other,
		"another holder's answer":  {Holder: 2, Evaluated: honest[0].Evaluated, Proof: honest[0].Proof},
		"answers in another order": swapped,
		"too few answers":          {Holder: 2, Evaluated: swapped.Evaluated[:1], Proof: swapped.Proof},
		"no proof":                 {Holder: 2, Evaluated: honest[0].Evaluated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outputs, liars, err := request.FinalizeParts(known, append([]oprf.Part{lie}, honest...))
			require.NoError(t, err, "the others are enough")
			require.Equal(t, []int{2}, liars)
			want, err := key.Output([]byte("a"))
			require.NoError(t, err)
			require.True(t, want.Equal(outputs[0]))

			_, liars, err = request.FinalizeParts(known, []oprf.Part{lie, honest[0]})
			require.ErrorIs(t, err, oprf.ErrParts)
			require.Equal(t, []int{2}, liars)
		})
	}
	for name, parts := range map[string][]oprf.Part{
		"one holder twice": {honest[0], honest[0]}, "a holder who is none": {honest[0], {Holder: 3}}, "below the first": {{Holder: -1}},
	} {
		_, _, err := request.FinalizeParts(known, parts)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, oprf.ErrParts, name)
	}
}

func TestSharesMustBeOfOneKey(t *testing.T) {
	t.Parallel()
	shares, _ := split(t, newKey(t, oprf.Verifiable), 2, 3)
	public := func(keys ...oprf.Key) (list []oprf.PublicKey) {
		for _, k := range keys {
			list = append(list, k.Public())
		}
		return list
	}
	for name, c := range map[string]struct {
		threshold int
		shares    []oprf.PublicKey
		want      string
	}{
		"a share of another key": {2, public(shares[0], shares[1], newKey(t, oprf.Verifiable)), "oprf: share 3 is not of the same key as those before it"},
		"in another order":       {2, public(shares[1], shares[0], shares[2]), "oprf: share 3 is not of the same key as those before it"},
		"a threshold too low":    {1, public(shares[0], shares[1]), "oprf: share 2 is not of the same key as those before it"},
		"a threshold too high":   {4, public(shares...), "oprf: 4 of 3 holders: want 1 to 100, and a threshold among them"},
		"none":                   {0, nil, "oprf: 0 of 0 holders: want 1 to 100, and a threshold among them"},
		"without proofs":         {1, public(newKey(t, oprf.Base)), "oprf: the holders of a split key have to prove what they answer"},
	} {
		_, err := oprf.NewHolders(c.threshold, c.shares)
		require.EqualError(t, err, c.want, name)
	}
	for _, of := range [][2]int{{0, 1}, {2, 1}, {1, 101}} {
		_, err := newKey(t, oprf.Verifiable).Split(rand.Reader, of[0], of[1])
		require.Error(t, err, of)
	}
}
