package node

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/node/outbox"
)

// endpointsDir is the folder of a node's directory with the EHRs that it may write to, made by
// the site, and their keys.
const endpointsDir = "endpoints"

// EndpointsDir returns the folder of the endpoints of the node whose directory is dir.
func EndpointsDir(dir string) string { return filepath.Join(dir, endpointsDir) }

// openOutbox makes what writes to the site's EHRs.
func (n *Node) openOutbox(ctx context.Context) error {
	var err error
	n.outbox, err = outbox.Open(ctx, outbox.Config{
		DB: n.db, Jobs: n.queue, Dir: EndpointsDir(n.cfg.Dir), System: string(n.DID()), Secret: n.home.secret[:], Held: n.held.Load(),
		Known: n.knows, Log: n.cfg.Logger, Now: n.cfg.Now,
	})
	if err != nil {
		return err
	}
	n.metrics.MustRegister(n.outbox.Collectors()...)
	return nil
}

// knows reports whether the patient with a FHIR id is loaded.
func (n *Node) knows(ctx context.Context, tx *sqldb.Tx, patient string) (bool, error) {
	_, err := n.people.PersonByKey(ctx, tx, mapping.PersonKey(patient))
	if errors.Is(err, sqldb.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
