package wearable

import (
	"errors"
	"strings"
	"time"

	maker "github.com/trialmesh/trialmesh/connectors/partner/wearable"
	"github.com/trialmesh/trialmesh/protocol/cron"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// State is whether a connection can be used.
type State string

// The states.
const (
	Connected State = "connected"
	Over      State = "needs connecting again" // by the patient; nothing is asked for until then
)

// Connection is an account of a patient at a maker.
type Connection struct {
	ID       int64
	Maker    string
	Patient  string // id of the FHIR Patient
	Timezone string // IANA name of the account's zone, empty if not told
	State    State

	Connected time.Time
	Asked     time.Time // when the site last asked for a pull
	Began     time.Time // the last attempt; zero for none, as below
	Ended     time.Time
	Success   time.Time // when everything was last asked for
	Next      time.Time // when it falls due; zero for on request. Of [Service.List] only
	Pulling   bool      // now
	Error     string    // of the last attempt, without a value; empty for none

	since    time.Time
	retry    time.Time
	failures int
	account  string
	tokens   []byte // sealed
	until    time.Time
}

// due is when a connection is to be pulled, zero for never. What the site asked for and what
// a process left undone is due at once. A pull that a schedule missed is made up for once.
func (c Connection) due(schedule cron.Schedule) time.Time {
	switch {
	case c.State != Connected:
		return time.Time{}
	case c.Began.After(c.Ended):
		return c.Began
	case c.Began.IsZero(), c.Asked.After(c.Began):
		return c.Asked
	case !c.retry.IsZero():
		return c.retry
	}
	return schedule.Next(c.Began)
}

// held reports whether somebody has the lease.
func (c Connection) held(now time.Time) bool { return c.until.After(now) }

// use is what the tokens of a connection are sealed for.
func (c Connection) use() string { return sealedFor(c.Maker, c.Patient) }

func sealedFor(maker, patient string) string { return "wearable tokens of " + maker + "/" + patient }

// What the site's requests meet.
var (
	errMaker   = problem.New(problem.Invalid, "no such maker: want "+strings.Join(maker.Makers(), ", "))
	errUnknown = problem.New(problem.NotFound, "no such connection")
	errPatient = problem.New(problem.NotFound, "no such patient is loaded at this site")
	errSetUp   = problem.New(problem.NotFound, "the site has not set this maker up: its settings are MAKER.yaml and MAKER.secret in the folder wearables of the node")
	errZone    = problem.New(problem.Invalid, "timezone: want the IANA name of the account's time zone, such as Europe/Berlin; this maker's clocks say nothing without it")
	errOver    = problem.New(problem.Conflict, "the connection needs connecting again")
	errBusy    = problem.New(problem.Conflict, "somebody else is at this connection: try again in two minutes")
	errSince   = problem.New(problem.Invalid, "since: want a day from 2000-01-01 on that is not in the future")

	errState    = problem.New(problem.Refused, "the redirect is not the answer to an authorization that this node asked for and waits for: connect again, and open the new URL")
	errRedirect = problem.New(problem.Refused, "the URL is not a redirect to the one that the application is registered with")
	errCode     = problem.New(problem.Refused, "the maker does not take the code of the redirect: it is old or was used; connect again")
	errElse     = problem.New(problem.Conflict, "this account is connected for another patient: nothing was changed. If it is passed on, disconnect that patient first")
	errAccount  = problem.New(problem.Conflict, "the patient is connected with another account: disconnect that first. The one that allowed it now may take the access away in its settings")

	// errLost ends what is done with a connection that is somebody else's by now, or gone.
	errLost = errors.New("the connection was taken over or is gone")
)
