package secagg

import (
	"context"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Confirm is round 3: this member's word that it will help to reveal the sum of
// these survivors, ascending, and of no others. It refuses a set that is not of
// dealers, that leaves this member out, or that is smaller than the session
// demands, and any second set.
func (m *Member) Confirm(ctx context.Context, roster Roster, inbox Inbox, survivors []identity.DID) (Confirmation, error) {
	d, err := m.receive(ctx, roster, inbox)
	if err != nil {
		return Confirmation{}, fmt.Errorf("confirm: %w", err)
	}
	if err := m.settle(ctx, d, survivors); err != nil {
		return Confirmation{}, fmt.Errorf("confirm: %w", err)
	}
	signature := m.identity.Sign(confirmed(m.digest, d.of, d.dealers, survivors))
	return Confirmation{Session: m.digest, From: m.self, Signature: signature}, nil
}

// settle checks the survivors and commits to them.
func (m *Member) settle(ctx context.Context, d *dealing, survivors []identity.DID) error {
	if err := checkSurvivors(m.session, d.dealers, survivors); err != nil {
		return err
	}
	if !slices.Contains(survivors, m.self) {
		return fmt.Errorf("%s is not among the survivors: %w", m.self.Short(), ErrSurvivors)
	}
	return m.commit(ctx, stepSurvivors, digest("survivors", list(survivors)))
}

// checkSurvivors checks what every member sees alike.
func checkSurvivors(s Session, dealers, survivors []identity.DID) error {
	if err := checkSet(survivors); err != nil {
		return fmt.Errorf("survivors: %w: %w", err, ErrSurvivors)
	}
	for _, d := range survivors {
		if _, found := slices.BinarySearch(dealers, d); !found {
			return fmt.Errorf("survivor %s dealt no shares: %w", d.Short(), ErrSurvivors)
		}
	}
	if len(survivors) < s.least() {
		return fmt.Errorf("%d survivors of %d: %w", len(survivors), s.least(), ErrTooFewMembers)
	}
	return nil
}

// confirmed returns the bytes under a confirmation's signature, of the session and the
// roster with these digests.
func confirmed(session, roster message.Digest, dealers, survivors []identity.DID) []byte {
	return encode("confirmation", string(session[:]), string(roster[:]), list(dealers), list(survivors))
}

// Verify checks that the sender, one of the survivors, confirmed them.
func (c Confirmation) Verify(s Session, roster Roster, dealers, survivors []identity.DID) error {
	session := s.Digest()
	return c.verify(session, survivors, confirmed(session, roster.digest(), dealers, survivors))
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

// Unmask is round 4: for each dealer it reveals this member's share of the self
// mask if the dealer survived and of the mask key if it did not, never both. It
// refuses unless as many distinct survivors as the threshold confirmed exactly
// this set, and all confirmations given are valid. Confirmations may be in any
// order.
func (m *Member) Unmask(ctx context.Context, roster Roster, inbox Inbox, survivors []identity.DID, confirmations []Confirmation) (Reveal, error) {
	d, err := m.receive(ctx, roster, inbox)
	if err != nil {
		return Reveal{}, fmt.Errorf("unmask: %w", err)
	}
	if err := checkSurvivors(m.session, d.dealers, survivors); err != nil {
		return Reveal{}, fmt.Errorf("unmask: %w", err)
	}
	seen, signed := make(map[identity.DID]bool), confirmed(m.digest, d.of, d.dealers, survivors)
	for _, c := range confirmations {
		if seen[c.From] {
			return Reveal{}, fmt.Errorf("unmask: %s confirmed twice: %w", c.From.Short(), ErrConfirmations)
		}
		seen[c.From] = true
		if err := c.verify(m.digest, survivors, signed); err != nil {
			return Reveal{}, fmt.Errorf("unmask: %w", err)
		}
	}
	if len(seen) < m.session.Threshold {
		return Reveal{}, fmt.Errorf("unmask: %d confirmations of %d: %w", len(seen), m.session.Threshold, ErrConfirmations)
	}
	if err := m.settle(ctx, d, survivors); err != nil {
		return Reveal{}, fmt.Errorf("unmask: %w", err)
	}
	out := Reveal{Session: m.digest, From: m.self}
	for _, dealer := range d.dealers {
		if _, survived := slices.BinarySearch(survivors, dealer); survived {
			out.SelfMasks = append(out.SelfMasks, RevealedShare{Of: dealer, Share: d.seeds[dealer]})
		} else {
			out.MaskKeys = append(out.MaskKeys, RevealedShare{Of: dealer, Share: d.keys[dealer]})
		}
	}
	return out, nil
}
