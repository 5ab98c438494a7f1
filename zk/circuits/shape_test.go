package circuits

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

func TestCircuitNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Circuit{
		"epoch-64":          Shape{64, 2, 4}.Epoch(),
		"access-64x2x4":     Shape{64, 2, 4}.Access(),
		"access-4096x256x8": Shape{4096, 256, 8}.Access(),
		"cover-1024x98x2":   Shape{1024, 98, 2}.Cover(),

		"aggregate-1024x4x2x1": Tally{1024, 16, 4, 2, 1}.Aggregate(),
		"aggregate-64x1x1x0":   Tally{64, 1, 1, 1, 0}.Aggregate(),
		"release-256x16x4":     Tally{1024, 256, 16, 4, 3}.Release(),
		"noise-16x32x2":        Tally{1024, 16, 32, 2, 3}.Noise(),
	} {
		c, err := ParseCircuit(name)
		require.NoError(t, err)
		require.Equal(t, want, c)
		require.Equal(t, name, c.String())
	}
	for _, name := range []string{
		"", "epoch", "epoch-", "epoch-0", "epoch-1", "epoch-63", "epoch-064", "epoch-+64", "epoch-64x1", "epoch-16384", "epoch-99999999999999999999",
		"access-64", "access-64x2", "access-64x0x4", "access-64x2x0", "access-64x2x9", "access-64x257x4", "access-64x2x4x1", "column-64", "Epoch-64", "epoch-64 ",
		"cover-64x2", "cover-64x2x9", "aggregate-64x4x2", "aggregate-63x4x2x1", "aggregate-64x3x2x1", "aggregate-64x0x2x1", "aggregate-64x64x1x1",
		"aggregate-64x4x0x1", "aggregate-64x4x5x1", "aggregate-64x32x4x1", "aggregate-64x4x2x4", "release-0x4x2", "release-257x4x2", "noise-16x4", "noise-16x5x2",
	} {
		_, err := ParseCircuit(name)
		require.Error(t, err, "%q", name)
	}
	_, err := Circuit{}.MarshalText()
	require.Error(t, err, "the zero circuit has no name")
	_, err = Circuit{}.Compile()
	require.Error(t, err)
}

func FuzzParseCircuit(f *testing.F) {
	for _, seed := range []string{"epoch-64", "access-64x2x4", "access-4x1x1", "epoch-4096", "access--1x2x3", "cover-4x1x1", "aggregate-4x2x1x1", "release-2x2x1", "noise-1x1x1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		c, err := ParseCircuit(name)
		if err != nil {
			return
		}
		require.Equal(t, name, c.String())
		require.NoError(t, c.Validate())
	})
}

func TestPackScopes(t *testing.T) {
	t.Parallel()
	packed, err := PackScopes(consent.MaskOf(1, 32), 4)
	require.NoError(t, err)
	require.Equal(t, PackedScopes(1|32<<6|32<<12|32<<18), packed)
	for slot, want := range []consent.Scope{1, 32, 32, 32} {
		require.Equal(t, want, packed.at(slot))
	}
	full, err := PackScopes(consent.MaskOf(56, 57, 58, 59, 60, 61, 62, 63), 8)
	require.NoError(t, err)
	raw, err := json.Marshal(full)
	require.NoError(t, err)
	var asFloat float64
	require.NoError(t, json.Unmarshal(raw, &asFloat))
	require.Equal(t, full, PackedScopes(asFloat), "a JavaScript number holds it")

	for name, c := range map[string]struct {
		need  consent.Mask
		slots int
	}{"none": {0, 4}, "more than slots": {7, 2}, "more slots than can be": {1, 9}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := PackScopes(c.need, c.slots)
			require.Error(t, err)
		})
	}
}

func TestDigestsPadWithTheEmptyShard(t *testing.T) {
	t.Parallel()
	root := secret("root", 0)
	one, err := MatrixDigest(tiny, []Element{root})
	require.NoError(t, err)
	two, err := MatrixDigest(tiny, []Element{root, fromField(emptyMatrix(tiny.ShardSize).root())})
	require.NoError(t, err)
	require.Equal(t, two, one)
	swapped, err := MatrixDigest(tiny, []Element{fromField(emptyMatrix(tiny.ShardSize).root()), root})
	require.NoError(t, err)
	require.NotEqual(t, one, swapped)

	used, err := UsedDigest(tiny, []Element{root})
	require.NoError(t, err)
	require.NotEqual(t, one, used, "the two digests have tags of their own")

	_, err = MatrixDigest(tiny, make([]Element, 3))
	require.EqualError(t, err, "matrix digest: root 2: the shape has 2 shards")
	_, err = UsedDigest(tiny, []Element{modulus()})
	require.EqualError(t, err, "used digest: commitment 0: not a canonical field element")
	_, err = MatrixDigest(Shape{}, nil)
	require.Error(t, err)
	_, err = UsedCommitment(tiny, []int{9}, root)
	require.EqualError(t, err, "used commitment: slot 9 is not in a shard of 4")
	_, err = UsedCommitment(tiny, nil, modulus())
	require.ErrorIs(t, err, ErrElement)
}

func FuzzProofText(f *testing.F) {
	var p Proof
	p[0], p[255] = 1, 0xff
	text, err := p.MarshalText()
	require.NoError(f, err)
	f.Add(text)
	f.Add([]byte("00"))
	f.Add(append(text, '0'))
	f.Fuzz(func(t *testing.T, text []byte) {
		var p Proof
		if err := p.UnmarshalText(text); err != nil {
			require.ErrorIs(t, err, ErrProof)
			return
		}
		back, err := p.MarshalText()
		require.NoError(t, err)
		var again Proof
		require.NoError(t, again.UnmarshalText(back))
		require.Equal(t, p, again)
	})
}

func TestNewProofWantsExactly256Bytes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 255, 257, 1 << 20} {
		_, err := NewProof(make([]byte, n))
		require.ErrorIs(t, err, ErrProof)
	}
	_, err := NewProof(make([]byte, 256))
	require.NoError(t, err)
}
