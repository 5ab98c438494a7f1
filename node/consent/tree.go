package consent

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

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
	person circuits.Element // the secret that names who enrolls, zero for a pseudonym
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
	named := circuits.Pseudonym(participant)
	if l.person != (circuits.Element{}) {
		named = l.person
	}
	return circuits.OpenLeaf(named, secret, l.changes, l.Attributes)
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
	err := tx.Each(ctx, `SELECT slot, changes, said, scopes, status, from_at, to_at, person FROM consent_leaf WHERE trial = ? AND slot >= ? AND slot < ?`, between, func(rows *sqldb.Rows) error {
		var slot, changes int
		s, err := scanStated(rows, &slot, &changes)
		list[slot%size].changes, list[slot%size].stated = changes, s
		return err
	})
	return list, err
}

// scanStated reads columns of its own, then said, scopes, status, from_at, to_at and person.
func scanStated(row interface{ Scan(to ...any) error }, own ...any) (s stated, err error) {
	var scopes, status, from, to int64
	var person string
	err = row.Scan(append(own, &s.said, &scopes, &status, &from, &to, &person)...)
	s.Attributes = circuits.Attributes{Mask: consent.Mask(scopes), Status: circuits.Status(status), From: uint32(from), To: uint32(to)}
	if person != "" {
		err = errors.Join(err, s.person.UnmarshalText([]byte(person)))
	}
	return s, err
}

// personText is how a person's secret is stored, "" for none.
func personText(person circuits.Element) string {
	if person == (circuits.Element{}) {
		return ""
	}
	return message.Digest(person).String()
}

func keepLeaf(ctx context.Context, tx *sqldb.Tx, id trial.ID, l leaf) error {
	_, err := tx.Exec(ctx, `INSERT INTO consent_leaf (trial, slot, changes, said, scopes, status, from_at, to_at, person) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (trial, slot) DO UPDATE SET changes = excluded.changes, said = excluded.said, scopes = excluded.scopes,
		status = excluded.status, from_at = excluded.from_at, to_at = excluded.to_at, person = excluded.person`,
		id, l.slot, l.changes, l.said, int64(l.Mask), int64(l.Status), int64(l.From), int64(l.To), personText(l.person))
	return err
}

// openShard returns the private half of a shard's proof: its leaves as they were last published.
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
