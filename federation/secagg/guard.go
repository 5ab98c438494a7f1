package secagg

import (
	"context"

	"github.com/trialmesh/trialmesh/protocol/message"
)

// Guard is the memory that keeps a member honest to itself across restarts.
// The masks of a session are always the same, so a member that masked two
// vectors, or helped to unmask two sets of survivors, would give its numbers
// away.
type Guard interface {
	// Once records value for the step of the session with this ID and returns
	// nil; or returns nil if exactly this value is recorded already; or returns
	// [ErrChanged] if another one is. A recorded value is durable before Once
	// returns, or before anything leaves the site that the member returned after it:
	// a caller may write a step's values together, and drops the step's message if
	// one has changed. Calls for one session may be concurrent. Records may be dropped
	// once the question can no longer be asked.
	Once(ctx context.Context, session message.Digest, step string, value message.Digest) error
}

// Steps that a member commits to, each at most once per session.
const (
	stepSession   = "session"   // members, threshold, length
	stepRoster    = "roster"    // whose masks are in, and who holds shares
	stepVector    = "vector"    // what was masked
	stepSurvivors = "survivors" // whose sum may be revealed
)
