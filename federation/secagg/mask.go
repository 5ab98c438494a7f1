package secagg

import (
	"context"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// dealing is what rounds 0 and 1 left a member with.
type dealing struct {
	roster  Roster
	dealers []identity.DID         // ascending, this member included
	seeds   map[identity.DID]Share // this member's share of each dealer's seed
	keys    map[identity.DID]Share // … and of its mask key
}

// receive checks roster and inbox, opens the boxes and commits to both.
func (m *Member) receive(ctx context.Context, roster Roster, inbox Inbox) (dealing, error) {
	if err := m.accept(ctx, roster); err != nil {
		return dealing{}, err
	}
	senders := inbox.senders()
	if inbox.Session != m.digest {
		return dealing{}, fmt.Errorf("inbox: %w", ErrSession)
	}
	if err := checkSet(senders); err != nil {
		return dealing{}, fmt.Errorf("inbox: %w: %w", err, ErrShare)
	}
	if len(senders)+1 < m.session.least() {
		return dealing{}, fmt.Errorf("%d dealers of %d: %w", len(senders)+1, m.session.least(), ErrTooFewMembers)
	}
	place, _ := roster.find(m.self)
	seeds, keys := m.dealt(roster)
	d := dealing{
		roster: roster,
		seeds:  map[identity.DID]Share{m.self: seeds[place]},
		keys:   map[identity.DID]Share{m.self: keys[place]},
	}
	of := roster.digest()
	parts := make([]string, 0, 2*len(inbox.Boxes))
	for _, b := range inbox.Boxes {
		seed, key, err := m.open(roster, of, b)
		if err != nil {
			return dealing{}, fmt.Errorf("share of %s: %w", b.From.Short(), err)
		}
		d.seeds[b.From], d.keys[b.From] = seed, key
		parts = append(parts, string(b.From), string(b.Ciphertext))
	}
	d.dealers = append(senders, m.self)
	slices.Sort(d.dealers)
	return d, m.commit(ctx, stepInbox, digest("inbox", parts...))
}

// open decrypts one dealer's box for this member under the roster with digest of.
func (m *Member) open(roster Roster, of message.Digest, b Box) (seed, key Share, err error) {
	i, found := roster.find(b.From)
	if !found || b.From == m.self || b.To != m.self {
		return seed, key, ErrShare
	}
	box, err := m.box(of, roster.Members[i], b.From, m.self)
	if err != nil {
		return seed, key, err
	}
	plain, err := box.open(b.Ciphertext)
	if err != nil || len(plain) != 2*shareSize {
		return seed, key, ErrShare
	}
	if seed, err = parseShare(plain[:shareSize]); err != nil {
		return seed, key, ErrShare
	}
	if key, err = parseShare(plain[shareSize:]); err != nil {
		return seed, key, ErrShare
	}
	return seed, key, nil
}

// Mask is round 2: it returns vector under this member's masks, which nobody
// can tell from random words until round 4. It refuses boxes that are not from
// their senders for this roster, too few of them, and any second vector: after
// a restart mask the vector that was stored, not one computed again.
func (m *Member) Mask(ctx context.Context, roster Roster, inbox Inbox, vector []uint64) (Masked, error) {
	if len(vector) != m.session.Words {
		return Masked{}, fmt.Errorf("mask: %d words, want %d: %w", len(vector), m.session.Words, ErrVector)
	}
	d, err := m.receive(ctx, roster, inbox)
	if err != nil {
		return Masked{}, fmt.Errorf("mask: %w", err)
	}
	masked := slices.Clone(vector)
	newStream(selfMaskKey(m.digest, m.self, m.seed)).add(masked, plus)
	for _, peer := range d.dealers {
		if peer == m.self {
			continue
		}
		i, _ := roster.find(peer)
		shared, err := agree(m.mask, roster.Members[i].MaskKey)
		if err != nil {
			return Masked{}, fmt.Errorf("mask with %s: %w", peer.Short(), err)
		}
		newStream(pairMaskKey(m.digest, shared, m.self, peer)).add(masked, sign(m.self, peer))
	}
	if err := m.commit(ctx, stepVector, vectorTag(m.tag, vector)); err != nil {
		return Masked{}, fmt.Errorf("mask: %w", err)
	}
	return Masked{Session: m.digest, From: m.self, Vector: masked}, nil
}

// selfMaskKey is the generator's key of a member's own mask.
func selfMaskKey(session message.Digest, of identity.DID, seed [32]byte) [32]byte {
	return derive(seed[:], session, "self stream", string(of))
}

// pairMaskKey is the generator's key of the mask between two members, the same
// from either side.
func pairMaskKey(session message.Digest, shared []byte, a, b identity.DID) [32]byte {
	return derive(shared, session, "pair stream", string(min(a, b)), string(max(a, b)))
}

// sign is how member uses the mask it has in common with peer: the first of the
// two in order adds it, the other subtracts it, and in the sum it is gone.
func sign(member, peer identity.DID) uint64 {
	if member < peer {
		return plus
	}
	return minus
}
