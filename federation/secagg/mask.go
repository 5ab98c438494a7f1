package secagg

import (
	"context"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// dealing is what rounds 0 and 1 left a member with. It does not change.
type dealing struct {
	*table
	inbox   message.Digest
	dealers []identity.DID         // ascending, this member included
	seeds   map[identity.DID]Share // this member's share of each dealer's seed
	keys    map[identity.DID]Share // … and of its mask key
}

// receive checks roster and inbox, opens the boxes and commits to both.
func (m *Member) receive(ctx context.Context, roster Roster, inbox Inbox) (*dealing, error) {
	t, err := m.accept(ctx, roster)
	if err != nil {
		return nil, err
	}
	if inbox.Session != m.digest {
		return nil, fmt.Errorf("inbox: %w", ErrSession)
	}
	d, err := m.unpack(t, inbox)
	if err != nil {
		return nil, err
	}
	return d, m.commit(ctx, stepInbox, d.inbox)
}

// unpack checks the inbox and opens its boxes, unless the same boxes were opened before.
func (m *Member) unpack(t *table, inbox Inbox) (*dealing, error) {
	parts := make([]string, 0, 2*len(inbox.Boxes))
	for _, b := range inbox.Boxes {
		if b.To != m.self {
			return nil, fmt.Errorf("share of %s for another member: %w", b.From.Short(), ErrShare)
		}
		parts = append(parts, string(b.From), string(b.Ciphertext))
	}
	of := digest("inbox", parts...)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dealt != nil && m.dealt.table == t && m.dealt.inbox == of {
		return m.dealt, nil
	}
	senders := inbox.senders()
	if err := checkSet(senders); err != nil {
		return nil, fmt.Errorf("inbox: %w: %w", err, ErrShare)
	}
	if len(senders)+1 < m.session.least() {
		return nil, fmt.Errorf("%d dealers of %d: %w", len(senders)+1, m.session.least(), ErrTooFewMembers)
	}
	d := &dealing{
		table:   t,
		inbox:   of,
		dealers: append(senders, m.self),
		seeds:   map[identity.DID]Share{m.self: t.seeds[t.place]},
		keys:    map[identity.DID]Share{m.self: t.keys[t.place]},
	}
	slices.Sort(d.dealers)
	for _, b := range inbox.Boxes {
		var err error
		if d.seeds[b.From], d.keys[b.From], err = m.open(t, b); err != nil {
			return nil, fmt.Errorf("share of %s: %w", b.From.Short(), err)
		}
	}
	m.dealt = d
	return d, nil
}

// open decrypts one dealer's box for this member.
func (m *Member) open(t *table, b Box) (seed, key Share, err error) {
	i, found := t.roster.find(b.From)
	if !found || i == t.place {
		return seed, key, ErrShare
	}
	plain, err := m.box(t, i, b.From, m.self).open(b.Ciphertext)
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
		i, _ := d.roster.find(peer)
		shared, err := agree(m.mask, d.roster.Members[i].MaskKey)
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
