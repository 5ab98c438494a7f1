package consent

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/bits"
	"strconv"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// freeSlot returns the slot for one participant more: the shards fill one after the other,
// and each in an order that only this node knows. Else whoever reads the ledger could tell
// the leaf of the last who joined.
func (b *Book) freeSlot(ctx context.Context, tx *sqldb.Tx, id trial.ID) (int, error) {
	size := b.cfg.Shape.ShardSize
	var last, taken int
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(slot), 0) FROM consent_slot WHERE trial = ?`, id).Scan(&last); err != nil {
		return 0, err
	}
	shard := last / size
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM consent_slot WHERE trial = ? AND slot >= ?`, id, shard*size).Scan(&taken); err != nil {
		return 0, err
	}
	if taken == size {
		shard, taken = shard+1, 0
	}
	if shard >= b.cfg.Shape.Shards {
		return 0, ErrManyShards
	}
	order, err := b.derive("slots", string(id), strconv.Itoa(shard))
	if err != nil {
		return 0, err
	}
	// Slots from before there was an order may be in the way.
	for i := taken; ; i++ {
		slot := shard*size + shuffled(order, size, i%size)
		var one int
		err := tx.QueryRow(ctx, `SELECT 1 FROM consent_slot WHERE trial = ? AND slot = ?`, id, slot).Scan(&one)
		if errors.Is(err, sqldb.ErrNoRows) {
			return slot, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// shuffled returns where place i of a shard comes in a secret order: a Feistel network of
// four rounds over its number, of which a shard's size, a power of four, gives each half as
// many bits.
func shuffled(order circuits.Element, size, i int) int {
	half := bits.Len(uint(size)) / 2
	left, right := i>>half, i&(1<<half-1)
	for round := range byte(4) {
		sum := sha256.Sum256(append(order[:], round, byte(right)))
		left, right = right, left^int(sum[0])&(1<<half-1)
	}
	return left<<half | right
}
