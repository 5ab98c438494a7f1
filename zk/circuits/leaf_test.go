package circuits

import (
	"encoding/json"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

func TestAttributesPackOneWay(t *testing.T) {
	t.Parallel()
	draw := rapid.Custom(func(t *rapid.T) Attributes {
		return Attributes{
			consent.Mask(rapid.Uint64().Draw(t, "mask")), Status(rapid.Uint8().Draw(t, "status")),
			rapid.Uint32().Draw(t, "from"), rapid.Uint32().Draw(t, "to"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		x, y := a.field(), b.field()
		if (a == b) != x.Equal(&y) {
			t.Fatal("equal attributes must pack alike and others not")
		}
		if x.BigInt(new(big.Int)).BitLen() > grantBits+8 {
			t.Fatal("packed attributes are too wide")
		}
	})
}

func TestPermitsThroughout(t *testing.T) {
	t.Parallel()
	window := Window{100, 200}
	for name, c := range map[string]struct {
		attributes Attributes
		want       bool
	}{
		"exactly the window": {Attributes{1, Active, 100, 200}, true},
		"a second late":      {Attributes{1, Active, 101, 200}, false},
		"a second short":     {Attributes{1, Active, 100, 199}, false},
		"withdrawn":          {Attributes{1, Withdrawn, 0, 300}, false},
		"empty":              {Attributes{}, false},
		"reversed":           {Attributes{1, Active, 200, 100}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, c.attributes.permitsThroughout(window))
		})
	}
}

func TestShardRoot(t *testing.T) {
	t.Parallel()
	leaf, err := Consent{secret("participant", 0), wide(1)}.Leaf()
	require.NoError(t, err)
	short, err := ShardRoot(16, []Element{leaf})
	require.NoError(t, err)
	padded := []Element{leaf}
	for len(padded) < 16 {
		padded = append(padded, EmptyLeaf())
	}
	long, err := ShardRoot(16, padded)
	require.NoError(t, err)
	require.Equal(t, long, short, "missing leaves are empty slots")

	larger, err := ShardRoot(64, []Element{leaf})
	require.NoError(t, err)
	require.NotEqual(t, short, larger)

	padded[0], padded[1] = padded[1], padded[0]
	swapped, err := ShardRoot(16, padded)
	require.NoError(t, err)
	require.NotEqual(t, short, swapped, "slots have places")

	_, err = ShardRoot(16, make([]Element, 17))
	require.EqualError(t, err, "shard root: 17 leaves in a shard of 16")
	_, err = ShardRoot(32, nil)
	require.ErrorContains(t, err, "shard size 32")
	_, err = ShardRoot(16, []Element{leaf, modulus()})
	require.EqualError(t, err, "shard root: leaf 1: not a canonical field element")
}

func TestCommitParticipantHides(t *testing.T) {
	t.Parallel()
	a, err := CommitParticipant(secret("participant", 0), secret("blind", 0))
	require.NoError(t, err)
	b, err := CommitParticipant(secret("participant", 0), secret("blind", 1))
	require.NoError(t, err)
	require.NotEqual(t, a, b, "the same person under another blind")
	_, err = CommitParticipant(modulus(), Element{})
	require.ErrorIs(t, err, ErrElement)
	_, err = CommitParticipant(Element{}, modulus())
	require.ErrorIs(t, err, ErrElement)
}

func TestSecretTypesNeitherPrintNorMarshal(t *testing.T) {
	t.Parallel()
	w := tinyAccess(t)
	for _, v := range []any{w, w.Shards[0], w.Shards[0].Epoch, w.Shards[0].Epoch.Salts, w.Shards[0].Epoch.Consents[0]} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			require.Regexp(t, `^[a-z ]+:redacted$`, fmt.Sprintf(verb, v))
		}
		_, err := json.Marshal(v)
		require.ErrorContains(t, err, "must not leave the node")
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	w, err := NewWindow(from, from.Add(24*time.Hour))
	require.NoError(t, err)
	require.Equal(t, uint32(day), w.To-w.From)
	require.True(t, w.Covers(from))
	require.True(t, w.Covers(from.Add(24*time.Hour-time.Nanosecond)))
	require.False(t, w.Covers(from.Add(24*time.Hour)), "the end is not in it")
	require.False(t, w.Covers(from.Add(-time.Nanosecond)))
	for name, c := range map[string][2]time.Time{
		"reversed":    {from, from.Add(-time.Second)},
		"before 1970": {time.Unix(-1, 0), from},
		"after 2106":  {from, time.Unix(1<<32, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := NewWindow(c[0], c[1])
			require.Error(t, err)
		})
	}
}
