package consent

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// minBatch is how many leaves of a shard change at least when one does. The number is a
// power of two: it says how many consents changed to within a factor of two, and of one
// to eight nothing.
const minBatch = 8

// pendingChanges returns the changes that have to be recorded next: those that wait for
// the hub, or new ones of a shard in which consents changed, or nil. A list once made stays
// as it is, so a hub that has it and says that it refused it changes nothing.
func (b *Book) pendingChanges(ctx context.Context, id trial.ID, now time.Time) (*Draft, error) {
	draft, err := b.waiting(ctx, id)
	if err != nil || draft == nil {
		return draft, err
	}
	if now.Before(draft.Envelope.Expires) {
		return draft, nil
	}
	changes, err := message.Stored[consent.Changes](draft.Envelope, consent.KindChanges)
	if err != nil {
		return nil, err
	}
	if draft.Envelope, err = b.sealChanges(changes, now); err != nil {
		return nil, err
	}
	return draft, nil
}

// waiting returns the changes that are not on the ledger yet, or nil.
func (b *Book) waiting(ctx context.Context, id trial.ID) (*Draft, error) {
	d := &Draft{Trial: id}
	var number int64
	var envelope, leaves []byte
	err := b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT number, envelope, leaves FROM consent_changes WHERE trial = ? AND ledger_index IS NULL ORDER BY number LIMIT 1`, id).
			Scan(&number, &envelope, &leaves)
	})
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d.Number = uint64(number)
	if err := errors.Join(json.Unmarshal(envelope, &d.Envelope), json.Unmarshal(leaves, &d.Leaves)); err != nil {
		return nil, fmt.Errorf("consent: stored changes: %w", err)
	}
	return d, nil
}

func (b *Book) sealChanges(c consent.Changes, now time.Time) (message.Envelope, error) {
	envelope, err := message.Seal(b.cfg.Key, consent.KindChanges, c, now, envelopeLife, rand.Reader)
	if err != nil {
		return envelope, fmt.Errorf("consent: %w", err)
	}
	return envelope, nil
}

// change brings the leaves of the first shard in which consents changed up to date, and
// with them the tree, and signs that. It reports false if there is no such shard. All of
// it holds, with the changes that the hub has to record, or nothing does.
func (b *Book) change(ctx context.Context, id trial.ID, now time.Time) (bool, error) {
	changed := false
	err := b.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := tx.Lock(ctx, "consent"); err != nil {
			return err
		}
		for {
			shard, err := b.nextShard(ctx, tx, id)
			if err != nil || shard < 0 {
				return err
			}
			if changed, err = b.changeShard(ctx, tx, id, shard, now); err != nil || changed {
				return err
			}
		}
	})
	return changed && err == nil, err
}

// nextShard returns the first shard that is not up to date, -1 for none. In a network that
// took a larger shape, a shard may be in use in part.
func (b *Book) nextShard(ctx context.Context, tx *sqldb.Tx, id trial.ID) (int, error) {
	var slots int
	var slot *int
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(slot), -1) + 1 FROM consent_leaf WHERE trial = ?`, id).Scan(&slots); err != nil {
		return -1, err
	}
	if slots%b.cfg.Shape.ShardSize > 0 {
		return slots / b.cfg.Shape.ShardSize, nil
	}
	if err := tx.QueryRow(ctx, `SELECT min(slot) FROM consent_pending WHERE trial = ?`, id).Scan(&slot); err != nil || slot == nil {
		return -1, err
	}
	return *slot / b.cfg.Shape.ShardSize, nil
}

// changeShard brings the leaves of a shard up to date. It reports false if what stands
// there was published before.
func (b *Book) changeShard(ctx context.Context, tx *sqldb.Tx, id trial.ID, shard int, now time.Time) (bool, error) {
	number := int64(0)
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(number), 0) + 1 FROM consent_changes WHERE trial = ?`, id).Scan(&number); err != nil {
		return false, err
	}
	leaves, err := b.leaves(ctx, tx, id, shard)
	if err != nil {
		return false, err
	}
	next, err := b.changes(ctx, tx, id, shard, leaves)
	if err != nil {
		return false, err
	}
	first, end := shard*b.cfg.Shape.ShardSize, (shard+1)*b.cfg.Shape.ShardSize
	if _, err := tx.Exec(ctx, `DELETE FROM consent_pending WHERE trial = ? AND slot >= ? AND slot < ?`, id, first, end); err != nil || len(next) == 0 {
		return false, err
	}
	if err := b.decoys(id, shard, number, leaves, next); err != nil {
		return false, err
	}
	c := consent.Changes{Trial: id, Node: b.cfg.Key.DID(), Number: uint64(number)}
	list, err := b.apply(ctx, tx, &c, leaves, next)
	if err != nil {
		return false, err
	}
	if c.Leaves, err = consent.LeavesDigest(list); err != nil {
		return false, err
	}
	sealed, err := b.sealChanges(c, now)
	if err != nil {
		return false, err
	}
	envelope, err := json.Marshal(sealed)
	if err != nil {
		return false, err
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO consent_changes (trial, number, envelope, leaves) VALUES (?, ?, ?, ?)`, id, number, envelope, raw)
	return true, err
}

// changes returns what the leaves of a shard have to state from now on, by place: those in
// which a consent changed and, in a shard that nothing was published of, all. So a shard
// comes into use at once, and who joins it later does not show.
func (b *Book) changes(ctx context.Context, tx *sqldb.Tx, id trial.ID, shard int, leaves []leaf) (map[int]stated, error) {
	size := b.cfg.Shape.ShardSize
	next := make(map[int]stated)
	for place, l := range leaves {
		if l.changes == 0 {
			next[place] = stated{}
		}
	}
	err := tx.Each(ctx, `SELECT s.slot, s.said, s.scopes, s.status, s.from_at, s.to_at, s.person FROM consent_pending p
		JOIN consent_slot s ON s.trial = p.trial AND s.slot = p.slot WHERE p.trial = ? AND p.slot >= ? AND p.slot < ?`,
		[]any{id, shard * size, (shard + 1) * size}, func(rows *sqldb.Rows) error {
			var slot int
			now, err := scanStated(rows, &slot)
			if place := slot % size; now != leaves[place].stated {
				next[place] = now
			}
			return err
		})
	return next, err
}

// decoys adds leaves that state what they did, and only look different, until the number
// of changes is a power of two. They are of the same shard: it is proven again anyway, and
// another would not be.
func (b *Book) decoys(id trial.ID, shard int, number int64, leaves []leaf, next map[int]stated) error {
	want := minBatch
	for want < len(next) {
		want *= 2
	}
	order, err := b.derive("decoys", string(id), strconv.Itoa(shard), strconv.FormatInt(number, 10))
	for i := 0; i < len(leaves) && len(next) < want; i++ {
		place := shuffled(order, len(leaves), i)
		if _, changes := next[place]; !changes {
			next[place] = leaves[place].stated
		}
	}
	return err
}

// apply changes leaves and the tree, fills in the roots, and returns the list.
func (b *Book) apply(ctx context.Context, tx *sqldb.Tx, c *consent.Changes, leaves []leaf, next map[int]stated) ([]consent.Change, error) {
	rows := groups{ctx, tx, c.Trial}
	var err error
	if c.Before, err = circuits.TreeRoot(rows); err != nil {
		return nil, err
	}
	var list []consent.Change
	var elements []circuits.Placed
	for place, l := range leaves {
		now, changes := next[place]
		if !changes {
			continue
		}
		said := message.Digest{} // a decoy, or a leaf that is kept for somebody
		if now.said != l.said {
			if err := said.UnmarshalText([]byte(now.said)); err != nil {
				return nil, err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO consent_stated (trial, said, slot, number) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
				c.Trial, now.said, l.slot, int64(c.Number)); err != nil {
				return nil, err
			}
		}
		l.changes, l.stated = l.changes+1, now
		change := consent.Change{Index: l.slot}
		if change.Old, err = circuits.TreeElement(rows, 0, l.slot); err != nil {
			return nil, err
		}
		opened, err := b.open(c.Trial, l)
		if err != nil {
			return nil, err
		}
		if change.New, err = opened.Leaf(); err != nil {
			return nil, err
		}
		secret, err := b.secret(c.Trial, l)
		if err != nil {
			return nil, err
		}
		change.Receipt = secret.Receipt(l.changes, said)
		if err := keepLeaf(ctx, tx, c.Trial, l); err != nil {
			return nil, err
		}
		list = append(list, change)
		elements = append(elements, circuits.Placed{Index: l.slot, Hash: change.New})
	}
	c.After, err = circuits.UpdateTree(rows, 0, elements)
	return list, err
}
