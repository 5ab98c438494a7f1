package network

import (
	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Evidence returns the hub as whoever verifies its answers reads it, what they trust, and
// what ends the connection.
func (n *Network) Evidence() (source evidence.Source, trust evidence.Trust, end func(), err error) {
	c, err := n.client(n.url, "")
	if err != nil {
		return nil, trust, nil, err
	}
	trust = evidence.Trust{Trust: n.hub.Trust(), Boards: []identity.DID{n.board.DID()}}
	source, err = evidence.NewRemote(c.Origin(), c.HTTP())
	return source, trust, c.Close, err
}
