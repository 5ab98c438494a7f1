package consent

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// minBatch is how many leaves of a shard change at least when one does. The number is a
// power of two: it says how many consents changed to within a factor of two, and of one
// to eight nothing.
const minBatch = 8

// leaf is one leaf of the tree with what the ledger does not say of it.
type leaf struct {
	slot        int
	participant identity.DID // empty for a leaf that is kept for one
	changes     int          // how often it changed, 0 for one that was never published
	stated
}

// stated is what a leaf says.
type stated struct {
	said string // digest of the message, empty if nobody said anything
	circuits.Attributes
}

// secret opens the leaf. A leaf that is kept for a participant has one of its own, so that
// it looks like any other.
func (b *Book) secret(id trial.ID, l leaf) (s consent.LeafSecret, err error) {
	info := "trialmesh consent v1\nleaf secret\n" + string(id) + "\n"
	if l.participant != "" {
		info += string(l.participant)
	} else {
		info += strconv.Itoa(l.slot)
	}
	raw, err := hkdf.Key(sha256.New, b.cfg.Secret[:], nil, info, len(s))
	if err != nil {
		return s, fmt.Errorf("consent: derive leaf secret: %w", err)
	}
	return consent.LeafSecret(raw), nil
}

// open returns the leaf's consent as it was last published.
func (b *Book) open(id trial.ID, l leaf) (circuits.Consent, error) {
	participant := l.participant
	if l.Status == circuits.Empty {
		participant = "" // whoever has taken the slot since is not in it yet
	}
	secret, err := b.secret(id, leaf{slot: l.slot, participant: participant})
	if err != nil {
		return circuits.Consent{}, err
	}
	return circuits.OpenLeaf(participant, secret, l.changes, l.Attributes)
}

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

// leaves returns a shard's leaves as they were last published, by place, with the
// participants who have their slots now.
func (b *Book) leaves(ctx context.Context, tx *sqldb.Tx, id trial.ID, shard int) ([]leaf, error) {
	size := b.cfg.Shape.ShardSize
	list := make([]leaf, size)
	for i := range list {
		list[i].slot = shard*size + i
	}
	between := []any{id, shard * size, (shard + 1) * size}
	if err := tx.Each(ctx, `SELECT slot, participant FROM consent_slot WHERE trial = ? AND slot >= ? AND slot < ?`, between, func(rows *sqldb.Rows) error {
		var slot int
		var participant identity.DID
		err := rows.Scan(&slot, &participant)
		list[slot%size].participant = participant
		return err
	}); err != nil {
		return nil, err
	}
	err := tx.Each(ctx, `SELECT slot, changes, said, scopes, status, from_at, to_at FROM consent_leaf WHERE trial = ? AND slot >= ? AND slot < ?`, between, func(rows *sqldb.Rows) error {
		var slot, changes int
		s, err := scanStated(rows, &slot, &changes)
		list[slot%size].changes, list[slot%size].stated = changes, s
		return err
	})
	return list, err
}

// scanStated reads columns of its own, then said, scopes, status, from_at and to_at.
func scanStated(rows *sqldb.Rows, own ...any) (s stated, err error) {
	var scopes, status, from, to int64
	err = rows.Scan(append(own, &s.said, &scopes, &status, &from, &to)...)
	s.Attributes = circuits.Attributes{Mask: consent.Mask(scopes), Status: circuits.Status(status), From: uint32(from), To: uint32(to)}
	return s, err
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
	err := tx.Each(ctx, `SELECT s.slot, s.said, s.scopes, s.status, s.from_at, s.to_at FROM consent_pending p
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

func keepLeaf(ctx context.Context, tx *sqldb.Tx, id trial.ID, l leaf) error {
	_, err := tx.Exec(ctx, `INSERT INTO consent_leaf (trial, slot, changes, said, scopes, status, from_at, to_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (trial, slot) DO UPDATE SET changes = excluded.changes, said = excluded.said, scopes = excluded.scopes,
		status = excluded.status, from_at = excluded.from_at, to_at = excluded.to_at`,
		id, l.slot, l.changes, l.said, int64(l.Mask), int64(l.Status), int64(l.From), int64(l.To))
	return err
}

// opened returns the private half of a shard's proof: its leaves as they were last published.
func (b *Book) openShard(ctx context.Context, id trial.ID, shard int) (open shardOpening, err error) {
	err = b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		leaves, err := b.leaves(ctx, tx, id, shard)
		for _, l := range leaves {
			c, failed := b.open(id, l)
			err = errors.Join(err, failed)
			open.Slots = append(open.Slots, slotOpening{c.Participant, uint64(l.Mask), l.Status, l.From, l.To})
		}
		return err
	})
	return open, err
}

// roots returns the roots of the shards that are in use, and the number of the last changes
// that they hold.
func (b *Book) roots(ctx context.Context, id trial.ID) (list []circuits.Element, changes uint64, err error) {
	err = b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		var slots, last int64
		if err := tx.QueryRow(ctx, `SELECT coalesce(max(slot), -1) + 1 FROM consent_leaf WHERE trial = ?`, id).Scan(&slots); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT coalesce(max(number), 0) FROM consent_changes WHERE trial = ?`, id).Scan(&last); err != nil {
			return err
		}
		changes = uint64(last)
		for shard := range int(slots) / b.cfg.Shape.ShardSize {
			root, err := circuits.TreeElement(groups{ctx, tx, id}, b.cfg.Shape.ShardLevel(), shard)
			if err != nil {
				return err
			}
			list = append(list, root)
		}
		return nil
	})
	return list, changes, err
}

// groups is a trial's tree in the database.
type groups struct {
	ctx   context.Context
	tx    *sqldb.Tx
	trial trial.ID
}

// Siblings implements [circuits.Rows].
func (g groups) Siblings(level, group int) (s circuits.Siblings, found bool, err error) {
	var hashes []byte
	err = g.tx.QueryRow(g.ctx, `SELECT hashes FROM consent_group WHERE trial = ? AND level = ? AND number = ?`, g.trial, level, group).Scan(&hashes)
	if errors.Is(err, sqldb.ErrNoRows) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	s, err = siblings(hashes)
	return s, true, err
}

// SetSiblings implements [circuits.Rows].
func (g groups) SetSiblings(level, group int, s circuits.Siblings) error {
	_, err := g.tx.Exec(g.ctx, `INSERT INTO consent_group (trial, level, number, hashes) VALUES (?, ?, ?, ?)
		ON CONFLICT (trial, level, number) DO UPDATE SET hashes = excluded.hashes`, g.trial, level, group, slices.Concat(s[0][:], s[1][:], s[2][:], s[3][:]))
	return err
}

// siblings reads a stored group.
func siblings(hashes []byte) (s circuits.Siblings, err error) {
	if len(hashes) != len(s)*len(s[0]) {
		return s, errors.New("consent: a stored group of the tree is damaged")
	}
	for i := range s {
		copy(s[i][:], hashes[i*len(s[i]):])
	}
	return s, nil
}
