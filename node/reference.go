package node

import (
	"context"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/node/reference"
	"github.com/trialmesh/trialmesh/node/reference/codemap"
	"github.com/trialmesh/trialmesh/node/reference/variable"
)

// openReference opens the site's lists of reference data.
func (n *Node) openReference(ctx context.Context) error {
	kept, err := reference.Open(ctx, n.db)
	if err != nil {
		return err
	}
	n.codes = codemap.New(codemap.Config{Kept: kept, Vocabulary: n.vocab, DB: n.db, People: n.people, Series: n.series})
	n.variables, err = variable.Open(ctx, kept, mapping.New(n.vocab), n.cfg.Now())
	return err
}

// concerned returns those of persons whom a message about consent or a data set names.
func (n *Node) concerned(ctx context.Context, tx *sqldb.Tx, persons []omop.PersonID) ([]omop.PersonID, error) {
	found, err := n.datasets.Concerned(ctx, tx, persons) // in the order of mayMerge
	if err != nil {
		return nil, err
	}
	more, err := n.consents.Concerned(ctx, tx, persons)
	return append(found, more...), err
}
