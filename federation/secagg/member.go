package secagg

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Member is one site's side of a session. It remembers nothing that a restart
// may not lose: each step takes again what the hub sent before, and the [Guard]
// refuses anything that differs from what this member acted on earlier, in this
// process or another. Steps may be repeated and give the same bytes. What it keeps in
// memory only spares it the work of checking the same roster and agreeing on the same keys
// in every step. It is safe for concurrent use.
type Member struct {
	session  Session
	digest   message.Digest
	self     identity.DID
	identity identity.Key
	guard    Guard

	key  *ecdh.PrivateKey // of this session alone
	seed [32]byte         // of the self mask
	deal [32]byte         // of the polynomials, together with the roster
	tag  [32]byte         // of the vector's record

	mu     sync.Mutex
	seated *table // of the roster last found good; guarded by mu
}

// NewMember returns the member with the given identity.
//
// Secret is 32 random bytes that only this member knows. All keys and masks
// derive from it and the session's digest. Whoever learns it later can remove
// this member's masks from recorded traffic, so make one per session, keep it
// durably until the session ends, and erase it then.
//
// It fails with [ErrSession] if the session is out of bounds or key is not one
// of its members.
func NewMember(secret [32]byte, session Session, key identity.Key, guard Guard) (*Member, error) {
	if err := session.Validate(); err != nil {
		return nil, fmt.Errorf("secagg: new member: %w", err)
	}
	if guard == nil || key.IsZero() {
		return nil, errors.New("secagg: new member: an identity key and a guard are required")
	}
	if secret == ([32]byte{}) {
		return nil, errors.New("secagg: new member: the secret is all zero")
	}
	m := &Member{session: session, digest: session.Digest(), self: key.DID(), identity: key, guard: guard}
	if !session.has(m.self) {
		return nil, fmt.Errorf("secagg: new member: %s is not in the session: %w", m.self.Short(), ErrSession)
	}
	own := func(purpose string) [32]byte { return derive(secret[:], m.digest, purpose, string(m.self)) }
	var err error
	private := own("key")
	if m.key, err = ecdh.X25519().NewPrivateKey(private[:]); err != nil {
		return nil, fmt.Errorf("secagg: X25519 key: %w", err)
	}
	m.seed, m.deal, m.tag = own("self mask"), own("polynomials"), own("vector tag")
	return m, nil
}

// Format prints no secret, whatever the verb.
func (*Member) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "secagg member:redacted") }

// Advertise is round 0: the public key and the commitment, signed.
func (m *Member) Advertise(ctx context.Context) (Advertisement, error) {
	if err := m.commit(ctx, stepSession, m.digest); err != nil {
		return Advertisement{}, fmt.Errorf("advertise: %w", err)
	}
	a := m.unsigned()
	a.Signature = m.identity.Sign(a.signed())
	return a, nil
}

// unsigned is this member's advertisement without the signature.
func (m *Member) unsigned() Advertisement {
	return Advertisement{
		Session:    m.digest,
		From:       m.self,
		Key:        PublicKey(m.key.PublicKey().Bytes()),
		Commitment: commitTo(m.digest, m.self, m.seed),
	}
}

// commitTo binds a member to the seed of its self mask. The seed is 32 random
// bytes, so the digest hides it.
func commitTo(session message.Digest, of identity.DID, seed [32]byte) message.Digest {
	return digest("commitment", string(session[:]), string(of), string(seed[:]))
}

// table is a roster that this member found good, with what it has to itself there. It
// does not change.
type table struct {
	roster Roster
	of     message.Digest // of roster
	place  int            // this member's

	shares  []Share  // of this member's seed, one for each place
	secrets [][]byte // X25519 secrets shared with the member at each place but this one's
}

// accept checks the roster and commits to it. It refuses one that is not made of properly
// signed, distinct members of the session, this one unchanged among them, and enough of
// them.
func (m *Member) accept(ctx context.Context, roster Roster) (*table, error) {
	t, err := m.sit(roster)
	if err != nil {
		return nil, err
	}
	if err := m.commit(ctx, stepSession, m.digest); err != nil {
		return nil, err
	}
	return t, m.commit(ctx, stepRoster, t.of)
}

// sit checks the roster and takes this member's place there, unless the roster with this
// digest has passed before: the digest covers all that is signed.
func (m *Member) sit(roster Roster) (*table, error) {
	of := roster.digest()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seated != nil && m.seated.of == of {
		return m.seated, nil
	}
	if err := roster.verify(m.session); err != nil {
		return nil, err
	}
	place, found := roster.find(m.self)
	if !found {
		return nil, fmt.Errorf("%s is missing: %w", m.self.Short(), ErrRoster)
	}
	if string(m.unsigned().signed()) != string(roster.Members[place].signed()) {
		return nil, fmt.Errorf("%s is not as advertised: %w", m.self.Short(), ErrRoster)
	}
	t := &table{roster: Roster{Members: slices.Clone(roster.Members)}, of: of, place: place, secrets: make([][]byte, len(roster.Members))}
	for i, a := range roster.Members {
		if i == place {
			continue
		}
		var err error
		if t.secrets[i], err = agree(m.key, a.Key); err != nil {
			return nil, fmt.Errorf("key of %s: %w", a.From.Short(), err)
		}
	}
	// Another roster gets another polynomial.
	random := newStream(derive(m.deal[:], m.digest, "deal self mask", string(of[:])))
	t.shares = split(m.seed, len(roster.Members), m.session.Threshold, random)
	m.seated = t
	return t, nil
}

func (m *Member) commit(ctx context.Context, step string, value message.Digest) error {
	if err := m.guard.Once(ctx, m.session.ID, step, value); err != nil {
		return fmt.Errorf("commit to the %s: %w", step, err)
	}
	return nil
}

// sealer encrypts or opens the one box that goes from one member to another
// under one roster. The key is used for this message only and the message
// follows from the same inputs, so the nonce is zero.
type sealer struct{ key [32]byte }

// box returns the key of the box between this member and the one at place i, who are from
// and to.
func (m *Member) box(t *table, i int, from, to identity.DID) sealer {
	return sealer{derive(t.secrets[i], m.digest, "box", string(t.of[:]), string(from), string(to))}
}

// agree returns the X25519 secret; a key of low order is refused.
func agree(own *ecdh.PrivateKey, peer PublicKey) ([]byte, error) {
	public, err := ecdh.X25519().NewPublicKey(peer[:])
	if err != nil {
		return nil, fmt.Errorf("X25519 key: %w", ErrRoster)
	}
	shared, err := own.ECDH(public)
	if err != nil {
		return nil, fmt.Errorf("X25519 agreement: %w", ErrRoster)
	}
	return shared, nil
}

func (s sealer) seal(plain []byte) []byte {
	aead, err := chacha20poly1305.New(s.key[:])
	if err != nil {
		panic("secagg: ChaCha20-Poly1305 with 32 bytes: " + err.Error()) // only for another key length
	}
	return aead.Seal(nil, make([]byte, aead.NonceSize()), plain, nil)
}

func (s sealer) open(ciphertext []byte) ([]byte, error) {
	aead, err := chacha20poly1305.New(s.key[:])
	if err != nil {
		panic("secagg: ChaCha20-Poly1305 with 32 bytes: " + err.Error())
	}
	return aead.Open(nil, make([]byte, aead.NonceSize()), ciphertext, nil)
}
