package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	store "github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/node/audit"
	"github.com/trialmesh/trialmesh/node/columns"
	"github.com/trialmesh/trialmesh/node/dataset"
	wire "github.com/trialmesh/trialmesh/protocol/columns"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// openDatasets returns what loads and lists the site's named data sets.
func (n *Node) openDatasets() *dataset.Service {
	return dataset.New(dataset.Config{DB: n.db, Store: n.datasets, People: n.people, Trail: n.trail, Now: n.cfg.Now})
}

// CommitColumns commits the node of cfg.Dir to columns of a data set for a trial's
// participants, all of them if none is named, also while it runs; see [columns.Book.Commit].
func CommitColumns(ctx context.Context, cfg Config, id trial.ID, name string, wanted []string) (c wire.Commitment, err error) {
	cfg = cfg.withDefaults()
	db, err := cfg.database(ctx)
	if err != nil {
		return c, fmt.Errorf("commit to columns: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	trail, err := audit.Open(ctx, db, cfg.Logger)
	if err != nil {
		return c, fmt.Errorf("commit to columns: %w", err)
	}
	consents, err := cfg.book(ctx, db, trail)
	if err != nil {
		return c, err
	}
	sets, err := store.Open(ctx, db)
	if err != nil {
		return c, err
	}
	h, err := readHome(cfg.Dir)
	if err != nil {
		return c, err
	}
	book, err := columns.Open(ctx, columns.Config{
		DB: db, Key: h.key, Trail: trail, Consents: consents, Datasets: sets, Secret: h.secret, Shape: cfg.Shape,
	})
	if err != nil {
		return c, err
	}
	return book.Commit(ctx, id, name, wanted, cfg.Now())
}

// refusedPause is how long committed columns that the hub refused, or did not take, are left alone.
const refusedPause = time.Minute

// publishColumns brings committed columns to the hub until ctx ends, unless the node is held.
// They may have been committed by another process.
func (n *Node) publishColumns(ctx context.Context) error {
	for !n.held.Load() {
		pause := n.cfg.EpochPause
		if err := n.sendColumns(ctx); err != nil && ctx.Err() == nil {
			n.cfg.Logger.WarnContext(ctx, "committed columns are held up and will be tried again", "err", err)
			pause = refusedPause
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
	return nil
}

func (n *Node) sendColumns(ctx context.Context) error {
	drafts, err := n.columns.Drafts(ctx, n.cfg.Now())
	if err != nil {
		return err
	}
	for _, d := range drafts {
		index, err := n.record(ctx, wire.Protocol, d.Envelope)
		if err != nil {
			return err
		}
		if err := n.columns.Recorded(ctx, d, index, n.cfg.Now()); err != nil {
			return err
		}
	}
	return nil
}
