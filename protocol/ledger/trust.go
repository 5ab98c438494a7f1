package ledger

import (
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/enrollment"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Trust is what a reader has to know beforehand to check everything else: who
// signs the log, and where the chain and its contracts are. It is handed over
// on another way than the log itself.
type Trust struct {
	Hub identity.DID `json:"hub"`

	// Origin and LogKey name the log and its key (a C2SP signed-note verifier key).
	Origin string `json:"origin"`
	LogKey string `json:"logKey"`

	// ChainID and the addresses (0x and 40 hex digits) are of the contracts;
	// zero and empty until the hub has deployed them. A network without a chain
	// has id 0 and the address 0 for the access log.
	ChainID      uint64 `json:"chainId,omitempty"`
	HubAnchor    string `json:"hubAnchor,omitempty"`
	ConsentRoots string `json:"consentRoots,omitempty"`
	AccessLog    string `json:"accessLog,omitempty"`
}

// NetworkProtocol is the name under which the hub tells its nodes about the
// network: nothing in, a [Network] out.
const NetworkProtocol = "/trialmesh/network/1"

// Network is what a hub tells its nodes. Nodes take from it what they could not
// be harmed by: who else is there, and which keys to prove with.
type Network struct {
	Trust    Trust             `json:"trust"`
	Nodes    []identity.DID    `json:"nodes"` // admitted, not revoked
	Circuits []Circuit         `json:"circuits"`
	Policy   disclosure.Policy `json:"policy"` // the hub's own

	// URLs are the origins of the API of each of the hub's replicas, absent if it has one.
	URLs []string `json:"urls,omitempty"`

	// People names who shares the key by which people are told apart, absent of a hub that
	// enrolls nobody.
	People *enrollment.PersonKey `json:"people,omitempty"`

	// Last is the newest answer by which the node that asks accepted a question, absent if there
	// is none.
	Last *message.Envelope `json:"last,omitempty"`
}
