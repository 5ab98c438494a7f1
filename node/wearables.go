package node

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/trialmesh/trialmesh/localstore/raw"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/node/wearable"
)

// wearablesDir is the folder of a node's directory with what the site has arranged with
// makers of wearables.
const wearablesDir = "wearables"

// openWearables makes what pulls from makers of wearables.
func (n *Node) openWearables(ctx context.Context) error {
	sealer, err := raw.OpenSealer(filepath.Join(n.cfg.Dir, rawKeyFile))
	if err != nil {
		return err
	}
	n.wearables, err = wearable.Open(ctx, wearable.Config{
		DB: n.db, Loads: n.ingest, Sealer: sealer, Trail: n.trail, Known: n.hasPatient, Dir: filepath.Join(n.cfg.Dir, wearablesDir),
		Log: n.cfg.Logger, Now: n.cfg.Now,
	})
	if err != nil {
		return err
	}
	n.metrics.MustRegister(n.wearables.Collectors()...)
	return nil
}

// pullWearables pulls until ctx ends, unless the node is held: its tokens may have been
// refreshed since the backup, by the node that it was of.
func (n *Node) pullWearables(ctx context.Context) error {
	if n.held.Load() {
		return nil
	}
	return n.wearables.Run(ctx)
}

// hasPatient reports whether a patient is loaded.
func (n *Node) hasPatient(ctx context.Context, patient string) (bool, error) {
	err := n.db.Read(ctx, func(tx *sqldb.Tx) error {
		_, err := n.people.PersonByKey(ctx, tx, mapping.PersonKey(patient))
		return err
	})
	if errors.Is(err, sqldb.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// resealWearables seals the tokens of makers with the newest key.
func resealWearables(ctx context.Context, cfg Config) error {
	sealer, err := raw.OpenSealer(filepath.Join(cfg.Dir, rawKeyFile))
	if err != nil {
		return err
	}
	db, err := sqldb.Open(ctx, sqldb.Config{DSN: cfg.DSN})
	if err != nil {
		return err
	}
	_, err = wearable.Reseal(ctx, db, sealer)
	return errors.Join(err, db.Close())
}
