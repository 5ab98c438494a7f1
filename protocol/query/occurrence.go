package query

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// MaxOccurrences is how often a schedule asks its question at most.
const MaxOccurrences = 400

// Occurrence says that a request is one occurrence of a recurring question; see package
// schedule. The researcher signed it with the others in advance, and only the hub that keeps
// the schedule brings it to the nodes. It is no part of [Request.Question]: every occurrence
// asks the same.
type Occurrence struct {
	Name     string         `json:"name"`     // of the schedule
	Schedule message.Digest `json:"schedule"` // the plan's, as of schedule.Plan.Digest
	Number   int            `json:"number"`   // from 1
}

// Validate reports the first thing that is wrong with the form of o.
func (o Occurrence) Validate() error {
	if !PartName(o.Name) || o.Schedule.IsZero() || o.Number < 1 || o.Number > MaxOccurrences {
		return problem.New(problem.Invalid, "query: schedule: the name, digest or number of the occurrence is malformed")
	}
	return nil
}

// String names the occurrence as people write it, NAME/NUMBER.
func (o Occurrence) String() string { return fmt.Sprintf("%s/%d", o.Name, o.Number) }
