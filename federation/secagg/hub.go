package secagg

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// Inboxes is the hub's step after round 1: what each dealer is to be given. The
// keys of the map are the dealers. It fails with [ErrTooFewMembers] while there
// are fewer than the session demands.
func Inboxes(s Session, roster Roster, shares []Shares) (map[identity.DID]Inbox, error) {
	if len(shares) < s.least() {
		return nil, fmt.Errorf("make inboxes: %d dealers of %d: %w", len(shares), s.least(), ErrTooFewMembers)
	}
	session := s.Digest()
	inboxes := make(map[identity.DID]Inbox, len(shares))
	for _, dealer := range shares {
		if _, repeated := inboxes[dealer.From]; repeated {
			return nil, fmt.Errorf("make inboxes: %s dealt twice: %w", dealer.From.Short(), ErrShare)
		}
		if err := dealer.Verify(s, roster); err != nil {
			return nil, fmt.Errorf("make inboxes: %w", err)
		}
		inboxes[dealer.From] = Inbox{Session: session}
	}
	for _, dealer := range shares {
		for _, b := range dealer.Boxes {
			if in, deals := inboxes[b.To]; deals {
				in.Boxes = append(in.Boxes, b)
				inboxes[b.To] = in
			}
		}
	}
	for _, in := range inboxes {
		slices.SortFunc(in.Boxes, func(a, b Box) int { return cmp.Compare(a.From, b.From) })
	}
	return inboxes, nil
}

// Verify checks that there is one box for everyone on the roster but the
// sender. What is inside only the addressees can check.
func (s Shares) Verify(session Session, roster Roster) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("shares of %s: %w: %w", s.From.Short(), err, ErrShare)
	}
	if s.Session != session.Digest() {
		return fmt.Errorf("shares of %s: %w", s.From.Short(), ErrSession)
	}
	others := slices.DeleteFunc(roster.names(), func(name identity.DID) bool { return name == s.From })
	matches := func(b Box, name identity.DID) bool { return b.To == name }
	if len(others) == len(roster.Members) || !slices.EqualFunc(s.Boxes, others, matches) {
		return fmt.Errorf("shares of %s: not one for each of the others: %w", s.From.Short(), ErrShare)
	}
	return nil
}

// Sum is the hub's last step: the sum, modulo 2^64, of the vectors of the
// members in masked, who are the survivors. Dealers, ascending, are the members
// to whom [Inboxes] gave boxes; reveals are the answers of round 4. Messages
// must come from whom they name, which the transport has to ensure.
//
// It fails with [ErrTooFewMembers] while fewer members than the threshold have
// revealed, and with [ErrUnmask], naming the owner of the secret, if shares do
// not rebuild what that owner advertised.
func Sum(s Session, roster Roster, dealers []identity.DID, masked []Masked, reveals []Reveal) ([]uint64, error) {
	u, err := newUnmasking(s, roster, dealers, masked, reveals)
	if err != nil {
		return nil, fmt.Errorf("sum: %w", err)
	}
	sum := make([]uint64, s.Words)
	for _, m := range masked {
		for i, w := range m.Vector {
			sum[i] += w
		}
	}
	for _, dealer := range dealers {
		if _, survived := slices.BinarySearch(u.survivors, dealer); survived {
			err = u.removeSelfMask(sum, dealer)
		} else {
			err = u.removePairMasks(sum, dealer)
		}
		if err != nil {
			return nil, fmt.Errorf("sum: %w", err)
		}
	}
	return sum, nil
}

// unmasking is the checked input of Sum.
type unmasking struct {
	session   Session
	roster    Roster
	survivors []identity.DID // ascending
	points    []int          // where the revealed shares lie, as many as the threshold
	seeds     map[identity.DID][]Share
	keys      map[identity.DID][]Share
}

func newUnmasking(s Session, roster Roster, dealers []identity.DID, masked []Masked, reveals []Reveal) (*unmasking, error) {
	if err := roster.verify(s); err != nil {
		return nil, err
	}
	if err := checkSet(dealers); err != nil {
		return nil, fmt.Errorf("dealers: %w", err)
	}
	for _, d := range dealers {
		if _, found := roster.find(d); !found {
			return nil, fmt.Errorf("dealer %s: %w", d.Short(), ErrRoster)
		}
	}
	u := &unmasking{session: s, roster: roster, seeds: map[identity.DID][]Share{}, keys: map[identity.DID][]Share{}}
	session := s.Digest()
	for _, m := range masked {
		if m.Session != session {
			return nil, fmt.Errorf("masked vector of %s: %w", m.From.Short(), ErrSession)
		}
		if len(m.Vector) != s.Words {
			return nil, fmt.Errorf("masked vector of %s: %w", m.From.Short(), ErrVector)
		}
		u.survivors = append(u.survivors, m.From)
	}
	slices.Sort(u.survivors)
	if err := checkSurvivors(s, dealers, u.survivors); err != nil {
		return nil, err
	}
	return u, u.collect(dealers, reveals)
}

// collect takes the shares of the first reveals, as many as the threshold.
func (u *unmasking) collect(dealers []identity.DID, reveals []Reveal) error {
	dropped := slices.DeleteFunc(slices.Clone(dealers), func(d identity.DID) bool {
		_, survived := slices.BinarySearch(u.survivors, d)
		return survived
	})
	session := u.session.Digest()
	for _, r := range reveals {
		_, survived := slices.BinarySearch(u.survivors, r.From)
		place, _ := u.roster.find(r.From)
		switch {
		case r.Session != session:
			return fmt.Errorf("reveal of %s: %w", r.From.Short(), ErrSession)
		case !survived || slices.Contains(u.points, place+1):
			return fmt.Errorf("reveal of %s, who is no survivor or came twice: %w", r.From.Short(), ErrSurvivors)
		case !slices.Equal(owners(r.SelfMasks), u.survivors) || !slices.Equal(owners(r.MaskKeys), dropped):
			return fmt.Errorf("reveal of %s is for other survivors: %w", r.From.Short(), ErrSurvivors)
		}
		if len(u.points) == u.session.Threshold {
			continue
		}
		u.points = append(u.points, place+1)
		for _, share := range r.SelfMasks {
			u.seeds[share.Of] = append(u.seeds[share.Of], share.Share)
		}
		for _, share := range r.MaskKeys {
			u.keys[share.Of] = append(u.keys[share.Of], share.Share)
		}
	}
	if len(u.points) < u.session.Threshold {
		return fmt.Errorf("%d members revealed of %d: %w", len(u.points), u.session.Threshold, ErrTooFewMembers)
	}
	return nil
}

// removeSelfMask takes a survivor's own mask off the sum.
func (u *unmasking) removeSelfMask(sum []uint64, survivor identity.DID) error {
	session := u.session.Digest()
	place, _ := u.roster.find(survivor)
	seed, err := combine(u.points, u.seeds[survivor])
	if err != nil || commitTo(session, survivor, seed) != u.roster.Members[place].Commitment {
		return fmt.Errorf("self mask of %s: %w", survivor.Short(), ErrUnmask)
	}
	newStream(selfMaskKey(session, survivor, seed)).add(sum, minus)
	return nil
}

// removePairMasks takes off what the survivors' masks with a dropped member
// left in the sum.
func (u *unmasking) removePairMasks(sum []uint64, dropped identity.DID) error {
	session := u.session.Digest()
	place, _ := u.roster.find(dropped)
	private, err := combine(u.points, u.keys[dropped])
	if err != nil {
		return fmt.Errorf("mask key of %s: %w", dropped.Short(), ErrUnmask)
	}
	key, err := x25519(private)
	if err != nil || PublicKey(key.PublicKey().Bytes()) != u.roster.Members[place].MaskKey {
		return fmt.Errorf("mask key of %s: %w", dropped.Short(), ErrUnmask)
	}
	for _, survivor := range u.survivors {
		i, _ := u.roster.find(survivor)
		shared, err := agree(key, u.roster.Members[i].MaskKey)
		if err != nil {
			return fmt.Errorf("masks of %s with %s: %w", dropped.Short(), survivor.Short(), err)
		}
		// The survivor used the opposite of the dropped member's sign.
		newStream(pairMaskKey(session, shared, dropped, survivor)).add(sum, sign(dropped, survivor))
	}
	return nil
}
