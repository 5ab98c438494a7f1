package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/trialmesh/trialmesh/federation/dirlock"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/peer"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// heldFile says that the node was restored from a backup and not yet resumed.
const heldFile = "restored.json"

// held is what heldFile holds.
type held struct {
	At time.Time `json:"backupOf"` // the node knows nothing that came later
}

var (
	// ErrNotHeld says that there is nothing to resume.
	ErrNotHeld = errors.New("the node was not restored, or was resumed already")

	errHeld = problem.New(problem.Unavailable, "the node was restored from a backup and answers when its operator has resumed it")
)

// Hold keeps the node of cfg.Dir from answering and publishing until [Resume], because
// its database is that of an earlier moment. The node must not run. A backup that is
// restored is held by [Restore].
func Hold(ctx context.Context, cfg Config, at time.Time) error {
	cfg = cfg.withDefaults()
	lock, err := dirlock.Acquire(ctx, cfg.Dir)
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	db, _, err := cfg.stores(ctx)
	if err != nil {
		return fmt.Errorf("hold: %w", errors.Join(err, lock.Release()))
	}
	return errors.Join(hold(ctx, cfg.Dir, db, at), db.Close(), lock.Release())
}

// hold writes the mark, and drops the questions that were under way.
func hold(ctx context.Context, dir string, db *sqldb.DB, at time.Time) error {
	if err := peer.Drop(ctx, db); err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	text, err := json.Marshal(held{at})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, heldFile), append(text, '\n'))
}

// Held returns the moment of the backup that the node of dir was restored from, zero
// if it is not held.
func Held(dir string) (time.Time, error) {
	text, err := os.ReadFile(filepath.Join(dir, heldFile))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	var h held
	if err == nil && (json.Unmarshal(text, &h) != nil || h.At.IsZero()) {
		err = fmt.Errorf("%s: malformed", heldFile)
	}
	return h.At, err
}

// Resume lets a restored node answer again from its next start on. It is for an
// operator who has brought back what the node had forgotten; or [ErrNotHeld].
func Resume(dir string, now time.Time) error {
	if at, err := Held(dir); err == nil && at.IsZero() {
		return ErrNotHeld
	}
	if err := writeFile(filepath.Join(dir, resumedFile), now.UTC().AppendFormat(nil, time.RFC3339)); err != nil {
		return err
	}
	return os.Remove(filepath.Join(dir, heldFile))
}

// proving is what access proofs are made with; no question is answered without.
func (n *Node) proving() (peer.Proving, error) {
	if n.held.Load() {
		return peer.Proving{}, errHeld
	}
	return n.network.Proving()
}

// publish keeps the ledger up to date with the consents, unless the node is held.
func (n *Node) publish(ctx context.Context) error {
	if n.held.Load() {
		return nil
	}
	return n.publisher.Run(ctx)
}

// enroll enrolls who waits, unless the node is held.
func (n *Node) enroll(ctx context.Context) error {
	if n.held.Load() {
		return nil
	}
	return n.desk.Run(ctx)
}
