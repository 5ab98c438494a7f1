package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/trialmesh/trialmesh/federation/consensus"
	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// log proposes commands and tells whoever waits that something changed.
type log struct {
	replica *consensus.Replica
	now     func() time.Time
	changed func(registry.Body) // told what was committed
}

// Propose commits a command and returns what it did.
func (l *log) Propose(ctx context.Context, body registry.Body) (registry.Outcome, error) {
	data, err := registry.Encode(body, l.now())
	if err != nil {
		return registry.Outcome{}, err
	}
	value, err := l.replica.Propose(ctx, data)
	if err != nil {
		return registry.Outcome{}, err
	}
	outcome, ok := value.(registry.Outcome)
	if !ok {
		return registry.Outcome{}, errors.New("hub: the state machine returned something else than an outcome")
	}
	l.changed(body)
	return outcome, nil
}

// Leading reports whether this replica may propose.
func (l *log) Leading() bool { return l.replica.IsLeader() }

// errLogLost reports a state without its log.
var errLogLost = errors.New("the state holds commands that the replicated log does not: restore both from one backup")

// sameLog fails if the state is ahead of the replicated log, as when only one
// of the two was lost or restored. Commands under the numbers that the state
// has already would be taken for repetitions: acknowledged, and never applied.
func sameLog(ctx context.Context, state *registry.Reader, replica *consensus.Replica) error {
	applied, err := state.AppliedIndex(ctx)
	if err != nil {
		return err
	}
	if last := replica.Status().Last; applied > last {
		return fmt.Errorf("%w (%d and %d)", errLogLost, applied, last)
	}
	return nil
}

// publisher signs a checkpoint whenever the ledger has grown, which makes the
// new entries public.
type publisher struct {
	db     *sqldb.DB
	origin string
	signer note.Signer
	trust  cosign.Trust
	wake   chan struct{}
	log    *slog.Logger
}

func (p *publisher) notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run publishes until ctx ends.
func (p *publisher) Run(ctx context.Context) error {
	for {
		if err := p.publish(ctx); err != nil && ctx.Err() == nil {
			p.log.ErrorContext(ctx, "checkpoint not published", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		}
	}
}

func (p *publisher) publish(ctx context.Context) error {
	return p.db.Write(ctx, func(tx *sqldb.Tx) error {
		head, err := ledger.Head(ctx, tx, p.origin)
		if err != nil || head.Size == 0 {
			return err
		}
		if signed, err := ledger.Latest(ctx, tx); err == nil {
			if latest, err := p.trust.Open(signed); err == nil && latest.Size == head.Size {
				return nil
			}
		} else if !errors.Is(err, ledger.ErrNotFound) {
			return err
		}
		signed, err := head.Sign(p.signer)
		if err != nil {
			return fmt.Errorf("sign checkpoint: %w", err)
		}
		_, err = ledger.AddCheckpoint(ctx, tx, p.trust, signed)
		return err
	})
}

// checkpoint returns the newest published checkpoint.
func (p *publisher) checkpoint(ctx context.Context) (cosign.Checkpoint, error) {
	var signed []byte
	err := p.db.Read(ctx, func(tx *sqldb.Tx) error {
		var err error
		signed, err = ledger.Latest(ctx, tx)
		return err
	})
	if errors.Is(err, ledger.ErrNotFound) {
		return cosign.Checkpoint{}, nil
	}
	if err != nil {
		return cosign.Checkpoint{}, err
	}
	latest, err := p.trust.Open(signed)
	return latest.Checkpoint, err
}
