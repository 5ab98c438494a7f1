package secagg

import (
	"slices"
	"strconv"

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

// ForRound returns the session of a further round of a question that is answered in rounds,
// from 2 on, among the sites whose sum the first round was. All of them must be in the
// sum: over fewer it would be about other persons, and the difference those of a few sites.
func ForRound(id query.ID, round int, sites []identity.DID, words int) (Session, error) {
	members := slices.Clone(sites)
	slices.Sort(members)
	s := Session{
		ID:         digest("round", string(id[:]), strconv.Itoa(round)),
		Members:    members,
		Threshold:  Majority(len(members)),
		MinMembers: len(members),
		Words:      words,
	}
	return s, s.Validate()
}
