package query

import (
	"time"

	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/trial"
)

// State is where a question stands.
type State string

// The states. All but the first are final.
const (
	Open      State = "open"
	Complete  State = "complete"  // every node of the trial answered
	Partial   State = "partial"   // enough nodes answered; the result names the others
	Withheld  State = "withheld"  // nothing may be released; Reason says why
	Cancelled State = "cancelled" // nothing is released; Cancelled holds who said so
)

// Final reports whether a question in this state is over.
func (s State) Final() bool { return s.Released() || s == Withheld || s == Cancelled }

// Released reports whether a result in this state has numbers.
func (s State) Released() bool { return s == Complete || s == Partial }

// Result is the public answer to a question.
type Result struct {
	Query ID       `json:"query"`
	Trial trial.ID `json:"trial"`
	State State    `json:"state"`

	// Reason says why nothing was released, in words, with the rule.
	Reason string `json:"reason,omitempty"`

	// Cancelled is the signed [Cancellation] of a question that was cancelled.
	Cancelled *message.Envelope `json:"cancelled,omitempty"`

	Asked    time.Time `json:"asked"`
	Finished time.Time `json:"finished"`

	Answered []Answered `json:"answered"`
	Refused  []Refused  `json:"refused,omitempty"`
	Missing  []Missing  `json:"missing,omitempty"`

	// Policy is the strictest of the answering nodes' policies.
	Policy disclosure.Policy `json:"policy"`

	Cells []Cell `json:"cells,omitempty"`

	// Outcome is that of a method in rounds, in place of cells.
	Outcome

	// Rounds is how many sums a method in rounds took.
	Rounds int `json:"rounds,omitempty"`

	// Total is over all cells that are not withheld. An attrition, whose cells hold the
	// same persons, has none.
	Total *Cell `json:"total,omitempty"`

	// WithheldCells counts the cells that are withheld.
	WithheldCells int `json:"withheldCells"`

	// MaxRoundingError is how far the count of one cell may be from the exact one
	// because each site rounds; a total over n cells may be n times as far.
	MaxRoundingError float64 `json:"maxRoundingError"`

	// MaxNoiseSD bounds the standard deviation of the noise in the count of one cell,
	// where Policy says that there is noise; that of a total over n cells is at most √n
	// times as much.
	MaxNoiseSD float64 `json:"maxNoiseSd,omitempty"`

	// Repeats names the earlier question whose answer this is.
	Repeats *ID `json:"repeats,omitempty"`
}

// Answered is a node whose numbers are in the sum.
type Answered struct {
	Node identity.DID `json:"node"`

	// Epoch is the consent epoch the node answered under.
	Epoch message.Digest `json:"epoch"`

	// Commitment is what the node's access proof must open.
	Commitment Commitment `json:"commitment"`

	// AtLeast is the least number of records the proof must show: the cell
	// threshold of the node's policy.
	AtLeast int `json:"atLeast"`

	// Leave says who let the question pass at the node; nodes of before there were
	// approvals say nothing.
	Leave *Leave `json:"leave,omitempty"`

	// Figures are there if the question asks for them to be proved.
	Figures *Figures `json:"figures,omitempty"`
}

// Cell is one cell of the answer.
type Cell struct {
	// Levels are the names of the cell's levels, in the order of [Request.Axes].
	Levels []string `json:"levels"`

	// N is the number of persons over the sites that released the cell, rounded
	// as the policy says.
	N int64 `json:"n"`

	// SitesWithheld is how many sites had somebody here but fewer than MinCell,
	// before or after rounding, or hid the cell for another of the policy's rules.
	SitesWithheld int `json:"sitesWithheld"`

	// Withheld says that fewer sites than the policy's MinSites gave a number,
	// so that none is shown: N is 0.
	Withheld bool `json:"withheld"`

	// Mean and SD (n-1) are there for moments, when N allows them.
	Mean *float64 `json:"mean,omitempty"`
	SD   *float64 `json:"sd,omitempty"`

	// Where there is noise, bounds of its standard deviation in Mean and in SD.
	MeanNoiseSD *float64 `json:"meanNoiseSd,omitempty"`
	SDNoiseSD   *float64 `json:"sdNoiseSd,omitempty"`
}
