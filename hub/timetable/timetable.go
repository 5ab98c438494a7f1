// Package timetable asks recurring questions when they are due.
//
// A [Keeper] proposes to the replicated log, while its replica leads, that an occurrence of a
// schedule be asked, with the time of the proposal. It decides nothing and remembers nothing
// that matters: the state machine in package registry takes an occurrence once, not before it
// is due, and records one that was missed. A hub that dies, or another leader, proposes what
// is still to be asked.
package timetable

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/trialmesh/trialmesh/hub/registry"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Log is the replicated log.
type Log interface {
	// Propose commits a command and returns what it did. An error of package
	// problem is the command's refusal; any other means that nothing is known.
	Propose(ctx context.Context, body registry.Body) (registry.Outcome, error)

	// Leading reports whether this replica may propose.
	Leading() bool
}

// Config configures a [Keeper]. Registry and Log are required.
type Config struct {
	Registry *registry.Reader
	Log      Log

	// Limits bound the questions that are open. Defaults to registry.DefaultQueue.
	Limits registry.QueueLimits

	// Poll is how often the registry is read. Defaults to 1 s.
	Poll time.Duration

	// Pause is how long an occurrence waits that was refused because too many
	// questions are open. Defaults to 1 min.
	Pause time.Duration

	Logger *slog.Logger     // Defaults to discarding.
	Now    func() time.Time // Defaults to time.Now.
}

func (c Config) withDefaults() Config {
	if c.Limits == (registry.QueueLimits{}) {
		c.Limits = registry.DefaultQueue
	}
	if c.Poll <= 0 {
		c.Poll = time.Second
	}
	if c.Pause <= 0 {
		c.Pause = time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// most bounds the occurrences that are looked at in one turn: as many as a hub has open
// questions by default.
const most = 10_000

// Keeper asks what is due.
type Keeper struct {
	cfg  Config
	held map[registry.DueOccurrence]time.Time // until when they wait
}

// New returns a Keeper; it starts nothing.
func New(cfg Config) (*Keeper, error) {
	if cfg.Registry == nil || cfg.Log == nil {
		return nil, errors.New("timetable: registry and log are required")
	}
	return &Keeper{cfg: cfg.withDefaults()}, nil
}

// Run asks what is due until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(k.cfg.Poll)
	defer tick.Stop()
	for {
		if k.cfg.Log.Leading() {
			if err := k.ask(ctx); err != nil && ctx.Err() == nil {
				k.cfg.Logger.WarnContext(ctx, "recurring questions are not asked and will be tried again", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// ask proposes every occurrence that is due and not held.
func (k *Keeper) ask(ctx context.Context) error {
	now := k.cfg.Now()
	due, err := k.cfg.Registry.Due(ctx, now, most)
	if err != nil {
		return err
	}
	held := make(map[registry.DueOccurrence]time.Time)
	for _, o := range due {
		if until := k.held[o]; now.Before(until) {
			held[o] = until
			continue
		}
		_, err := k.cfg.Log.Propose(ctx, registry.AskOccurrence{Schedule: o.Schedule, Number: o.Number, Limits: k.cfg.Limits})
		if refused, is := errors.AsType[*problem.Error](err); is {
			held[o] = now.Add(k.cfg.Pause)
			k.cfg.Logger.InfoContext(ctx, "occurrence is held up and will be asked later", "schedule", o.Schedule.String(), "number", o.Number, "rule", refused.Rule)
		} else if err != nil {
			return fmt.Errorf("ask occurrence: %w", err)
		}
	}
	k.held = held
	return nil
}
