package consent

import (
	"context"
	"strconv"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// permitted returns, by shard, the slots whose leaf permits all that is needed.
func (o opening) permitted(need consent.Mask) (slots [][]int, all int) {
	slots = make([][]int, len(o.Shards))
	for i, shard := range o.Shards {
		for place, leaf := range shard.Slots {
			if leaf.permits(need, shard.Window) {
				slots[i] = append(slots[i], place)
				all++
			}
		}
	}
	return slots, all
}

// Covers is [Book.Witness] of an answer over everybody whom the epoch permits, whatever
// ev.Used says: the records of a proof that exactly those were used. Its salts are those of
// Witness.
func (b *Book) Covers(ctx context.Context, ev Evidence) (circuits.AccessWitness, error) {
	w := circuits.AccessWitness{Need: ev.Need, Min: uint32(ev.Min), QueryHash: ev.Hash}
	var e *storedEpoch
	err := b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		e, err = b.epochByDigest(ctx, tx, ev.Epoch)
		return err
	})
	if err != nil {
		return w, err
	}
	shards, err := e.witness()
	if err != nil {
		return w, err
	}
	slots, _ := e.opening.permitted(ev.Need)
	for i := range shards {
		use := circuits.ShardUse{Epoch: shards[i], Used: slots[i]}
		if use.Salt, err = b.derive("used salt", ev.Query.String(), strconv.Itoa(i)); err != nil {
			return w, err
		}
		w.Shards = append(w.Shards, use)
	}
	return w, nil
}

// Slots returns the slot in the trial's consent tree of everybody who has one, and how many
// shards are in use.
func (b *Book) Slots(ctx context.Context, tx *sqldb.Tx, id trial.ID) (slots map[omop.PersonID]int, shards int, err error) {
	var leaves int
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(slot), -1) + 1 FROM consent_leaf WHERE trial = ?`, id).Scan(&leaves); err != nil {
		return nil, 0, err
	}
	slots = make(map[omop.PersonID]int)
	err = tx.Each(ctx, `SELECT slot, person_id FROM consent_slot WHERE trial = ? AND slot < ?`, []any{id, leaves}, func(rows *sqldb.Rows) error {
		var slot int64
		var person omop.PersonID
		if err := rows.Scan(&slot, &person); err != nil {
			return err
		}
		slots[person] = int(slot)
		return nil
	})
	return slots, leaves / b.cfg.Shape.ShardSize, err
}
