package secagg

import (
	"crypto/sha256"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestFieldEqualsBigInt compares the arithmetic with math/big, with the ends of
// the range drawn often.
func TestFieldEqualsBigInt(t *testing.T) {
	t.Parallel()
	p := big.NewInt(prime)
	number := rapid.OneOf(rapid.Uint64Range(0, prime-1), rapid.SampledFrom([]uint64{0, 1, 2, prime - 2, prime - 1, 1 << 60}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		x, y := new(big.Int).SetUint64(a), new(big.Int).SetUint64(b)
		mod := func(v *big.Int) element { return element(v.Mod(v, p).Uint64()) }
		require.Equal(t, mod(new(big.Int).Add(x, y)), element(a).plus(element(b)))
		require.Equal(t, mod(new(big.Int).Sub(x, y)), element(a).minus(element(b)))
		require.Equal(t, mod(new(big.Int).Mul(x, y)), element(a).times(element(b)))
		if a != 0 {
			require.Equal(t, element(1), element(a).times(element(a).inverse()))
		}
	})
	require.True(t, p.ProbablyPrime(20))
}

func TestAnyThresholdOfSharesGivesTheSecret(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "secret"))
		n := rapid.IntRange(1, 20).Draw(t, "n")
		threshold := rapid.IntRange(1, n).Draw(t, "threshold")
		shares := split(secret, n, threshold, newStream([32]byte{1}))
		var points []int
		for i := range n {
			points = append(points, i+1)
		}
		points = rapid.Permutation(points).Draw(t, "order")[:threshold]
		var chosen []Share
		for _, x := range points {
			chosen = append(chosen, shares[x-1])
		}
		got, err := combine(points, chosen)
		require.NoError(t, err)
		require.Equal(t, secret, got)

		limb := rapid.IntRange(0, limbs-1).Draw(t, "limb")
		chosen[0][limb] = chosen[0][limb].plus(1)
		got, err = combine(points, chosen)
		require.True(t, err != nil || got != secret, "a wrong share shows")
	})
}

// TestFewerSharesSayNothing completes threshold − 1 shares of one secret to
// valid shares of any other: both secrets explain what was seen.
func TestFewerSharesSayNothing(t *testing.T) {
	t.Parallel()
	const threshold = 3
	shares := split(sha256.Sum256([]byte("secret")), 5, threshold, newStream([32]byte{7}))
	other := toLimbs(sha256.Sum256([]byte("another")))
	// The polynomial through (0, other), (1, shares[0]), (2, shares[1]) at 3 is
	// other − 3·shares[0] + 3·shares[1].
	var third Share
	for i := range third {
		third[i] = other[i].minus(shares[0][i].times(3)).plus(shares[1][i].times(3))
	}
	got, err := combine([]int{1, 2, 3}, []Share{shares[0], shares[1], third})
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256([]byte("another")), got)
}

func TestShareTextIsStrict(t *testing.T) {
	t.Parallel()
	var s Share
	valid, err := Share{1, 2, 3, 4, prime - 1}.MarshalText()
	require.NoError(t, err)
	require.NoError(t, s.UnmarshalText(valid))
	require.Equal(t, Share{1, 2, 3, 4, prime - 1}, s)

	outside, err := Share{prime}.MarshalText()
	require.NoError(t, err)
	for name, text := range map[string]string{
		"empty": "", "short": string(valid[:52]), "outside the field": string(outside),
		"not base64": string(valid[:55]) + "!",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s Share
			require.Error(t, s.UnmarshalText([]byte(text)))
		})
	}
}

func TestEncodingIsInjective(t *testing.T) {
	t.Parallel()
	require.NotEqual(t, encode("a", "b", "c"), encode("a", "bc"))
	require.NotEqual(t, encode("a", "b"), encode("ab"))
	require.NotEqual(t, encode("a", ""), encode("a"))
}
