package cosign_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/transparency-dev/formats/witness"

	"github.com/trialmesh/trialmesh/federation/cosign"
)

// The example of C2SP tlog-policy (https://c2sp.org/tlog-policy): two groups in a third.
func twoGroups(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	for i, name := range []string{"X1", "X2", "X3", "Y1", "Y2", "Y3"} {
		fmt.Fprintf(&b, "witness %s %s https://%s.example.org/\n", name, keyOf(t, byte(10+i)), name)
	}
	b.WriteString("# two organizations\ngroup X-witnesses 2 X1 X2 X3\n\tgroup Y-witnesses\tany Y1 Y2 Y3\n\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n")
	return b.String()
}

// TestPolicyAgreesWithOthers asks the reader of transparency-dev about every set of
// cosigners.
func TestPolicyAgreesWithOthers(t *testing.T) {
	t.Parallel()
	policy, err := cosign.ParsePolicy([]byte(twoGroups(t)))
	require.NoError(t, err)
	theirs, err := witness.ParsePolicy([]byte(policy.String()))
	require.NoError(t, err, "they read what we write")
	trust := trusting(t, 0)
	trust.Policy = policy
	checkpoint := history(nil).grown(t, 5, "a").at(t, 5)
	quorums := 0
	for set := range 1 << len(policy.Parties) {
		signed := signByLog(t, checkpoint)
		for i := range policy.Parties {
			if set>>i&1 == 1 {
				name, _, _ := strings.Cut(policy.Parties[i].Key, "+")
				signed, err = cosign.Cosign(signed, name, key(byte(10+i)), noon)
				require.NoError(t, err)
			}
		}
		_, err := trust.Open(signed)
		require.Equal(t, theirs.Satisfied(signed), err == nil, "set %06b", set)
		if err == nil {
			quorums++
		}
	}
	require.Equal(t, 4*7, quorums, "2 or 3 of 3, and 1 to 3 of 3")
}

func TestPolicyRefuses(t *testing.T) {
	t.Parallel()
	a, b := keyOf(t, 10), keyOf(t, 11)
	log := trusting(t, 0).Keys[0]
	for name, text := range map[string]string{
		"nothing":                  "",
		"no quorum":                "witness a " + a + "\n",
		"two quorums":              "quorum none\nquorum none\n",
		"unknown word":             "cosigner a " + a + "\nquorum none\n",
		"quorum not defined":       "quorum a\n",
		"quorum before its line":   "quorum a\nwitness a " + a + "\n",
		"member not defined":       "group g any a\nquorum g\n",
		"none as a member":         "group g any none\nquorum g\n",
		"two of one name":          "witness a " + a + "\nwitness a " + b + "\nquorum a\n",
		"one key under two names":  "witness a " + a + "\nwitness b " + a + "\nquorum a\n",
		"a group of one's name":    "witness a " + a + "\ngroup a any a\nquorum a\n",
		"a member twice":           "witness a " + a + "\ngroup g 2 a a\nquorum g\n",
		"a member of two groups":   "witness a " + a + "\ngroup g any a\ngroup h any a\nquorum h\n",
		"more than there are":      "witness a " + a + "\ngroup g 2 a\nquorum g\n",
		"a group of zero":          "witness a " + a + "\ngroup g 0 a\nquorum g\n",
		"a number with a sign":     "witness a " + a + "\ngroup g +1 a\nquorum g\n",
		"a log's key as cosigner":  "witness a " + log + "x\nquorum a\n",
		"a cosigner's key as log":  "log " + a + "\nquorum none\n",
		"a log twice":              "log " + log + "\nlog " + log + "\nquorum none\n",
		"a carriage return":        "quorum none\r\n",
		"a party without its key":  "witness a\nquorum a\n",
		"what nobody can remember": strings.Repeat("#", 2<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := cosign.ParsePolicy([]byte(text))
			require.Error(t, err)
		})
	}
}

// TestPolicyTakesAnyKey is about keys whose base64 holds a plus, the sign that separates
// the parts of a key's text.
func TestPolicyTakesAnyKey(t *testing.T) {
	t.Parallel()
	var keys []string
	for i := range 200 {
		keys = append(keys, keyOf(t, byte(i)))
	}
	policy := cosign.Threshold(1, keys...)
	require.Len(t, policy.With(keys...).Parties, 200)
	_, err := cosign.ParsePolicy([]byte(policy.String()))
	require.NoError(t, err)
	_, err = cosign.ParsePolicy([]byte(cosign.Threshold(1, append(keys, keys[7])...).String()))
	require.Error(t, err)
}

func TestPolicyWith(t *testing.T) {
	t.Parallel()
	policy := cosign.Threshold(1, keyOf(t, 10))
	more := policy.With(keyOf(t, 10), keyOf(t, 11), keyOf(t, 11))
	require.Len(t, more.Parties, 2)
	require.Len(t, policy.Parties, 1)
	trust := trusting(t, 0)
	trust.Policy = more
	signed, err := cosign.Cosign(signByLog(t, history(nil).grown(t, 1, "a").at(t, 1)), more.Parties[1].Name, key(11), noon)
	require.NoError(t, err)
	_, err = trust.Open(signed)
	require.ErrorIs(t, err, cosign.ErrUntrusted, "one more does not count towards the quorum")
}
