package consent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/consent"
	agreed "github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// publishChanges brings changes to a ledger until an epoch is due, and returns them.
func (d *desk) publishChanges(t testing.TB) (list []consent.Draft) {
	t.Helper()
	for {
		draft, err := d.book.Draft(t.Context(), "glucose-1", message.Digest{5}, d.prover, d.now)
		require.NoError(t, err)
		if draft == nil || draft.IsEpoch() {
			return list
		}
		d.leaf++
		require.NoError(t, d.book.Recorded(t.Context(), *draft, d.leaf, d.now))
		list = append(list, *draft)
	}
}

func changesOf(t testing.TB, d consent.Draft) agreed.Changes {
	t.Helper()
	c, err := message.Stored[agreed.Changes](d.Envelope, agreed.KindChanges)
	require.NoError(t, err)
	return c
}

// wide is a desk of a network with shards of 64.
func wide(t *testing.T, d *desk) *desk {
	d.shape = circuits.Shape{ShardSize: 64, Shards: 2, Slots: 2}
	d.reopen(t)
	return d
}

// TestChangesLeadToTheRootsOfEpochs: what is published, taken by somebody who knows nothing
// else, makes the tree whose shards are proven.
func TestChangesLeadToTheRootsOfEpochs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		rows, root := circuits.MemoryRows{}, circuits.EmptyTree()
		number := uint64(0)
		take := func(drafts []consent.Draft) {
			for _, draft := range drafts {
				c := changesOf(t, draft)
				number++
				require.Equal(t, number, c.Number)
				require.Equal(t, root, c.Before)
				digest, err := agreed.LeavesDigest(draft.Leaves)
				require.NoError(t, err)
				require.Equal(t, digest, c.Leaves)
				var elements []circuits.Placed
				for _, change := range draft.Leaves {
					old, err := circuits.TreeElement(rows, 0, change.Index)
					require.NoError(t, err)
					require.Equal(t, old, change.Old)
					elements = append(elements, circuits.Placed{Index: change.Index, Hash: change.New})
				}
				root, err = circuits.UpdateTree(rows, 0, elements)
				require.NoError(t, err)
				require.Equal(t, c.After, root)
			}
		}
		who, grant := d.consents(t, 1)
		for n := int64(2); n <= 6; n++ {
			d.consents(t, n)
		}
		for range 2 {
			take(d.publishChanges(t))
			epoch := d.publish(t)
			require.Equal(t, number, epoch.Changes)
			require.Len(t, epoch.Shards, 2)
			for i, shard := range epoch.Shards {
				got, err := circuits.TreeElement(rows, shape.ShardLevel(), i)
				require.NoError(t, err)
				require.Equal(t, shard.Root, got)
			}
			d.now = d.now.Add(time.Minute)
			require.NoError(t, d.record(t, 1, d.withdrawal(t, who, grant)))
		}
	})
}

// TestWhatTheLedgerShowsOfAChange: a shard comes into use whole, and each later batch is a
// power of two of which all look alike.
func TestWhatTheLedgerShowsOfAChange(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		wide(t, d)
		who, grant := d.consents(t, 1)
		first := d.publishChanges(t)
		require.Len(t, first, 1)
		require.Len(t, first[0].Leaves, 64, "nobody sees how many there are")
		d.publish(t)

		for n, want := range map[int]int{1: 8, 9: 16} {
			for range n {
				d.consents(t, int64(d.rows(t, "consent_slot")+1))
			}
			drafts := d.publishChanges(t)
			require.Len(t, drafts, 1)
			require.Len(t, drafts[0].Leaves, want, "%d joined", n)
			d.publish(t)
		}
		d.now = d.now.Add(time.Minute)
		require.NoError(t, d.record(t, 1, d.withdrawal(t, who, grant)))
		last := d.publishChanges(t)
		require.Len(t, last[0].Leaves, 8)
		seen := make(map[agreed.Element]bool)
		for _, draft := range append(first, last...) {
			for _, c := range draft.Leaves {
				require.NotEqual(t, circuits.EmptyLeaf(), c.New)
				require.False(t, seen[c.New] || seen[agreed.Element(c.Receipt)], "no leaf and no receipt is like another")
				seen[c.New], seen[agreed.Element(c.Receipt)] = true, true
			}
		}
		require.Nil(t, d.publishChanges(t), "nothing more is said")
	})
}

// TestSlotsAreGivenInASecretOrder that has each once.
func TestSlotsAreGivenInASecretOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		wide(t, d)
		var order []int
		for n := int64(1); n <= 128; n++ {
			who, _ := d.consents(t, n)
			r, err := d.book.Receipt(t.Context(), "glucose-1", who.DID())
			require.NoError(t, err)
			require.Equal(t, int(n-1)/64, r.Index/64, "one shard after the other")
			order = append(order, r.Index)
		}
		require.Equal(t, 128, d.rows(t, "consent_slot"))
		inOrder := 0
		for i := range order[1:] {
			if order[i+1] == order[i]+1 {
				inOrder++
			}
		}
		require.Less(t, inOrder, 32)
	})
}

// TestOnlyTheChangedShardIsProven, and at once: a withdrawal waits for nothing but its
// changes and one proof.
func TestOnlyTheChangedShardIsProven(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		wide(t, d)
		who, grant := d.consents(t, 1)
		for n := int64(2); n <= 65; n++ {
			d.consents(t, n)
		}
		first := d.publish(t)
		require.EqualValues(t, 2, d.prover.proofs.Load())
		d.now = d.now.Add(time.Second)
		require.NoError(t, d.record(t, 1, d.withdrawal(t, who, grant)))
		epoch, err := d.book.EpochFor(t.Context(), d.use(), d.use().At, d.leaf+1)
		require.NoError(t, err)
		basis, err := d.book.Usable(t.Context(), d.use(), epoch)
		require.NoError(t, err)
		require.False(t, basis.Permits(person(1)), "it counts at once")
		require.Equal(t, 64, basis.Persons())
		second := d.publish(t)
		require.EqualValues(t, 3, d.prover.proofs.Load())
		require.Equal(t, first.Shards[1], second.Shards[1], "the other shard keeps its proof")
		require.NotEqual(t, first.Shards[0].Root, second.Shards[0].Root)
	})
}

// TestALargerShapeNeedsNoNewTree: a shard that was in use in part comes into use whole.
func TestALargerShapeNeedsNoNewTree(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		for n := int64(1); n <= 5; n++ {
			d.consents(t, n)
		}
		require.Len(t, d.publish(t).Shards, 2)
		wide(t, d)
		drafts := d.publishChanges(t)
		require.Len(t, drafts, 1)
		require.Len(t, drafts[0].Leaves, 64, "56 that were never used, and others up to a power of two")
		require.Empty(t, d.defects(t))
	})
}

// defects checks the stored trees.
func (d *desk) defects(t testing.TB) (list []consent.Defect) {
	t.Helper()
	require.NoError(t, d.db.Read(t.Context(), func(tx *sqldb.Tx) (err error) {
		list, err = consent.Check(t.Context(), tx, d.config())
		return err
	}))
	return list
}

// TestADamagedTreeIsFound wherever it is, and a sound one is sound, also between a consent
// and its publication.
func TestADamagedTreeIsFound(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		for n := int64(1); n <= 6; n++ {
			d.consents(t, n)
		}
		require.Empty(t, d.defects(t), "nothing is published")
		d.publish(t)
		d.consents(t, 7)
		require.Empty(t, d.defects(t), "one more waits")
		d.publish(t)
		for name, c := range map[string]struct {
			damage, mend string
			want         consent.DefectKind
		}{
			"a leaf's hash":     {`UPDATE consent_group SET number = 9 WHERE level = 0 AND number = 1`, `UPDATE consent_group SET number = 1 WHERE level = 0 AND number = 9`, consent.GroupDiffers},
			"near the root":     {`UPDATE consent_group SET level = 99 WHERE level = 11`, `UPDATE consent_group SET level = 11 WHERE level = 99`, consent.GroupDiffers},
			"another statement": {`UPDATE consent_slot SET to_at = to_at + 1`, `UPDATE consent_slot SET to_at = to_at - 1`, consent.LeafDiffers},
		} {
			d.exec(t, c.damage)
			found := d.defects(t)
			require.Len(t, found, 1, name)
			require.Equal(t, c.want, found[0].What, name)
			require.NotZero(t, found[0].Count, name)
			d.exec(t, c.mend)
			require.Empty(t, d.defects(t), name)
		}
		d.exec(t, `UPDATE consent_leaf SET changes = changes + 1`)
		d.now = d.now.Add(13 * time.Hour)
		_, err := d.book.Draft(t.Context(), "glucose-1", message.Digest{5}, d.prover, d.now)
		require.ErrorContains(t, err, "node fsck", "nothing is signed that the hub would refuse")
	})
}

func (d *desk) exec(t testing.TB, statement string) {
	t.Helper()
	require.NoError(t, d.db.Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), statement)
		return err
	}))
}
