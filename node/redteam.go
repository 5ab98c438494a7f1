package node

import (
	"context"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/redteam"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
)

// redTeam attacks a release gate with the site's own persons and policy and a memory
// that is thrown away.
func (n *Node) redTeam(ctx context.Context) (redteam.Report, error) {
	var persons []omop.PersonID
	err := n.db.Read(ctx, func(tx *sqldb.Tx) error {
		for p, err := range n.people.Persons(ctx, tx) {
			if err != nil {
				return err
			}
			persons = append(persons, p.ID)
		}
		return nil
	})
	if err != nil {
		return redteam.Report{}, err
	}
	return redteam.Run(ctx, redteam.Config{
		Dir: n.cfg.Dir, Policy: disclosure.Strictest(n.cfg.Policy, n.network.Policy()), Persons: persons, Now: n.cfg.Now,
	})
}
