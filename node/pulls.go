package node

import (
	"context"
	"path/filepath"

	"github.com/trialmesh/trialmesh/node/pull"
)

// pullsDir is the folder of a node's directory with its pulls, made by the site, and their
// keys.
const pullsDir = "pulls"

// PullsDir returns the folder of the pulls of the node whose directory is dir.
func PullsDir(dir string) string { return filepath.Join(dir, pullsDir) }

// openPulls makes what fetches from the site's FHIR servers.
func (n *Node) openPulls(ctx context.Context) error {
	var err error
	n.pulls, err = pull.Open(ctx, pull.Config{DB: n.db, Loads: n.ingest, Dir: PullsDir(n.cfg.Dir), Log: n.cfg.Logger, Now: n.cfg.Now})
	if err != nil {
		return err
	}
	n.metrics.MustRegister(n.pulls.Collectors()...)
	return nil
}
