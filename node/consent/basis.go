package consent

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Basis is what a question may be answered from: the persons whose consent is
// in force now and in the epoch.
type Basis struct {
	Epoch   message.Digest
	persons map[omop.PersonID]bool
	leaves  int // that permit the use in the epoch
}

// Permits reports whether the person's record may be used.
func (b Basis) Permits(p omop.PersonID) bool { return b.persons[p] }

// Whole reports whether everybody whom the epoch permits may still be used, so that a proof
// over exactly those can be about the same records as an answer.
func (b Basis) Whole() bool { return len(b.persons) == b.leaves }

// Persons returns how many persons permit the use.
func (b Basis) Persons() int { return len(b.persons) }

// EpochFor returns the digest of the newest epoch whose leaf on the ledger came
// before the question's, and that covers the time of use or that of the question: one that
// waited for days is answered under the consents of when it was asked, less those that
// have ended since. Else it returns [ErrNoEpoch].
func (b *Book) EpochFor(ctx context.Context, use consent.Use, asked time.Time, questionIndex int64) (digest message.Digest, err error) {
	err = b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		digest, err = b.EpochIn(ctx, tx, use, asked, questionIndex)
		return err
	})
	return digest, err
}

// EpochIn is [Book.EpochFor] as a transaction sees it.
func (b *Book) EpochIn(ctx context.Context, tx *sqldb.Tx, use consent.Use, asked time.Time, questionIndex int64) (digest message.Digest, err error) {
	var text string
	err = tx.QueryRow(ctx, `SELECT digest FROM consent_epoch WHERE trial = ? AND ledger_index < ? ORDER BY number DESC LIMIT 1`,
		use.Trial, questionIndex).Scan(&text)
	if errors.Is(err, sqldb.ErrNoRows) {
		return digest, ErrNoEpoch
	}
	if err := errors.Join(err, digest.UnmarshalText([]byte(text))); err != nil {
		return digest, err
	}
	e, err := b.epochByDigest(ctx, tx, digest)
	if err == nil && !e.epoch.Covers(use.At) && !e.epoch.Covers(asked) {
		err = ErrNoEpoch
	}
	return digest, err
}

// Usable returns whose records a use may touch, under an epoch that
// [Book.EpochFor] gave. A withdrawal that came since counts at once.
func (b *Book) Usable(ctx context.Context, use consent.Use, epoch message.Digest) (basis Basis, err error) {
	err = b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		basis, err = b.UsableIn(ctx, tx, use, epoch)
		return err
	})
	return basis, err
}

// UsableIn is [Book.Usable] as a transaction sees it.
func (b *Book) UsableIn(ctx context.Context, tx *sqldb.Tx, use consent.Use, epoch message.Digest) (Basis, error) {
	e, err := b.epochByDigest(ctx, tx, epoch)
	if err != nil {
		return Basis{}, err
	}
	basis := Basis{Epoch: epoch, persons: make(map[omop.PersonID]bool)}
	_, basis.leaves = e.opening.permitted(use.Scopes)
	at := use.At.Unix()
	err = tx.Each(ctx, `SELECT slot, person_id, scopes, from_at, to_at FROM consent_slot WHERE trial = ? AND status = ?`, []any{use.Trial, int64(circuits.Active)}, func(rows *sqldb.Rows) error {
		var slot, scopes, from, to int64
		var person omop.PersonID
		if err := rows.Scan(&slot, &person, &scopes, &from, &to); err != nil {
			return err
		}
		if at < from || at >= to || !consent.Mask(scopes).Covers(use.Scopes) {
			return nil
		}
		if leaf, window, there := e.opening.at(int(slot), b.cfg.Shape.ShardSize); there && leaf.permits(use.Scopes, window) {
			basis.persons[person] = true
		}
		return nil
	})
	return basis, err
}

// at returns the leaf in a slot and its shard's window.
func (o opening) at(slot, shardSize int) (slotOpening, circuits.Window, bool) {
	shard, place := slot/shardSize, slot%shardSize
	if shard >= len(o.Shards) || place >= len(o.Shards[shard].Slots) {
		return slotOpening{}, circuits.Window{}, false
	}
	return o.Shards[shard].Slots[place], o.Shards[shard].Window, true
}

// Evidence is what an access proof is about.
type Evidence struct {
	Query query.ID
	Epoch message.Digest
	Used  []omop.PersonID
	Need  consent.Mask
	Min   int              // proven lower bound of the number of records
	Hash  circuits.Element // query.Venue.Hash; zero when only the commitment is wanted
}

// Witness returns the private half of the access proof for the records used.
// Its salts derive from the question, so the commitment to the records used is
// the same whenever it is made.
func (b *Book) Witness(ctx context.Context, ev Evidence) (circuits.AccessWitness, error) {
	w := circuits.AccessWitness{Need: ev.Need, Min: uint32(ev.Min), QueryHash: ev.Hash}
	var e *storedEpoch
	var slots []int
	err := b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		if e, err = b.epochByDigest(ctx, tx, ev.Epoch); err != nil {
			return err
		}
		slots, err = b.slots(ctx, tx, e, ev.Used)
		return err
	})
	if err != nil {
		return w, err
	}
	shards, err := e.witness()
	if err != nil {
		return w, err
	}
	for i := range shards {
		use := circuits.ShardUse{Epoch: shards[i]}
		if use.Salt, err = b.derive("used salt", ev.Query.String(), strconv.Itoa(i)); err != nil {
			return w, err
		}
		for _, slot := range slots {
			if slot/b.cfg.Shape.ShardSize == i {
				use.Used = append(use.Used, slot%b.cfg.Shape.ShardSize)
			}
		}
		w.Shards = append(w.Shards, use)
	}
	return w, nil
}

// slots returns the slots of persons in the epoch, ascending. It fails if one
// of them is not there.
func (b *Book) slots(ctx context.Context, tx *sqldb.Tx, e *storedEpoch, persons []omop.PersonID) ([]int, error) {
	wanted := make(map[omop.PersonID]bool, len(persons))
	for _, p := range persons {
		wanted[p] = true
	}
	var slots []int
	err := tx.Each(ctx, `SELECT slot, person_id FROM consent_slot WHERE trial = ?`, []any{e.epoch.Trial}, func(rows *sqldb.Rows) error {
		var slot int64
		var person omop.PersonID
		if err := rows.Scan(&slot, &person); err != nil {
			return err
		}
		if _, _, there := e.opening.at(int(slot), b.cfg.Shape.ShardSize); wanted[person] && there {
			slots = append(slots, int(slot))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(slots) != len(wanted) {
		return nil, errNotInEpoch
	}
	slices.Sort(slots)
	return slots, nil
}
