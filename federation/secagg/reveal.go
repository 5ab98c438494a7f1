package secagg

import (
	"context"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Confirm is what comes before round 2 if the survivors, ascending, are not the whole
// roster: this member's word that it will help to reveal their sum, and no other. It refuses
// a set that is not of members of the roster, that leaves this member out, or that is
// smaller than the session demands, and any second set.
func (m *Member) Confirm(ctx context.Context, roster Roster, survivors []identity.DID) (Confirmation, error) {
	t, err := m.accept(ctx, roster)
	if err != nil {
		return Confirmation{}, fmt.Errorf("confirm: %w", err)
	}
	if err := m.settle(ctx, t, survivors); err != nil {
		return Confirmation{}, fmt.Errorf("confirm: %w", err)
	}
	signature := m.identity.Sign(confirmed(m.digest, t.of, survivors))
	return Confirmation{Session: m.digest, From: m.self, Signature: signature}, nil
}

// settle checks the survivors and commits to them.
func (m *Member) settle(ctx context.Context, t *table, survivors []identity.DID) error {
	if err := checkSurvivors(m.session, t.roster, survivors); err != nil {
		return err
	}
	if !slices.Contains(survivors, m.self) {
		return fmt.Errorf("%s is not among the survivors: %w", m.self.Short(), ErrSurvivors)
	}
	return m.commit(ctx, stepSurvivors, digest("survivors", list(survivors)))
}

// checkSurvivors checks what every member sees alike.
func checkSurvivors(s Session, roster Roster, survivors []identity.DID) error {
	if err := checkSet(survivors); err != nil {
		return fmt.Errorf("survivors: %w: %w", err, ErrSurvivors)
	}
	for _, d := range survivors {
		if _, found := roster.find(d); !found {
			return fmt.Errorf("survivor %s is not on the roster: %w", d.Short(), ErrSurvivors)
		}
	}
	if len(survivors) < s.least() {
		return fmt.Errorf("%d survivors of %d: %w", len(survivors), s.least(), ErrTooFewMembers)
	}
	return nil
}

// confirmed returns the bytes under a confirmation's signature, of the session and the
// roster with these digests.
func confirmed(session, roster message.Digest, survivors []identity.DID) []byte {
	return encode("confirmation", string(session[:]), string(roster[:]), list(survivors))
}

// Verify checks that the sender, one of the survivors, confirmed them.
func (c Confirmation) Verify(s Session, roster Roster, survivors []identity.DID) error {
	session := s.Digest()
	return c.verify(session, survivors, confirmed(session, roster.digest(), survivors))
}

// verify checks that the sender, one of the survivors, signed what was to be confirmed.
func (c Confirmation) verify(session message.Digest, survivors []identity.DID, signed []byte) error {
	if _, found := slices.BinarySearch(survivors, c.From); !found {
		return fmt.Errorf("confirmation of %s, who is not a survivor: %w", c.From.Short(), ErrConfirmations)
	}
	if c.Session != session {
		return fmt.Errorf("confirmation of %s: %w", c.From.Short(), ErrSession)
	}
	if identity.Verify(c.From, signed, c.Signature) != nil {
		return fmt.Errorf("confirmation of %s: %w", c.From.Short(), ErrSignature)
	}
	return nil
}

// Unmask is round 2: it reveals this member's share of the self mask of each survivor, and
// the masks it has in common with the rest of the roster; of nobody both. Inbox holds the
// boxes of the other survivors. If the survivors are the whole roster it needs no
// confirmations; otherwise it refuses unless as many distinct survivors as the threshold
// confirmed exactly this set. All confirmations given must be valid; they may be in any
// order.
func (m *Member) Unmask(ctx context.Context, roster Roster, survivors []identity.DID, confirmations []Confirmation, inbox Inbox) (Reveal, error) {
	t, err := m.accept(ctx, roster)
	if err != nil {
		return Reveal{}, fmt.Errorf("unmask: %w", err)
	}
	if err := checkSurvivors(m.session, t.roster, survivors); err != nil {
		return Reveal{}, fmt.Errorf("unmask: %w", err)
	}
	if err := m.agreed(t, survivors, confirmations); err != nil {
		return Reveal{}, fmt.Errorf("unmask: %w", err)
	}
	out := Reveal{Session: m.digest, From: m.self}
	if out.Shares, err = m.unpack(t, survivors, inbox); err != nil {
		return Reveal{}, fmt.Errorf("unmask: %w", err)
	}
	if err := m.settle(ctx, t, survivors); err != nil {
		return Reveal{}, fmt.Errorf("unmask: %w", err)
	}
	for i, peer := range t.roster.Members {
		if _, survived := slices.BinarySearch(survivors, peer.From); !survived {
			out.Seeds = append(out.Seeds, m.pairSeed(t, i))
		}
	}
	return out, nil
}

// agreed checks that the survivors are the whole roster, or that enough of them confirmed.
func (m *Member) agreed(t *table, survivors []identity.DID, confirmations []Confirmation) error {
	seen, signed := make(map[identity.DID]bool), confirmed(m.digest, t.of, survivors)
	for _, c := range confirmations {
		if seen[c.From] {
			return fmt.Errorf("%s confirmed twice: %w", c.From.Short(), ErrConfirmations)
		}
		seen[c.From] = true
		if err := c.verify(m.digest, survivors, signed); err != nil {
			return err
		}
	}
	if whole := len(survivors) == len(t.roster.Members); !whole && len(seen) < m.session.Threshold {
		return fmt.Errorf("%d confirmations of %d: %w", len(seen), m.session.Threshold, ErrConfirmations)
	}
	return nil
}

// unpack opens the boxes of the other survivors and returns the shares of all.
func (m *Member) unpack(t *table, survivors []identity.DID, inbox Inbox) ([]Share, error) {
	if inbox.Session != m.digest {
		return nil, fmt.Errorf("inbox: %w", ErrSession)
	}
	boxes := inbox.Boxes
	shares := make([]Share, len(survivors))
	for k, of := range survivors {
		i, _ := t.roster.find(of)
		if i == t.place {
			shares[k] = t.shares[i]
			continue
		}
		if len(boxes) == 0 {
			return nil, fmt.Errorf("no share of %s: %w", of.Short(), ErrShare)
		}
		plain, err := m.box(t, i, of, m.self).open(boxes[0])
		if err == nil {
			shares[k], err = parseShare(plain)
		}
		if err != nil {
			return nil, fmt.Errorf("share of %s: %w", of.Short(), ErrShare)
		}
		boxes = boxes[1:]
	}
	if len(boxes) > 0 {
		return nil, fmt.Errorf("%d shares more than there are survivors: %w", len(boxes), ErrShare)
	}
	return shares, nil
}
