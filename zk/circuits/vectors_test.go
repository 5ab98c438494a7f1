package circuits

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

// vectors were computed by another implementation: see testdata/ORIGIN.md.
type vectors struct {
	Permutations []struct{ In, Out [width]Element }
	Sponges      []struct {
		In          []Element
		NPM, Tagged Element
	}
	EmptyLeaf Element
	Shard     struct {
		Size     int
		From, To uint32
		Records  []struct {
			Participant Element
			Mask        string
			Status      Status
			From, To    uint32
		}
		Salts                   Salts
		FirstLeaf, Root, Matrix Element
	}
	Access struct {
		Shards, Slots                                      int
		Need, Used                                         []int
		UsedSalt, UsedCommitment, MatrixDigest, UsedDigest Element
		Scopes                                             PackedScopes
	}
	Aggregate struct {
		Columns                  [][]Cell
		Salts, Commitments       []Element
		Data, Plan, Salt, Totals Element
		Sums                     [][3]int64
	}
	Release struct {
		QueryHash, Salt, Totals, Terms, Released  Element
		Seed, SeedCommitment, NoisedTerms, Noised Element
		Figures, NoisedFigures                    [][3]int64
		Thresholds                                []Element
		Noise                                     []int64
	}
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	var v vectors
	require.NoError(t, json.Unmarshal(raw, &v))
	return v
}

func (v vectors) epoch(t *testing.T) EpochWitness {
	t.Helper()
	w := EpochWitness{Window: Window{v.Shard.From, v.Shard.To}, Salts: v.Shard.Salts}
	for _, r := range v.Shard.Records {
		mask, err := strconv.ParseUint(r.Mask, 16, 64)
		require.NoError(t, err)
		w.Consents = append(w.Consents, Consent{r.Participant, Attributes{consent.Mask(mask), r.Status, r.From, r.To}})
	}
	return w
}

func field(t *testing.T, e Element) fr.Element {
	t.Helper()
	x, err := toField(e)
	require.NoError(t, err)
	return x
}

// Pitfall 1: the library's default Poseidon2 is another, weaker permutation.
func TestPermutationIsTheReferenceOne(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t).Permutations {
		var state [width]fr.Element
		for i := range state {
			state[i] = field(t, v.In[i])
		}
		permute(&state)
		for i := range state {
			require.Equal(t, v.Out[i], fromField(state[i]))
		}
	}
}

func TestSpongeAgreesWithTypeScript(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t).Sponges {
		xs, err := toFields("input", v.In)
		require.NoError(t, err)
		require.Equal(t, v.NPM, fromField(sponge(0, xs)), "tag 0, %d elements", len(xs))
		require.Equal(t, v.Tagged, fromField(sponge(TagBitmap, xs)), "tagged, %d elements", len(xs))
	}
}

func TestEpochAgreesWithTypeScript(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	require.Equal(t, v.EmptyLeaf, EmptyLeaf())

	w := v.epoch(t)
	first, err := w.Consents[0].Leaf()
	require.NoError(t, err)
	require.Equal(t, v.Shard.FirstLeaf, first)

	public, err := w.Public(Shape{ShardSize: v.Shard.Size}.Epoch())
	require.NoError(t, err)
	require.Equal(t, EpochPublic{v.Shard.Root, w.Window, v.Shard.Matrix}, public)

	leaves := make([]Element, len(w.Consents))
	for i, c := range w.Consents {
		leaves[i], err = c.Leaf()
		require.NoError(t, err)
	}
	root, err := ShardRoot(v.Shard.Size, leaves)
	require.NoError(t, err)
	require.Equal(t, v.Shard.Root, root, "from public leaves alone")
}

func TestAccessAgreesWithTypeScript(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	shape := Shape{v.Shard.Size, v.Access.Shards, v.Access.Slots}
	w := AccessWitness{
		Shards:    []ShardUse{{v.epoch(t), v.Access.Used, v.Access.UsedSalt}},
		Min:       uint32(len(v.Access.Used)),
		QueryHash: secret("question", 0),
	}
	for _, scope := range v.Access.Need {
		w.Need |= 1 << scope
	}
	public, err := w.Public(shape.Access())
	require.NoError(t, err)
	require.Equal(t, AccessPublic{v.Access.MatrixDigest, v.Access.UsedDigest, w.QueryHash, v.Access.Scopes, w.Min}, public)

	digest, err := MatrixDigest(shape, []Element{v.Shard.Matrix})
	require.NoError(t, err)
	require.Equal(t, v.Access.MatrixDigest, digest, "from the ledger's roots alone")

	used, err := UsedCommitment(shape, v.Access.Used, v.Access.UsedSalt)
	require.NoError(t, err)
	require.Equal(t, v.Access.UsedCommitment, used)
	digest, err = UsedDigest(shape, []Element{used})
	require.NoError(t, err)
	require.Equal(t, v.Access.UsedDigest, digest)
}

// aggregateVector is the aggregate of the vectors, and its circuit.
func (v vectors) aggregate() (AggregateWitness, Tally) {
	w := AggregateWitness{
		Used: v.Access.Used, UsedSalt: v.Access.UsedSalt, Salt: v.Aggregate.Salt,
		Plan: Plan{Group: 0, Values: []uint8{1, 2}, Conditions: []Condition{{3, 18, 65}}},
	}
	for n, cells := range v.Aggregate.Columns {
		w.Table.Columns = append(w.Table.Columns, Column{cells, v.Aggregate.Salts[n]})
	}
	return w, Tally{ShardSize: v.Shard.Size, Shards: v.Access.Shards, Groups: 2, Values: 2, Conditions: 1}
}

func TestAggregateAgreesWithTypeScript(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	w, tally := v.aggregate()
	for n, column := range w.Table.Columns {
		open, err := column.open(v.Shard.Size)
		require.NoError(t, err)
		require.Equal(t, v.Aggregate.Commitments[n], fromField(open.commit()))
	}
	public, err := w.Public(tally.Aggregate())
	require.NoError(t, err)
	require.Equal(t, AggregatePublic{v.Access.UsedCommitment, v.Aggregate.Data, v.Aggregate.Plan, v.Aggregate.Totals}, public)
	sums, err := w.Sums(tally.Aggregate())
	require.NoError(t, err)
	require.Equal(t, v.Aggregate.Sums, ints(sums))

	root, err := DataRoot(v.Shard.Size, w.Table)
	require.NoError(t, err)
	require.Equal(t, v.Aggregate.Data, root)
}

func TestReleaseAgreesWithTypeScript(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	aggregate, tally := v.aggregate()
	sums, err := aggregate.Sums(tally.Aggregate())
	require.NoError(t, err)
	w := ReleaseWitness{
		Shards:    []ShardTotals{{sums, aggregate.Salt}},
		Terms:     Terms{MinCount: 2, Count: Rule{Unit: 5}, Sum: Rule{Unit: 10}, Withheld: 1 << 3},
		QueryHash: v.Release.QueryHash,
		Salt:      v.Release.Salt,
	}
	public, err := w.Public(tally.Release())
	require.NoError(t, err)
	require.Equal(t, ReleasePublic{v.Release.Totals, w.QueryHash, v.Release.Terms, v.Release.Released, nil}, public)
	released, err := w.Released(tally.Release())
	require.NoError(t, err)
	require.Equal(t, v.Release.Figures, ints(released))
	digest, err := ReleaseDigest(released, w.Salt)
	require.NoError(t, err)
	require.Equal(t, v.Release.Released, digest, "from what was released alone")

	w.Seed, w.Terms.MinCount, w.Terms.Count.Scale, w.Terms.Sum.Scale = v.Release.Seed, 0, 2, 6
	public, err = w.Public(tally.Noise())
	require.NoError(t, err)
	require.Equal(t, ReleasePublic{v.Release.Totals, w.QueryHash, v.Release.NoisedTerms, v.Release.Noised, &v.Release.SeedCommitment}, public)
	released, err = w.Released(tally.Noise())
	require.NoError(t, err)
	require.Equal(t, v.Release.NoisedFigures, ints(released))
	digest, err = ReleaseDigest(released, w.Salt)
	require.NoError(t, err)
	require.Equal(t, v.Release.Noised, digest)
	seed, err := SeedCommitment(w.Seed)
	require.NoError(t, err)
	require.Equal(t, v.Release.SeedCommitment, seed)
}

func TestNoiseAgreesWithTypeScript(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	for i, threshold := range v.Release.Thresholds {
		require.Equal(t, threshold, uintElement(thresholds[i]))
	}
	for scale, want := range v.Release.Noise {
		require.Equal(t, want, noise(field(t, v.Release.Seed), field(t, v.Release.QueryHash), scale, uint8(scale)), "scale %d", scale)
	}
}
