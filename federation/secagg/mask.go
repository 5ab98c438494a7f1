package secagg

import (
	"context"
	"fmt"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Mask is round 1: it returns vector under this member's masks, one of its own and one with
// each of the others on the roster, which nobody can tell from random words until round 2;
// and with it shares of its own mask for the others. It refuses a roster that is not made of
// properly signed members of the session, and any second vector: after a restart mask the
// vector that was stored, not one computed again.
func (m *Member) Mask(ctx context.Context, roster Roster, vector []uint64) (Masked, error) {
	if len(vector) != m.session.Words {
		return Masked{}, fmt.Errorf("mask: %d words, want %d: %w", len(vector), m.session.Words, ErrVector)
	}
	t, err := m.accept(ctx, roster)
	if err != nil {
		return Masked{}, fmt.Errorf("mask: %w", err)
	}
	out := Masked{Session: m.digest, From: m.self, Vector: slices.Clone(vector)}
	newStream(selfMaskKey(m.digest, m.self, m.seed)).add(out.Vector, plus)
	for i, peer := range t.roster.Members {
		if i == t.place {
			continue
		}
		seed := m.pairSeed(t, i)
		newStream(seed).add(out.Vector, sign(m.self, peer.From))
		out.Boxes = append(out.Boxes, m.box(t, i, m.self, peer.From).seal(t.shares[i].bytes()))
		out.Pairs = append(out.Pairs, commitToPair(m.digest, m.self, peer.From, seed))
	}
	if err := m.commit(ctx, stepVector, vectorTag(m.tag, vector)); err != nil {
		return Masked{}, fmt.Errorf("mask: %w", err)
	}
	return out, nil
}

// selfMaskKey is the generator's key of a member's own mask.
func selfMaskKey(session message.Digest, of identity.DID, seed [32]byte) [32]byte {
	return derive(seed[:], session, "self stream", string(of))
}

// pairSeed is the generator's key of the mask between this member and the one at place i,
// the same from either side and another under every roster. It gives away nothing else that
// follows from the secret they share.
func (m *Member) pairSeed(t *table, i int) Seed {
	peer := t.roster.Members[i].From
	return derive(t.secrets[i], m.digest, "pair stream", string(t.of[:]), string(min(m.self, peer)), string(max(m.self, peer)))
}

// commitToPair binds a member to the seed of its mask with another. The seed is 32 bytes
// that nobody else can guess, so the digest hides it.
func commitToPair(session message.Digest, of, with identity.DID, seed Seed) message.Digest {
	return digest("pair commitment", string(session[:]), string(of), string(with), string(seed[:]))
}

// sign is how member uses the mask it has in common with peer: the first of the
// two in order adds it, the other subtracts it, and in the sum it is gone.
func sign(member, peer identity.DID) uint64 {
	if member < peer {
		return plus
	}
	return minus
}
