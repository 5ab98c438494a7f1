package secagg

import (
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Verify checks that the vector is of the session's length, from somebody on the roster, and
// comes with a box and a commitment for each of the others. What is inside the boxes only
// the addressees can check.
func (m Masked) Verify(s Session, roster Roster) error {
	_, found := roster.find(m.From)
	switch {
	case m.Session != s.Digest():
		return fmt.Errorf("masked vector of %s: %w", m.From.Short(), ErrSession)
	case len(m.Vector) != s.Words:
		return fmt.Errorf("masked vector of %s: %w", m.From.Short(), ErrVector)
	case !found || len(m.Boxes) != len(roster.Members)-1 || len(m.Pairs) != len(m.Boxes):
		return fmt.Errorf("masked vector of %s: not one share for each of the others: %w", m.From.Short(), ErrShare)
	}
	if err := checkBoxes(m.Boxes); err != nil {
		return fmt.Errorf("masked vector of %s: %w: %w", m.From.Short(), err, ErrShare)
	}
	return nil
}

// Inboxes is the hub's step after round 1: what each survivor is to be given. The
// survivors are the senders of the vectors, ascending. It fails with
// [ErrTooFewMembers] while there are fewer than the session demands.
func Inboxes(s Session, roster Roster, masked []Masked) (map[identity.DID]Inbox, error) {
	survivors, err := survivorsOf(s, roster, masked)
	if err != nil {
		return nil, fmt.Errorf("make inboxes: %w", err)
	}
	session := s.Digest()
	inboxes := make(map[identity.DID]Inbox, len(masked))
	for _, to := range survivors {
		in := Inbox{Session: session}
		for _, m := range masked {
			if m.From != to {
				in.Boxes = append(in.Boxes, m.Boxes[roster.other(m.From, to)])
			}
		}
		inboxes[to] = in
	}
	return inboxes, nil
}

// survivorsOf checks the vectors, which are in the order of their senders, and returns these.
func survivorsOf(s Session, roster Roster, masked []Masked) ([]identity.DID, error) {
	survivors := make([]identity.DID, len(masked))
	for i, m := range masked {
		if err := m.Verify(s, roster); err != nil {
			return nil, err
		}
		survivors[i] = m.From
	}
	return survivors, checkSurvivors(s, roster, survivors)
}

// other returns the place of a member among all but from, who are in the order of the roster.
func (r Roster) other(from, member identity.DID) int {
	i, _ := r.find(member)
	if member > from {
		i--
	}
	return i
}

// Sum is the hub's last step: the sum, modulo 2^64, of the vectors of the
// members in masked, who are the survivors, ascending; reveals are the answers of round 2.
// The roster is one of [NewRoster], or that a member acted on. Messages must come from whom they name,
// which the transport has to ensure.
//
// It fails with [ErrTooFewMembers] while fewer members than the threshold have
// revealed, or somebody dropped out and not all survivors have; and with [ErrUnmask],
// naming the owner of the secret, if what was revealed is not what that owner committed to.
func Sum(s Session, roster Roster, masked []Masked, reveals []Reveal) ([]uint64, error) {
	u, err := newUnmasking(s, roster, masked, reveals)
	if err != nil {
		return nil, fmt.Errorf("sum: %w", err)
	}
	sum := make([]uint64, s.Words)
	for _, m := range masked {
		for i, w := range m.Vector {
			sum[i] += w
		}
		if err := u.removeSelfMask(sum, m.From); err != nil {
			return nil, fmt.Errorf("sum: %w", err)
		}
		if err := u.removePairMasks(sum, m); err != nil {
			return nil, fmt.Errorf("sum: %w", err)
		}
	}
	return sum, nil
}

// unmasking is the checked input of Sum.
type unmasking struct {
	session   Session
	of        message.Digest // of session
	roster    Roster
	survivors []identity.DID          // ascending
	dropped   []identity.DID          // the rest of the roster, ascending
	points    []int                   // where the revealed shares lie, as many as the threshold
	shares    [][]Share               // by point, then of the survivors in their order
	seeds     map[identity.DID][]Seed // of masks with the dropped in their order, by who revealed them
}

func newUnmasking(s Session, roster Roster, masked []Masked, reveals []Reveal) (*unmasking, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	u := &unmasking{session: s, of: s.Digest(), roster: roster, seeds: map[identity.DID][]Seed{}}
	var err error
	if u.survivors, err = survivorsOf(s, roster, masked); err != nil {
		return nil, err
	}
	u.dropped = slices.DeleteFunc(roster.names(), func(d identity.DID) bool {
		_, survived := slices.BinarySearch(u.survivors, d)
		return survived
	})
	return u, u.collect(reveals)
}

// collect takes the shares of the first reveals, as many as the threshold, and the seeds of
// all.
func (u *unmasking) collect(reveals []Reveal) error {
	for _, r := range reveals {
		_, survived := slices.BinarySearch(u.survivors, r.From)
		_, again := u.seeds[r.From]
		switch {
		case r.Session != u.of:
			return fmt.Errorf("reveal of %s: %w", r.From.Short(), ErrSession)
		case !survived || again:
			return fmt.Errorf("reveal of %s, who is no survivor or came twice: %w", r.From.Short(), ErrSurvivors)
		case len(r.Shares) != len(u.survivors) || len(r.Seeds) != len(u.dropped):
			return fmt.Errorf("reveal of %s is for other survivors: %w", r.From.Short(), ErrSurvivors)
		}
		u.seeds[r.From] = r.Seeds
		if len(u.points) < u.session.Threshold {
			place, _ := u.roster.find(r.From)
			u.points, u.shares = append(u.points, place+1), append(u.shares, r.Shares)
		}
	}
	needed := u.session.Threshold
	if len(u.dropped) > 0 {
		needed = len(u.survivors)
	}
	if len(u.seeds) < needed {
		return fmt.Errorf("%d members revealed of %d, as %d dropped out: %w", len(u.seeds), needed, len(u.dropped), ErrTooFewMembers)
	}
	return nil
}

// removeSelfMask takes a survivor's own mask off the sum.
func (u *unmasking) removeSelfMask(sum []uint64, survivor identity.DID) error {
	k, _ := slices.BinarySearch(u.survivors, survivor)
	shares := make([]Share, len(u.points))
	for i := range shares {
		shares[i] = u.shares[i][k]
	}
	place, _ := u.roster.find(survivor)
	seed, err := combine(u.points, shares)
	if err != nil || commitTo(u.of, survivor, seed) != u.roster.Members[place].Commitment {
		return fmt.Errorf("self mask of %s: %w", survivor.Short(), ErrUnmask)
	}
	newStream(selfMaskKey(u.of, survivor, seed)).add(sum, minus)
	return nil
}

// removePairMasks takes off what a survivor's masks with the dropped left in the sum.
func (u *unmasking) removePairMasks(sum []uint64, m Masked) error {
	for k, with := range u.dropped {
		seed := u.seeds[m.From][k]
		if commitToPair(u.of, m.From, with, seed) != m.Pairs[u.roster.other(m.From, with)] {
			return fmt.Errorf("mask of %s with %s: %w", m.From.Short(), with.Short(), ErrUnmask)
		}
		newStream(seed).add(sum, -sign(m.From, with))
	}
	return nil
}
