package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/federation/consensus"
	"github.com/trialmesh/trialmesh/hub/registry"
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
