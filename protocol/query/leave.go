package query

import (
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// Leave says by whose leave a node answered a question: its own policy's, and
// that of the site's people where the policy asked for it.
type Leave struct {
	// Policy is the digest of the rules that decided, by which the site can show them.
	Policy message.Digest `json:"policy"`

	// Verdicts are the digests of the signed envelopes in which people of the site
	// approved, in the order of the gates: before the run, before the release. None
	// if the policy decided alone.
	Verdicts []message.Digest `json:"verdicts,omitempty"`

	// Approvers are the signers of Verdicts, in their order, where the policy lets
	// their names be public.
	Approvers []identity.DID `json:"approvers,omitempty"`
}

// MaxVerdicts is how many gates there are.
const MaxVerdicts = 2

// Validate refuses what no node can mean.
func (l Leave) Validate() error {
	if l.Policy.IsZero() || len(l.Verdicts) > MaxVerdicts || len(l.Approvers) > 0 && len(l.Approvers) != len(l.Verdicts) {
		return problem.New(problem.Invalid, "query: leave: a policy, and up to two verdicts with all of their approvers or none")
	}
	for _, approver := range l.Approvers {
		if _, err := approver.PublicKey(); err != nil {
			return problem.New(problem.Invalid, "query: leave: an approver is not a did:key")
		}
	}
	return nil
}
