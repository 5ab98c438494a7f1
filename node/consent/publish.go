package consent

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// PublisherConfig configures a [Publisher]. Book, Proving and Send are required.
type PublisherConfig struct {
	Book *Book

	// Proving returns the prover and the digest of its epoch circuit's
	// verifying key, or an error of kind unavailable.
	Proving func() (Prover, message.Digest, error)

	// Send brings an epoch to the hub and returns its leaf on the ledger.
	Send func(ctx context.Context, e message.Envelope) (ledgerIndex int64, err error)

	// Pause is how long nothing must change before an epoch is closed, so that
	// what comes together goes into one. While changes go on coming, an epoch is
	// closed after ten pauses. Defaults to 2 s.
	Pause time.Duration

	// Poll is how often windows are looked at. Defaults to 1 min.
	Poll time.Duration

	Log *slog.Logger     // Defaults to discarding.
	Now func() time.Time // Defaults to time.Now.
}

// Publisher keeps the ledger up to date with the book.
type Publisher struct {
	cfg  PublisherConfig
	wake chan struct{}
}

// NewPublisher returns a Publisher; it starts nothing.
func NewPublisher(cfg PublisherConfig) *Publisher {
	if cfg.Pause <= 0 {
		cfg.Pause = 2 * time.Second
	}
	if cfg.Poll <= 0 {
		cfg.Poll = time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Publisher{cfg: cfg, wake: make(chan struct{}, 1)}
}

// Wake tells that consents changed. It never blocks.
func (p *Publisher) Wake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run publishes epochs until ctx ends.
func (p *Publisher) Run(ctx context.Context) error {
	for {
		wait := p.cfg.Poll
		if err := p.publish(ctx); err != nil && ctx.Err() == nil {
			p.cfg.Log.WarnContext(ctx, "consent epoch is held up and will be tried again", "err", err)
			wait = min(wait, p.cfg.Pause)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-p.wake:
			timer.Stop()
			if !p.settle(ctx) {
				return nil
			}
		}
	}
}

// maxPauses bounds how long changes that go on coming hold an epoch up.
const maxPauses = 10

// settle waits until nothing has changed for a pause, and reports whether ctx
// is still alive.
func (p *Publisher) settle(ctx context.Context) bool {
	for range maxPauses {
		timer := time.NewTimer(p.cfg.Pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
			return true
		case <-p.wake:
			timer.Stop()
		}
	}
	return true
}

func (p *Publisher) publish(ctx context.Context) error {
	ids, err := p.cfg.Book.Trials(ctx)
	if err != nil || len(ids) == 0 {
		return err
	}
	var failures []error
	for _, id := range ids {
		failures = append(failures, p.publishTrial(ctx, id))
	}
	return errors.Join(failures...)
}

func (p *Publisher) publishTrial(ctx context.Context, id trial.ID) error {
	prover, circuit, err := p.cfg.Proving()
	if err != nil {
		return err
	}
	draft, err := p.cfg.Book.Draft(ctx, id, circuit, prover, p.cfg.Now())
	if err != nil || draft == nil {
		return err
	}
	index, err := p.cfg.Send(ctx, draft.Envelope)
	var refused *problem.Error
	if errors.As(err, &refused) && refused.Kind == problem.Refused {
		return errors.Join(err, p.cfg.Book.Refused(ctx, *draft))
	}
	if err != nil {
		return err
	}
	return p.cfg.Book.Recorded(ctx, *draft, index, p.cfg.Now())
}
