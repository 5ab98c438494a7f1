package secagg

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// signed returns the bytes under the advertisement's signature.
func (a Advertisement) signed() []byte {
	return encode("advertisement", string(a.Session[:]), string(a.From), string(a.Key[:]), string(a.Commitment[:]))
}

// Verify checks that the advertisement is for s and from one of its members.
func (a Advertisement) Verify(s Session) error {
	if !s.has(a.From) {
		return fmt.Errorf("advertisement of %s: not a member of the session: %w", a.From.Short(), ErrRoster)
	}
	if a.Session != s.Digest() {
		return fmt.Errorf("advertisement of %s: %w", a.From.Short(), ErrSession)
	}
	if identity.Verify(a.From, a.signed(), a.Signature) != nil {
		return fmt.Errorf("advertisement of %s: %w", a.From.Short(), ErrSignature)
	}
	return nil
}

// NewRoster is the hub's step after round 0: it checks the advertisements and
// puts them in order. It fails on the first that does not verify, so call
// [Advertisement.Verify] on arrival, and with [ErrTooFewMembers] while there
// are fewer than the session demands.
func NewRoster(s Session, advertisements []Advertisement) (Roster, error) {
	r := Roster{Members: slices.Clone(advertisements)}
	slices.SortFunc(r.Members, func(a, b Advertisement) int { return cmp.Compare(a.From, b.From) })
	if err := r.verify(s); err != nil {
		return Roster{}, fmt.Errorf("make roster: %w", err)
	}
	return r, nil
}

// verify checks everything about the roster that every member sees alike.
func (r Roster) verify(s Session) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if err := checkSet(r.names()); err != nil {
		return fmt.Errorf("%w: %w", err, ErrRoster)
	}
	for _, a := range r.Members {
		if err := a.Verify(s); err != nil {
			return err
		}
	}
	if len(r.Members) < s.least() {
		return fmt.Errorf("%d of %d: %w", len(r.Members), s.least(), ErrTooFewMembers)
	}
	return nil
}

func (r Roster) names() []identity.DID {
	dids := make([]identity.DID, len(r.Members))
	for i, a := range r.Members {
		dids[i] = a.From
	}
	return dids
}

// digest identifies the keys and commitments. Signatures are left out, because
// one text can carry several valid ones.
func (r Roster) digest() message.Digest {
	parts := make([]string, len(r.Members))
	for i, a := range r.Members {
		parts[i] = string(a.signed())
	}
	return digest("roster", parts...)
}

// find returns the member's place, from 0. Its shares lie at place + 1.
func (r Roster) find(d identity.DID) (int, bool) {
	return slices.BinarySearchFunc(r.Members, d, func(a Advertisement, d identity.DID) int { return cmp.Compare(a.From, d) })
}
