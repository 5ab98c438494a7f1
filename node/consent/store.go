package consent

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// maxAside is how many refused drafts of a trial are kept. One is added at most
// every half window, so at the default of 24 h they reach back 16 days.
const maxAside = 32

// seal signs the epoch and keeps it with the digests of its openings until the hub has it.
func (b *Book) seal(ctx context.Context, epoch consent.Epoch, slots []message.Digest, now time.Time) (*Draft, error) {
	envelope, err := message.Seal(b.cfg.Key, consent.KindEpoch, epoch, now, envelopeLife, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("consent: %w", err)
	}
	rawEnvelope, err := json.Marshal(envelope)
	if err != nil {
		return nil, err
	}
	shards, err := json.Marshal(slots)
	if err != nil {
		return nil, err
	}
	err = b.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO consent_epoch (digest, trial, number, envelope, shards) VALUES (?, ?, ?, ?, ?)`,
			envelope.Digest().String(), epoch.Trial, int64(epoch.Number), rawEnvelope, shards)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Draft{Trial: epoch.Trial, Number: epoch.Number, Envelope: envelope}, nil
}

// keepShard stores the slots of a shard, unless they are there.
func (b *Book) keepShard(ctx context.Context, open shardOpening) (message.Digest, error) {
	slots, err := json.Marshal(open.Slots)
	if err != nil {
		return message.Digest{}, err
	}
	digest := message.Sum(slots)
	return digest, b.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO consent_shard (digest, slots) VALUES (?, ?) ON CONFLICT DO NOTHING`, digest.String(), slots)
		return err
	})
}

// Recorded notes that the hub put a draft on the ledger, a refused one too. Other
// epochs under its number are forgotten: they cannot be there as well.
func (b *Book) Recorded(ctx context.Context, d Draft, ledgerIndex int64, now time.Time) error {
	if !d.IsEpoch() {
		return b.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE consent_changes SET ledger_index = ?, leaves = NULL WHERE trial = ? AND number = ? AND ledger_index IS NULL`,
				ledgerIndex, d.Trial, int64(d.Number))
			return err
		})
	}
	digest := d.Envelope.Digest().String()
	return b.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM consent_epoch WHERE trial = ? AND number = ? AND digest <> ? AND ledger_index IS NULL`,
			d.Trial, int64(d.Number), digest); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE consent_epoch SET ledger_index = ?, aside_at = NULL WHERE digest = ? AND ledger_index IS NULL`, ledgerIndex, digest)
		if err != nil || n == 0 {
			return err
		}
		return b.cfg.Trail.Add(ctx, tx, audit.Record{At: now, Event: audit.EpochPublished, Subject: string(d.Trial)})
	})
}

// Refused notes that the hub refused a draft. A draft that still could be
// recorded stays the one to bring. One that is too old for that, or made for
// another circuit, is put aside and the next is made from what stands then; it
// is kept, since a hub may have recorded what it says it refused. Changes of leaves stay
// what they are and are brought again, signed again when they are too old.
func (b *Book) Refused(ctx context.Context, d Draft, circuit message.Digest, now time.Time) error {
	if !d.IsEpoch() {
		return nil
	}
	epoch, err := message.Stored[consent.Epoch](d.Envelope, consent.KindEpoch)
	if err != nil {
		return err
	}
	usable := epoch.Circuit == circuit && now.Before(d.Envelope.Expires)
	for _, s := range epoch.Shards {
		usable = usable && b.fresh(s, now)
	}
	if usable {
		return nil
	}
	return b.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE consent_epoch SET aside_at = ? WHERE digest = ? AND ledger_index IS NULL`,
			now.Unix(), d.Envelope.Digest().String()); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM consent_epoch WHERE trial = ? AND aside_at IS NOT NULL AND digest NOT IN
			(SELECT digest FROM consent_epoch WHERE trial = ? AND aside_at IS NOT NULL ORDER BY aside_at DESC, digest LIMIT ?)`,
			d.Trial, d.Trial, maxAside)
		return err
	})
}

// Aside returns the refused drafts of a trial that may yet turn out to be on
// the ledger, the newest first.
func (b *Book) Aside(ctx context.Context, id trial.ID) ([]Draft, error) {
	var list []Draft
	err := b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.Each(ctx, `SELECT number, envelope FROM consent_epoch WHERE trial = ? AND aside_at IS NOT NULL ORDER BY aside_at DESC, digest`, []any{id}, func(rows *sqldb.Rows) error {
			d := Draft{Trial: id}
			var number int64
			var raw []byte
			if err := rows.Scan(&number, &raw); err != nil {
				return err
			}
			if err := json.Unmarshal(raw, &d.Envelope); err != nil {
				return fmt.Errorf("consent: stored epoch: %w", err)
			}
			d.Number = uint64(number)
			list = append(list, d)
			return nil
		})
	})
	return list, err
}

// storedEpoch is an epoch with its private half.
type storedEpoch struct {
	epoch    consent.Epoch
	envelope message.Envelope
	slots    []message.Digest // by shard: names what stood in it
	recorded bool

	digest  message.Digest
	opening opening                                 // of epochs by digest
	witness func() ([]circuits.EpochWitness, error) // by shard: what its proofs are made from
}

// keptEpochs is how many epochs stay in memory. Every step of every question reads the one
// that it is answered under.
const keptEpochs = 4

// lastEpoch returns the newest epoch that is on the ledger or has to be brought
// there, without its private half, nil for none.
func (b *Book) lastEpoch(ctx context.Context, id trial.ID) (e *storedEpoch, err error) {
	err = b.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		e, err = readEpoch(ctx, tx, `SELECT envelope, shards, ledger_index FROM consent_epoch WHERE trial = ? AND aside_at IS NULL ORDER BY number DESC LIMIT 1`, id)
		return err
	})
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, nil
	}
	return e, err
}

// epochByDigest returns an epoch, or errEpochAbsent. What it says, without recorded, never
// changes, so the last ones read are kept.
func (b *Book) epochByDigest(ctx context.Context, tx *sqldb.Tx, digest message.Digest) (*storedEpoch, error) {
	b.mu.Lock()
	i := slices.IndexFunc(b.epochs, func(e *storedEpoch) bool { return e.digest == digest })
	if i >= 0 {
		e := b.epochs[i]
		b.epochs = append(slices.Delete(b.epochs, i, i+1), e)
		b.mu.Unlock()
		return e, nil
	}
	b.mu.Unlock()
	e, err := readEpoch(ctx, tx, `SELECT envelope, shards, ledger_index FROM consent_epoch WHERE digest = ?`, digest.String())
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, fmt.Errorf("%w: %s", errEpochAbsent, digest)
	}
	if err != nil {
		return nil, err
	}
	if e.opening, err = e.opened(ctx, tx); err != nil {
		return nil, err
	}
	e.digest = digest
	e.witness = sync.OnceValues(func() ([]circuits.EpochWitness, error) {
		shards := make([]circuits.EpochWitness, len(e.opening.Shards))
		for i, open := range e.opening.Shards {
			var err error
			if shards[i], err = b.shardWitness(e.epoch.Trial, i, open); err != nil {
				return nil, err
			}
		}
		return shards, nil
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epochs = append(b.epochs, e)
	b.epochs = slices.Delete(b.epochs, 0, max(0, len(b.epochs)-keptEpochs))
	return e, nil
}

// readEpoch returns the epoch that a statement selects, without its private half.
func readEpoch(ctx context.Context, tx *sqldb.Tx, sql string, args ...any) (*storedEpoch, error) {
	var e storedEpoch
	var rawEnvelope, shards []byte
	var index *int64
	err := tx.QueryRow(ctx, sql, args...).Scan(&rawEnvelope, &shards, &index)
	if err != nil {
		return nil, err
	}
	e.recorded = index != nil
	if err := json.Unmarshal(rawEnvelope, &e.envelope); err != nil {
		return nil, fmt.Errorf("consent: stored epoch: %w", err)
	}
	if e.epoch, err = message.Stored[consent.Epoch](e.envelope, consent.KindEpoch); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(shards, &e.slots); err != nil || len(e.slots) != len(e.epoch.Shards) {
		return nil, errDamaged
	}
	return &e, nil
}

var errDamaged = errors.New("consent: the opening of a stored epoch is damaged")

// opened puts the private half of an epoch together again.
func (e *storedEpoch) opened(ctx context.Context, tx *sqldb.Tx) (opening, error) {
	open := opening{Shards: make([]shardOpening, len(e.slots))}
	for i, digest := range e.slots {
		var slots []byte
		err := tx.QueryRow(ctx, `SELECT slots FROM consent_shard WHERE digest = ?`, digest.String()).Scan(&slots)
		if errors.Is(err, sqldb.ErrNoRows) {
			return opening{}, errDamaged
		}
		if err != nil {
			return opening{}, err
		}
		if err := json.Unmarshal(slots, &open.Shards[i].Slots); err != nil {
			return opening{}, errDamaged
		}
		if open.Shards[i].Window, err = circuits.NewWindow(e.epoch.Shards[i].From, e.epoch.Shards[i].To); err != nil {
			return opening{}, err
		}
	}
	return open, nil
}
