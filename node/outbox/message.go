package outbox

import (
	"time"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// State is what has become of a message.
type State string

// The states.
const (
	Waiting   State = "waiting"   // to be sent, for the first time or again
	Delivered State = "delivered" // the EHR has it
	Failed    State = "failed"    // the EHR refused it, or was in trouble for too long
	Cancelled State = "cancelled" // by the site
)

// ID numbers the messages of a node.
type ID int64

// Message is a resource on its way to an endpoint, without its content.
type Message struct {
	ID         ID
	Endpoint   string
	Type       string // of the resource
	Identifier string // value of the node's identifier in it
	State      State

	Asked    time.Time
	Tried    time.Time // when the latest attempt began, zero for never
	Next     time.Time // when the next one is due, zero for none that is known
	Ended    time.Time // zero while it waits
	Attempts int

	Reference string // such as Task/17, what the EHR calls it; empty if that is not known
	Error     string // of the last attempt that failed

	job int64
}

// What the site's requests meet.
var (
	errNoEndpoint = problem.New(problem.NotFound, "no such endpoint: its settings are NAME.yaml in the folder endpoints of the node")
	errNoMessage  = problem.New(problem.NotFound, "no such message")
	errNoPatient  = problem.New(problem.NotFound, "a patient of whom a resource tells is not loaded at this site")
	errEnded      = problem.New(problem.Conflict, "the message is not waiting")
	errUnderWay   = problem.New(problem.Conflict, "the message is being sent at the moment: see in a while what became of it")
	errOver       = problem.New(problem.Conflict, "there is nothing to retry: the EHR has a message that was delivered, and what is wrong in it is corrected there, or by sending another resource; one that was cancelled is sent anew by sending its resource again")
)
