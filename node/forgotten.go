package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// A directory or database that is copied back from an earlier day starts like any other, but the
// node has forgotten what it let out since. Who has not is the hub: it has the node's own signed
// answers, of which it hands back the newest yes before the node answers anything. A decision that
// is not here was forgotten, and the node is held as one that was restored.

// recollection compares what a node knows with its own word at the hub.
type recollection struct {
	self    identity.DID
	resumed time.Time // what came before is known to be forgotten
	decided func(context.Context, query.ID) (bool, error)
	hold    func(context.Context, time.Time) error
}

// check holds the node if last, its newest yes that the hub has, is not known here.
func (r recollection) check(ctx context.Context, last *message.Envelope) error {
	if last == nil {
		return nil
	}
	answer, err := message.Replay[query.Answer](*last, query.KindAnswer)
	if err != nil || last.Issuer != r.self || answer.Refusal != nil {
		return errors.New("the hub's word of this node's newest answer is malformed")
	}
	known, err := r.decided(ctx, answer.Query)
	if err != nil || known || !last.Issued.After(r.resumed) {
		return err
	}
	if err := r.hold(ctx, last.Issued); err != nil {
		return err
	}
	return errForgotten
}

// errForgotten is what keeps such a node from joining.
var errForgotten = fmt.Errorf("%w: the hub has an answer of this node of which its database knows nothing, so that is of an earlier moment", errHeld)

// decided reports whether the gate knows a question.
func (n *Node) decided(ctx context.Context, id query.ID) (bool, error) {
	_, found, err := n.gate.Recall(ctx, id)
	if found {
		err = nil // whatever was decided
	}
	return found, err
}

// holdForgotten holds the running node, which knows nothing of an answer that it gave. It does so
// once: an operator may resume the node before it is started again.
func (n *Node) holdForgotten(ctx context.Context, gave time.Time) error {
	if n.held.Swap(true) {
		return nil
	}
	n.cfg.Logger.ErrorContext(ctx, "the node's database is of an earlier moment than its answers: it answers and publishes nothing until node resume", "answered", gave)
	return hold(ctx, n.cfg.Dir, n.db, gave.Add(-time.Second))
}

// resumedFile says when an operator let a node go on that has forgotten something.
const resumedFile = "resumed"

// resumed returns when the node of dir was resumed last, zero if it never was.
func resumed(dir string) (time.Time, error) {
	text, err := os.ReadFile(filepath.Join(dir, resumedFile))
	if errors.Is(err, os.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return at, fmt.Errorf("%s: malformed", resumedFile)
	}
	return at, nil
}
