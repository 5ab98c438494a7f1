package query

import (
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Progress is how far a question has got, all of it and not what changed: who misses one
// misses nothing that the next does not say.
type Progress struct {
	Query ID    `json:"query"`
	State State `json:"state" enum:"open,complete,partial,withheld,cancelled"`

	// Step is the one that nodes are asked for, empty once the question is over.
	Step Step `json:"step,omitempty"`

	// Round is that of a method in rounds, from 1, and MaxRounds how many there are at
	// most. Both are 0 for a method of one sum.
	Round     int `json:"round,omitempty"`
	MaxRounds int `json:"maxRounds,omitempty"`

	Deadline time.Time `json:"deadline"`

	// WaitsUntil is how long nodes' people have to approve; absent while none waits for
	// them.
	WaitsUntil *time.Time `json:"waitsUntil,omitempty"`

	// Nodes are those of the trial, in the order of its design.
	Nodes []NodeProgress `json:"nodes" nullable:"false"`
}

// NodeProgress is where one node stands.
type NodeProgress struct {
	Node  identity.DID `json:"node"`
	State NodeState    `json:"state" enum:"working,away,waiting,answered,refused,missing"`

	// Step is the last that the node answered, or, of one that is missing, did not.
	Step Step `json:"step,omitempty"`

	// Rule is the one by which the node refused.
	Rule string `json:"rule,omitempty"`
}

// NodeState says what a node does about a question.
type NodeState string

// The states of a node.
const (
	NodeWorking  NodeState = "working"  // asked, and not answered yet
	NodeAway     NodeState = "away"     // likewise, and not connected as far as the hub knows
	NodeWaiting  NodeState = "waiting"  // its people have to approve first
	NodeAnswered NodeState = "answered" // the present step, or all there was
	NodeRefused  NodeState = "refused"
	NodeMissing  NodeState = "missing" // the question goes on, or ended, without it
)
