package secagg_test

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/secagg"
)

var update = flag.Bool("update", false, "rewrite testdata")

// vectorFile is a whole session in which the fourth of four members advertises and then
// drops out.
type vectorFile struct {
	About         string                `json:"about"`
	Session       secagg.Session        `json:"session"`
	SessionDigest string                `json:"sessionDigest"`
	Members       []vectorMember        `json:"members"`
	Roster        secagg.Roster         `json:"roster"`
	Masked        []secagg.Masked       `json:"masked"`
	Confirmations []secagg.Confirmation `json:"confirmations"`
	Reveals       []secagg.Reveal       `json:"reveals"`
	Sum           secagg.Vector         `json:"sum"`
}

type vectorMember struct {
	IdentitySeed string        `json:"identitySeed"` // Ed25519, hex
	Secret       string        `json:"secret"`       // hex
	Vector       secagg.Vector `json:"vector"`
}

func TestVectors(t *testing.T) {
	t.Parallel()
	w := newNetwork(4, 3)
	vectors := [][]uint64{{1, 2, 3}, {10, 20, math.MaxUint64}, {100, 200, 1 << 63}, {7, 7, 7}}
	x := w.run(t, vectors, until{4, 4, 4, 1})
	sum, err := w.sum(x)
	require.NoError(t, err)
	require.Equal(t, []uint64{111, 222, 1<<63 + 2}, sum)

	file := vectorFile{
		About: "A session of package secagg with fixed secrets; member 4 drops out after round 0. " +
			"Vectors are base64 of little-endian 64-bit words. The identities and secrets are of no use elsewhere.",
		Session: w.session, SessionDigest: w.session.Digest().String(), Roster: x.roster,
		Masked: x.masked, Confirmations: x.confirmations, Reveals: x.reveals, Sum: sum,
	}
	for i, s := range w.sites {
		file.Members = append(file.Members, vectorMember{
			IdentitySeed: hex.EncodeToString(s.key.Private().Seed()), Secret: hex.EncodeToString(s.secret[:]), Vector: vectors[i],
		})
	}
	got, err := json.MarshalIndent(file, "", " ")
	require.NoError(t, err)
	const path = "testdata/vectors.json"
	if *update {
		require.NoError(t, os.WriteFile(path, append(got, '\n'), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got)+"\n")
}

// TestRestartRepeatsEveryByte plays a session, plays it again with members that
// crash before every step over the same guards, and repeats single steps.
func TestRestartRepeatsEveryByte(t *testing.T) {
	t.Parallel()
	w := newNetwork(5, 4)
	vectors := slices.Repeat([][]uint64{{1, 2, 3, 4}}, 5)
	first := w.run(t, vectors, until{4, 4, 4, 3, 1})
	w.crashes = true
	again := w.run(t, vectors, until{4, 4, 4, 3, 1})
	require.Equal(t, first, again)
	m := w.member(t, 0)
	in := first.inboxes[w.sites[0].did()]
	for range 2 {
		a, err := m.Advertise(t.Context())
		require.NoError(t, err)
		require.Equal(t, first.roster.Members[0], a)
		v, err := m.Mask(t.Context(), first.roster, vectors[0])
		require.NoError(t, err)
		require.Equal(t, first.masked[0], v)
		c, err := m.Confirm(t.Context(), first.roster, first.survivors)
		require.NoError(t, err)
		require.Equal(t, first.confirmations[0], c)
		r, err := m.Unmask(t.Context(), first.roster, first.survivors, first.confirmations, in)
		require.NoError(t, err)
		require.Equal(t, first.reveals[0], r)
	}
}

// TestMaskedVectorLooksUniform tests the bytes of a masked zero vector for equal
// frequencies. The limit is the 1 − 1e-6 quantile of chi-squared with 255
// degrees of freedom, and the input is fixed, so the test cannot flicker.
func TestMaskedVectorLooksUniform(t *testing.T) {
	t.Parallel()
	const words = 20_000
	w := newNetwork(3, words)
	vectors := slices.Repeat([][]uint64{make([]uint64, words)}, 3)
	x := w.run(t, vectors, all(3))
	for _, m := range x.masked {
		var seen [256]float64
		for _, v := range m.Vector {
			for range 8 {
				seen[byte(v)]++
				v >>= 8
			}
		}
		statistic, expected := 0.0, float64(8*words)/256
		for _, n := range seen {
			statistic += (n - expected) * (n - expected) / expected
		}
		require.Less(t, statistic, 374.0)
		require.Greater(t, statistic, 160.0, "too even to be random")
	}
	sum, err := w.sum(x)
	require.NoError(t, err)
	require.Equal(t, make([]uint64, words), sum)
}

// TestAnotherSessionMasksAfresh: the same question put again under another ID
// gives unrelated keys and masks.
func TestAnotherSessionMasksAfresh(t *testing.T) {
	t.Parallel()
	w := newNetwork(3, 2)
	vectors := [][]uint64{{1, 2}, {3, 4}, {5, 6}}
	a := w.run(t, vectors, all(3))
	w.session.ID[0] ^= 1
	b := w.run(t, vectors, all(3))
	require.NotEqual(t, a.roster.Members[0].Key, b.roster.Members[0].Key)
	require.NotEqual(t, a.masked[0].Vector, b.masked[0].Vector)
	require.NotEqual(t, a.masked[0].Vector[0]-a.masked[1].Vector[0], b.masked[0].Vector[0]-b.masked[1].Vector[0])
}
