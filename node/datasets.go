package node

import "github.com/trialmesh/trialmesh/node/dataset"

// openDatasets returns what loads and lists the site's named data sets.
func (n *Node) openDatasets() *dataset.Service {
	return dataset.New(dataset.Config{DB: n.db, Store: n.datasets, People: n.people, Trail: n.trail, Now: n.cfg.Now})
}
