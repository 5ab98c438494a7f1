package consent

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// Prover proves the shards of an epoch.
type Prover interface {
	// Epoch proves what the bitmaps of one shard say.
	Epoch(ctx context.Context, w circuits.EpochWitness) (circuits.EpochProof, error)
}

// Draft is an epoch that the hub has to record.
type Draft struct {
	Trial    trial.ID
	Number   uint64
	Envelope message.Envelope
}

// envelopeLife is how long the hub may take to record an epoch.
const envelopeLife = 24 * time.Hour

// opening is the private half of an epoch: what its proofs were made from.
// Its slots are stored in the node's own database and nowhere else; its windows
// are those of the epoch.
type opening struct{ Shards []shardOpening }

type shardOpening struct {
	Window circuits.Window `json:"window"`
	Slots  []slotOpening   `json:"slots"`
}

// slotOpening is one consent leaf.
type slotOpening struct {
	Participant circuits.Element `json:"participant"` // salted commitment
	Mask        uint64           `json:"mask,string"`
	Status      circuits.Status  `json:"status"`
	From        uint32           `json:"from"`
	To          uint32           `json:"to"`
}

func (s slotOpening) consent() circuits.Consent {
	return circuits.Consent{Participant: s.Participant, Attributes: circuits.Attributes{
		Mask: consent.Mask(s.Mask), Status: s.Status, From: s.From, To: s.To,
	}}
}

// permits reports whether the slot's bit is set for every scope of need.
func (s slotOpening) permits(need consent.Mask, w circuits.Window) bool {
	return s.Status == circuits.Active && s.From <= w.From && s.To >= w.To && consent.Mask(s.Mask).Covers(need)
}

// Draft returns the epoch that has to be recorded next: the one that waits for
// the hub, or a new one when consents changed or the last window is more than
// half over, or nil when there is nothing to do. It proves the shards that
// changed, which takes about a second for each 64 participants.
func (b *Book) Draft(ctx context.Context, id trial.ID, circuit message.Digest, prover Prover, now time.Time) (*Draft, error) {
	last, err := b.lastEpoch(ctx, id)
	if err != nil {
		return nil, err
	}
	if last != nil && !last.recorded {
		return &Draft{Trial: id, Number: last.epoch.Number, Envelope: last.envelope}, nil
	}
	open, err := b.shards(ctx, id)
	if err != nil || len(open.Shards) == 0 {
		return nil, err
	}
	epoch := consent.Epoch{Trial: id, Node: b.cfg.Key.DID(), Number: 1, Circuit: circuit}
	changed := last == nil || last.epoch.Circuit != circuit || len(last.epoch.Shards) != len(open.Shards)
	if last != nil {
		epoch.Number, epoch.Revises = last.epoch.Number+1, last.envelope.Digest()
	}
	for i := range open.Shards {
		if last != nil && last.epoch.Circuit == circuit && i < len(last.epoch.Shards) && b.fresh(last.epoch.Shards[i], now) &&
			equal(last.opening.Shards[i].Slots, open.Shards[i].Slots) {
			open.Shards[i].Window = last.opening.Shards[i].Window
			epoch.Shards = append(epoch.Shards, last.epoch.Shards[i])
			continue
		}
		changed = true
		shard, err := b.proveShard(ctx, id, i, &open.Shards[i], prover, now)
		if err != nil {
			return nil, err
		}
		epoch.Shards = append(epoch.Shards, shard)
	}
	if !changed {
		return nil, nil
	}
	return b.seal(ctx, epoch, open, now)
}

// fresh reports whether a shard's proof holds for at least half a window more.
func (b *Book) fresh(s consent.Shard, now time.Time) bool {
	return now.Before(s.To.Add(-b.cfg.Window / 2))
}

func equal(a, b []slotOpening) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func (b *Book) proveShard(ctx context.Context, id trial.ID, i int, open *shardOpening, prover Prover, now time.Time) (consent.Shard, error) {
	from := now.UTC().Truncate(time.Second)
	to := from.Add(b.cfg.Window)
	var err error
	if open.Window, err = circuits.NewWindow(from, to); err != nil {
		return consent.Shard{}, err
	}
	witness, err := b.shardWitness(id, i, *open)
	if err != nil {
		return consent.Shard{}, err
	}
	proof, err := prover.Epoch(ctx, witness)
	if err != nil {
		return consent.Shard{}, fmt.Errorf("consent: trial %s, shard %d: %w", id, i, err)
	}
	return consent.Shard{From: from, To: to, Root: proof.Public.ShardRoot, Matrix: proof.Public.MatrixRoot, Proof: proof.Proof[:]}, nil
}

// shardWitness returns the private half of a shard's proof. Salts depend on the
// shard's window and content, so that two epochs never share one by chance and
// an unchanged shard can be opened again.
func (b *Book) shardWitness(id trial.ID, i int, open shardOpening) (circuits.EpochWitness, error) {
	w := circuits.EpochWitness{Window: open.Window}
	for _, slot := range open.Slots {
		w.Consents = append(w.Consents, slot.consent())
	}
	raw, err := json.Marshal(open)
	if err != nil {
		return w, err
	}
	content := message.Sum(raw).String()
	for scope := range w.Salts {
		if w.Salts[scope], err = b.derive("column salt", string(id), strconv.Itoa(i), content, strconv.Itoa(scope)); err != nil {
			return w, err
		}
	}
	return w, nil
}

// shards returns all slots of a trial as they stand now.
func (b *Book) shards(ctx context.Context, id trial.ID) (opening, error) {
	var open opening
	err := b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT slot, participant, scopes, status, from_at, to_at FROM consent_slot WHERE trial = ? ORDER BY slot`, []any{id}, func(rows *sqldb.Rows) error {
			var slot, scopes, status, from, to int64
			var participant identity.DID
			if err := rows.Scan(&slot, &participant, &scopes, &status, &from, &to); err != nil {
				return err
			}
			commitment, err := b.commit(id, participant)
			if err != nil {
				return err
			}
			leaf := slotOpening{Participant: commitment, Mask: uint64(scopes), Status: circuits.Status(status), From: uint32(from), To: uint32(to)}
			i := int(slot) / b.cfg.Shape.ShardSize
			if i >= b.cfg.Shape.Shards {
				return ErrManyShards
			}
			for len(open.Shards) <= i {
				open.Shards = append(open.Shards, shardOpening{})
			}
			open.Shards[i].Slots = append(open.Shards[i].Slots, leaf) // slots are dense
			return nil
		})
	})
	return open, err
}

// commit hides a participant behind a blind that is theirs in this trial.
func (b *Book) commit(id trial.ID, participant identity.DID) (circuits.Element, error) {
	blind, err := b.derive("blind", string(id), string(participant))
	if err != nil {
		return circuits.Element{}, err
	}
	return circuits.CommitParticipant(circuits.Truncate(message.Sum([]byte(participant))), blind)
}

// Trials returns the trials for which consents are on record.
func (b *Book) Trials(ctx context.Context) ([]trial.ID, error) {
	var ids []trial.ID
	err := b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT DISTINCT trial FROM consent_slot ORDER BY trial`, nil, func(rows *sqldb.Rows) error {
			var id trial.ID
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
			return nil
		})
	})
	return ids, err
}
