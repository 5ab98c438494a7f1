package consent

import (
	"context"
	"errors"
	"fmt"
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

	// Send brings a draft to the hub and returns its leaf on the ledger. The
	// hub is asked again for what it has recorded before, which gives the same
	// leaf. An error of package problem is the hub's answer, unless its kind is
	// unavailable or internal.
	Send func(ctx context.Context, d Draft) (ledgerIndex int64, err error)

	// Pause is how long nothing must change before an epoch is closed, so that
	// what comes together goes into one. While changes go on coming, an epoch is
	// closed after ten pauses. A trial whose epoch the hub refuses is taken up
	// again after one pause, then two, four and so on up to 5 min. Defaults to 2 s.
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

	held map[trial.ID]hold // trials whose epoch the hub refused; Run's alone
}

// hold says how long a trial's epoch is left alone.
type hold struct {
	pause time.Duration
	until time.Time
}

// maxHold bounds how long a refused epoch is left alone.
const maxHold = 5 * time.Minute

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
	return &Publisher{cfg: cfg, wake: make(chan struct{}, 1), held: make(map[trial.ID]hold)}
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
		timer := time.NewTimer(p.publish(ctx))
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
	longest := time.NewTimer(maxPauses * p.cfg.Pause)
	defer longest.Stop()
	quiet := time.NewTimer(p.cfg.Pause)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-quiet.C:
			return true
		case <-longest.C:
			return true
		case <-p.wake:
			quiet.Reset(p.cfg.Pause)
		}
	}
}

// publish brings the ledger up to date and returns when to look again.
func (p *Publisher) publish(ctx context.Context) time.Duration {
	wait := p.cfg.Poll
	ids, err := p.cfg.Book.Trials(ctx)
	if err != nil {
		p.warn(ctx, "", err)
		return min(wait, p.cfg.Pause)
	}
	for _, id := range ids {
		now := p.cfg.Now()
		held := p.held[id]
		if now.Before(held.until) {
			wait = min(wait, held.until.Sub(now))
			continue
		}
		err := p.publishTrial(ctx, id)
		switch {
		case err == nil:
			delete(p.held, id)
		case refused(err):
			held.pause = min(max(p.cfg.Pause, 2*held.pause), maxHold)
			held.until = now.Add(held.pause)
			p.held[id] = held
			wait = min(wait, held.pause)
		default:
			wait = min(wait, p.cfg.Pause)
		}
		p.warn(ctx, id, err)
	}
	return wait
}

func (p *Publisher) warn(ctx context.Context, id trial.ID, err error) {
	if err != nil && ctx.Err() == nil {
		p.cfg.Log.WarnContext(ctx, "consents are held up and will be tried again", "trial", id, "err", err)
	}
}

// errRefused marks an error as the hub's answer to a draft.
var errRefused = errors.New("the hub refuses the consents")

func refused(err error) bool { return errors.Is(err, errRefused) }

// publishTrial brings changes to the hub one after the other, and then the epoch that
// they lead to.
func (p *Publisher) publishTrial(ctx context.Context, id trial.ID) error {
	prover, circuit, err := p.cfg.Proving()
	if err != nil {
		return err
	}
	var draft *Draft
	for {
		draft, err = p.cfg.Book.Draft(ctx, id, circuit, prover, p.cfg.Now())
		if err != nil || draft == nil {
			return err
		}
		if err = p.send(ctx, *draft); err != nil || draft.IsEpoch() {
			break
		}
	}
	if !refused(err) || !draft.IsEpoch() {
		return err
	}
	// The hub may have recorded what it refused before: then it is known by now
	// what stands under the number, and the next draft follows it.
	earlier, aerr := p.cfg.Book.Aside(ctx, id)
	if aerr != nil {
		return aerr
	}
	for _, d := range earlier {
		if serr := p.send(ctx, d); !refused(serr) {
			p.Wake()
			return serr
		}
	}
	return errors.Join(err, p.cfg.Book.Refused(ctx, *draft, circuit, p.cfg.Now()))
}

// send brings a draft to the hub and notes its leaf. The hub's refusal is errRefused.
func (p *Publisher) send(ctx context.Context, d Draft) error {
	index, err := p.cfg.Send(ctx, d)
	var answer *problem.Error
	switch {
	case err == nil:
		return p.cfg.Book.Recorded(ctx, d, index, p.cfg.Now())
	case errors.As(err, &answer) && answer.Kind != problem.Unavailable && answer.Kind != problem.Internal:
		return fmt.Errorf("%w: %s %d: %w", errRefused, d.Envelope.Kind, d.Number, err)
	}
	return err
}
