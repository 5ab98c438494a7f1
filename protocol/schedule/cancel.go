package schedule

import (
	"fmt"
	"time"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// KindCancellation is the kind of a signed [Cancellation].
const KindCancellation message.Kind = "schedule.cancellation"

// Cancellation ends a schedule: what was not asked yet is not asked any more. Its signer is
// the researcher, or the sponsor of the trial. An occurrence that is open goes on; it is
// cancelled as any question, with a query.Cancellation.
type Cancellation struct {
	Schedule message.Digest `json:"schedule"` // as of [Plan.Digest]

	// Reason says why, in words. It is public.
	Reason string `json:"reason,omitempty"`
}

// ErrCanceller refuses a cancellation by somebody else.
var ErrCanceller = problem.Refusal("schedule.canceller", "a schedule is cancelled by the researcher who signed it, or by the sponsor of its trial")

// Check refuses a cancellation unless its signer is the schedule's researcher or the sponsor.
func (c Cancellation) Check(signer, researcher, sponsor identity.DID) error {
	switch {
	case signer != researcher && signer != sponsor:
		return ErrCanceller
	case len(c.Reason) > query.MaxReason:
		return invalid(fmt.Sprintf("reason: at most %d bytes", query.MaxReason))
	}
	return nil
}

// State is where an occurrence stands.
type State string

// The states. All but the first are final.
const (
	Pending   State = "pending"   // not asked yet
	Asked     State = "asked"     // its question is at the hub
	Missed    State = "missed"    // not asked in time, or refused when it was
	Cancelled State = "cancelled" // the schedule was cancelled before
)

// Miss is the public record that an occurrence was not asked.
type Miss struct {
	Name     string         `json:"name"`
	Schedule message.Digest `json:"schedule"`
	Number   int            `json:"number"`
	Due      time.Time      `json:"due"`
	Rule     string         `json:"rule,omitempty"` // by which it was refused
	Reason   string         `json:"reason"`
}

// Occurrence names what was missed.
func (m Miss) Occurrence() query.Occurrence {
	return query.Occurrence{Name: m.Name, Schedule: m.Schedule, Number: m.Number}
}
