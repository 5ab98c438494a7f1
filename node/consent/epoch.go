package consent

import (
	"context"
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

// Prover proves the shards of an epoch.
type Prover interface {
	// Epoch proves what the bitmaps of one shard say.
	Epoch(ctx context.Context, w circuits.EpochWitness) (circuits.EpochProof, error)
}

// Draft is an epoch, or changes of leaves, that the hub has to record.
type Draft struct {
	Trial    trial.ID
	Number   uint64
	Envelope message.Envelope
	Leaves   []consent.Change // of changes, nil of an epoch
}

// IsEpoch reports which of the two it is.
func (d Draft) IsEpoch() bool { return d.Envelope.Kind == consent.KindEpoch }

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

// Draft returns what has to be recorded next, or nil when there is nothing to do: what
// waits for the hub, or else changes of leaves as long as there are any, and then a new
// epoch when they led to other roots or the last window is more than half over. It proves
// the shards that changed, which takes about a second for each 64 participants.
func (b *Book) Draft(ctx context.Context, id trial.ID, circuit message.Digest, prover Prover, now time.Time) (*Draft, error) {
	// Changes that are on their way came after the last epoch, and an epoch that is on its
	// way before others.
	if draft, err := b.pendingChanges(ctx, id, now); err != nil || draft != nil {
		return draft, err
	}
	last, err := b.lastEpoch(ctx, id)
	if err != nil {
		return nil, err
	}
	if last != nil && !last.recorded {
		return &Draft{Trial: id, Number: last.epoch.Number, Envelope: last.envelope}, nil
	}
	if changed, err := b.change(ctx, id, now); err != nil {
		return nil, err
	} else if changed {
		return b.pendingChanges(ctx, id, now)
	}
	return b.nextEpoch(ctx, id, last, circuit, prover, now)
}

var errTree = errors.New("consent: the stored tree is not the one that its leaves make; node fsck says where")

// nextEpoch closes the epoch after the last, or returns nil if it would say the same. Only
// the shards that it proves are ever in memory.
func (b *Book) nextEpoch(ctx context.Context, id trial.ID, last *storedEpoch, circuit message.Digest, prover Prover, now time.Time) (*Draft, error) {
	roots, changes, err := b.roots(ctx, id)
	if err != nil || len(roots) == 0 {
		return nil, err
	}
	epoch := consent.Epoch{Trial: id, Node: b.cfg.Key.DID(), Number: 1, Circuit: circuit, Changes: changes}
	slots := make([]message.Digest, len(roots))
	changed := last == nil || last.epoch.Circuit != circuit || last.epoch.Changes != changes
	if last != nil {
		epoch.Number, epoch.Revises = last.epoch.Number+1, last.envelope.Digest()
	}
	for i, root := range roots {
		if last != nil && last.epoch.Circuit == circuit && i < len(last.epoch.Shards) && b.fresh(last.epoch.Shards[i], now) && last.epoch.Shards[i].Root == root {
			epoch.Shards, slots[i] = append(epoch.Shards, last.epoch.Shards[i]), last.slots[i]
			continue
		}
		changed = true
		shard, stored, err := b.proveShard(ctx, id, i, prover, now)
		if err != nil {
			return nil, err
		}
		if shard.Root != root {
			return nil, errTree
		}
		epoch.Shards, slots[i] = append(epoch.Shards, shard), stored
	}
	if !changed {
		return nil, nil
	}
	return b.seal(ctx, epoch, slots, now)
}

// fresh reports whether a shard's proof holds for at least half a window more.
func (b *Book) fresh(s consent.Shard, now time.Time) bool {
	return now.Before(s.To.Add(-b.cfg.Window / 2))
}

// proveShard proves a shard as it stands in the tree and stores what its proof was made
// from, by the digest that it returns.
func (b *Book) proveShard(ctx context.Context, id trial.ID, i int, prover Prover, now time.Time) (consent.Shard, message.Digest, error) {
	fail := func(err error) (consent.Shard, message.Digest, error) {
		return consent.Shard{}, message.Digest{}, fmt.Errorf("consent: trial %s, shard %d: %w", id, i, err)
	}
	open, err := b.openShard(ctx, id, i)
	if err != nil {
		return fail(err)
	}
	from := now.UTC().Truncate(time.Second)
	to := from.Add(b.cfg.Window)
	if open.Window, err = circuits.NewWindow(from, to); err != nil {
		return fail(err)
	}
	witness, err := b.shardWitness(id, i, open)
	if err != nil {
		return fail(err)
	}
	proof, err := prover.Epoch(ctx, witness)
	if err != nil {
		return fail(err)
	}
	slots, err := b.keepShard(ctx, open)
	if err != nil {
		return fail(err)
	}
	return consent.Shard{From: from, To: to, Root: proof.Public.ShardRoot, Matrix: proof.Public.MatrixRoot, Proof: proof.Proof[:]}, slots, nil
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

// Trials returns the trials for which consents are on record and to be published.
func (b *Book) Trials(ctx context.Context) ([]trial.ID, error) {
	var ids []trial.ID
	err := b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT DISTINCT trial FROM consent_slot WHERE trial <> ? ORDER BY trial`, []any{SiteResearch}, func(rows *sqldb.Rows) error {
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
