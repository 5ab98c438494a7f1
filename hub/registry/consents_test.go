package registry_test

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// leaves is a node's consent tree as the node has it.
type leaves struct {
	rows   circuits.MemoryRows
	number uint64
	drawn  uint64
}

func newLeaves() *leaves { return &leaves{rows: circuits.MemoryRows{}} }

// list returns changes of leaves that fit the tree.
func (l *leaves) list(t testing.TB, indices ...int) []consent.Change {
	t.Helper()
	var list []consent.Change
	for _, i := range indices {
		old, err := circuits.TreeElement(l.rows, 0, i)
		require.NoError(t, err)
		l.drawn++
		var leaf consent.Element
		binary.BigEndian.PutUint64(leaf[24:], l.drawn)
		list = append(list, consent.Change{Index: i, Old: old, New: leaf, Receipt: message.Digest{1}})
	}
	return list
}

// change makes changes of leaves and the command that publishes them.
func (l *leaves) change(t testing.TB, h *hub, node identity.Key, indices ...int) registry.ChangeConsents {
	t.Helper()
	return l.publish(t, h, node, l.list(t, indices...), func(*consent.Changes) {})
}

func (l *leaves) publish(t testing.TB, h *hub, node identity.Key, list []consent.Change, alter func(*consent.Changes)) registry.ChangeConsents {
	t.Helper()
	l.number++
	c := consent.Changes{Trial: h.trial.Design.ID, Node: node.DID(), Number: l.number}
	var err error
	c.Before, err = circuits.TreeRoot(l.rows)
	require.NoError(t, err)
	if c.Leaves, err = consent.LeavesDigest(list); err == nil {
		var elements []circuits.Placed
		for _, change := range list {
			elements = append(elements, circuits.Placed{Index: change.Index, Hash: change.New})
		}
		c.After, _ = circuits.UpdateTree(l.rows, 0, elements) // some lists have no root
	}
	alter(&c)
	e, err := message.Seal(node, consent.KindChanges, c, h.at, time.Hour, rand.Reader)
	require.NoError(t, err)
	return registry.ChangeConsents{Batch: consent.Batch{Envelope: e, Leaves: list}}
}

// roots returns the roots of the first shards.
func (l *leaves) roots(t testing.TB, n int) []consent.Shard {
	t.Helper()
	shards := make([]consent.Shard, n)
	for i := range shards {
		root, err := circuits.TreeElement(l.rows, peertest.Shape.ShardLevel(), i)
		require.NoError(t, err)
		shards[i] = consent.Shard{From: start, To: start.Add(24 * time.Hour), Root: root, Matrix: consent.Element{31: 2}}
	}
	return shards
}

// TestTheHubKeepsEveryLeaf: what nodes publish leads to the roots that they sign, whether
// it comes to several trees by turns, together, or again.
func TestTheHubKeepsEveryLeaf(t *testing.T) {
	t.Parallel()
	h := newHub(t).withTrial(t)
	a, b := newLeaves(), newLeaves()
	first := a.change(t, h, h.nodes[0], 0, 1, 5)
	out := h.must(t, first)
	h.must(t, b.change(t, h, h.nodes[1], 0, circuits.TreeLeaves-1))
	h.must(t, a.change(t, h, h.nodes[0], 1, 4, 100))

	again, err := h.apply(t, first)
	require.NoError(t, err)
	require.Equal(t, registry.Outcome{LedgerIndex: out.LedgerIndex, Existed: true}, again)
	body, err := message.Stored[consent.Changes](first.Envelope, consent.KindChanges)
	require.NoError(t, err)
	first.Envelope = h.seal(t, h.nodes[0], consent.KindChanges, body)
	again, err = h.apply(t, first)
	require.NoError(t, err)
	require.Equal(t, registry.Outcome{LedgerIndex: out.LedgerIndex, Existed: true}, again, "signed again")

	raw, err := h.reader.Document(t.Context(), body.Leaves)
	require.NoError(t, err)
	require.Equal(t, body.Leaves, message.Sum(raw), "the list is public")
	h.replay(t)
}

func TestChangesThatAreRefused(t *testing.T) {
	t.Parallel()
	over := consent.Element(fr.Modulus().FillBytes(make([]byte, 32)))
	list := func(change func(list []consent.Change) []consent.Change) func(*testing.T, *hub, *leaves) registry.Body {
		return func(t *testing.T, h *hub, l *leaves) registry.Body {
			return l.publish(t, h, h.nodes[0], change(l.list(t, 2, 3)), func(*consent.Changes) {})
		}
	}
	signed := func(node int, change func(c *consent.Changes)) func(*testing.T, *hub, *leaves) registry.Body {
		return func(t *testing.T, h *hub, l *leaves) registry.Body {
			return l.publish(t, h, h.nodes[node], l.list(t, 2, 3), change)
		}
	}
	as := func(node int) func(*testing.T, *hub, *leaves) registry.Body {
		return signed(node, func(*consent.Changes) {})
	}
	for name, c := range map[string]struct {
		body func(*testing.T, *hub, *leaves) registry.Body
		want error
	}{
		"another leaf stands there":   {list(func(l []consent.Change) []consent.Change { l[0].Old[31]++; return l }), registry.ErrChangesLeaf},
		"a leaf that does not change": {list(func(l []consent.Change) []consent.Change { l[1].New = l[1].Old; return l }), consent.ErrChanges},
		"no receipt":                  {list(func(l []consent.Change) []consent.Change { l[1].Receipt = message.Digest{}; return l }), consent.ErrChanges},
		"a leaf twice":                {list(func(l []consent.Change) []consent.Change { l[1] = l[0]; return l }), consent.ErrChanges},
		"leaves out of order":         {list(func(l []consent.Change) []consent.Change { slices.Reverse(l); return l }), consent.ErrChanges},
		"a leaf before the first":     {list(func(l []consent.Change) []consent.Change { l[0].Index = -1; return l }), consent.ErrChanges},
		"a leaf behind the last":      {list(func(l []consent.Change) []consent.Change { l[1].Index = circuits.TreeLeaves; return l }), consent.ErrChanges},
		"a leaf far behind":           {list(func(l []consent.Change) []consent.Change { l[1].Index = 1 << 40; return l }), consent.ErrChanges},
		"a leaf of two forms":         {list(func(l []consent.Change) []consent.Change { l[1].New = over; return l }), consent.ErrChanges},
		"no changes":                  {list(func([]consent.Change) []consent.Change { return nil }), consent.ErrChanges},
		"too many":                    {list(func(l []consent.Change) []consent.Change { return slices.Repeat(l, consent.MaxChanges) }), consent.ErrChanges},
		"another root":                {signed(0, func(c *consent.Changes) { c.After[31]++ }), registry.ErrChangesRoot},
		"another root before":         {signed(0, func(c *consent.Changes) { c.Before[31]++ }), registry.ErrChangesOrder},
		"another list than it names":  {signed(0, func(c *consent.Changes) { c.Leaves[31]++ }), registry.ErrChangesOrder},
		"a number that was":           {signed(0, func(c *consent.Changes) { c.Number-- }), registry.ErrChangesOrder},
		"a number left out":           {signed(0, func(c *consent.Changes) { c.Number++ }), registry.ErrChangesOrder},
		"of another node": {func(t *testing.T, h *hub, l *leaves) registry.Body {
			return l.publish(t, h, h.nodes[1], l.list(t, 2), func(c *consent.Changes) { c.Node = h.nodes[0].DID() })
		}, registry.ErrChangesOrder},
		"of a node outside the trial":    {as(3), trial.ErrNode},
		"of a trial that there is not":   {signed(0, func(c *consent.Changes) { c.Trial = "nowhere" }), registry.ErrTrialUnknown},
		"of a node that was never there": {signed(0, func(c *consent.Changes) { c.Node = "did:key:z6Mk" }), registry.ErrNodeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t).withTrial(t)
			l := newLeaves()
			h.must(t, l.change(t, h, h.nodes[0], 1, 2, 3))
			_, err := h.apply(t, c.body(t, h, l))
			require.ErrorIs(t, err, c.want)
			h.replay(t)
		})
	}
}

// TestAnEpochIsAboutThePublishedLeaves: once a node has published leaves, its proofs are
// about them, all of them, and about none that it keeps to itself.
func TestAnEpochIsAboutThePublishedLeaves(t *testing.T) {
	t.Parallel()
	size := peertest.Shape.ShardSize
	for name, c := range map[string]struct {
		change func(*consent.Epoch)
		want   error
	}{
		"as published":           {func(*consent.Epoch) {}, nil},
		"another root":           {func(e *consent.Epoch) { e.Shards[1].Root[31]++ }, registry.ErrEpochTree},
		"a shard left out":       {func(e *consent.Epoch) { e.Shards = e.Shards[:1] }, registry.ErrEpochTree},
		"a shard more":           {func(e *consent.Epoch) { e.Shards = append(e.Shards, e.Shards[1]) }, registry.ErrEpochTree},
		"shards in other places": {func(e *consent.Epoch) { slices.Reverse(e.Shards) }, registry.ErrEpochTree},
		"of earlier leaves":      {func(e *consent.Epoch) { e.Changes-- }, registry.ErrEpochTree},
		"of no leaves at all":    {func(e *consent.Epoch) { e.Changes = 0 }, registry.ErrEpochTree},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t).withTrial(t)
			l := newLeaves()
			h.must(t, l.change(t, h, h.nodes[0], 0, 1))
			h.must(t, l.change(t, h, h.nodes[0], 1, size+2))
			_, err := h.apply(t, registry.PublishEpoch{Envelope: h.epoch(t, h.nodes[0], func(e *consent.Epoch) {
				e.Changes, e.Shards = 2, l.roots(t, 2)
				c.change(e)
			})})
			require.ErrorIs(t, err, c.want)
			h.replay(t)
		})
	}
	h := newHub(t).withTrial(t)
	_, err := h.apply(t, registry.PublishEpoch{Envelope: h.epoch(t, h.nodes[0], func(e *consent.Epoch) { e.Changes = 1 })})
	require.ErrorIs(t, err, registry.ErrEpochTree, "of leaves that were not published")
}

// BenchmarkChangeConsents applies batches as a node publishes them: a shard that comes into
// use, and a consent with its decoys in a tree of 64 shards.
func BenchmarkChangeConsents(b *testing.B) {
	for name, n := range map[string]int{"shard of 1024": 1024, "8 of a shard": 8} {
		b.Run(name, func(b *testing.B) {
			h := newHub(b).withTrial(b)
			l := newLeaves()
			for shard := range 64 {
				h.must(b, l.change(b, h, h.nodes[0], spread(shard, 1024)...))
			}
			var used time.Duration
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				data, err := registry.Encode(l.change(b, h, h.nodes[0], spread(i%64, n)...), h.at)
				require.NoError(b, err)
				b.StartTimer()
				began := cpu()
				if _, err := h.applyRaw(b, data); err != nil {
					b.Fatal(err)
				}
				used += cpu() - began
			}
			b.ReportMetric(float64(b.N*n)/used.Seconds(), "changes/cpu-s")
		})
	}
}

// cpu is what this process has used.
func cpu() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// spread returns n places all over a shard of 1024.
func spread(shard, n int) []int {
	places := make([]int, n)
	for i := range places {
		places[i] = 1024*shard + i*(1024/n)
	}
	return places
}
