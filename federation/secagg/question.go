package secagg

import (
	"slices"

	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// ForQuestion returns the session in which the nodes of a trial answer a
// question with vectors of the given number of words. Hub and nodes each build
// it from the question and the signed trial, and so agree without asking.
func ForQuestion(id query.ID, nodes []identity.DID, policy disclosure.Policy, words int) (Session, error) {
	members := slices.Clone(nodes)
	slices.Sort(members)
	s := Session{
		ID:         id,
		Members:    members,
		Threshold:  Majority(len(members)),
		MinMembers: max(MinMembers, policy.MinSites),
		Words:      words,
	}
	return s, s.Validate()
}
