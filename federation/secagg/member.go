package secagg

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/trialmesh/trialmesh/protocol/identity"
	"github.com/trialmesh/trialmesh/protocol/message"
)

// Member is one site's side of a session. It remembers nothing that a restart
// may not lose: each step takes again what the hub sent before, and the [Guard]
// refuses anything that differs from what this member acted on earlier, in this
// process or another. Steps may be repeated and give the same bytes. It is safe for
// concurrent use.
type Member struct {
	session  Session
	digest   message.Digest
	self     identity.DID
	identity identity.Key
	guard    Guard

	channel *ecdh.PrivateKey
	mask    *ecdh.PrivateKey
	seed    [32]byte // of the self mask
	deal    [32]byte // of the polynomials, together with the roster
	tag     [32]byte // of the vector's record

	mu       sync.Mutex
	verified message.Digest // of the roster last found good; guarded by mu
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
	if m.channel, err = x25519(own("channel key")); err != nil {
		return nil, err
	}
	if m.mask, err = x25519(own("mask key")); err != nil {
		return nil, err
	}
	m.seed, m.deal, m.tag = own("self mask"), own("polynomials"), own("vector tag")
	return m, nil
}

func x25519(private [32]byte) (*ecdh.PrivateKey, error) {
	key, err := ecdh.X25519().NewPrivateKey(private[:])
	if err != nil {
		return nil, fmt.Errorf("secagg: X25519 key: %w", err)
	}
	return key, nil
}

// Format prints no secret, whatever the verb.
func (*Member) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "secagg member:redacted") }

// Advertise is round 0: the public keys and the commitment, signed.
func (m *Member) Advertise(ctx context.Context) (Advertisement, error) {
	if err := m.commit(ctx, stepSession, m.digest); err != nil {
		return Advertisement{}, fmt.Errorf("advertise: %w", err)
	}
	return m.advertisement(), nil
}

func (m *Member) advertisement() Advertisement {
	a := Advertisement{
		Session:    m.digest,
		From:       m.self,
		ChannelKey: PublicKey(m.channel.PublicKey().Bytes()),
		MaskKey:    PublicKey(m.mask.PublicKey().Bytes()),
		Commitment: commitTo(m.digest, m.self, m.seed),
	}
	a.Signature = m.identity.Sign(a.signed())
	return a
}

// commitTo binds a member to the seed of its self mask. The seed is 32 random
// bytes, so the digest hides it.
func commitTo(session message.Digest, of identity.DID, seed [32]byte) message.Digest {
	return digest("commitment", string(session[:]), string(of), string(seed[:]))
}

// Share is round 1: it deals shares of this member's self mask and mask key to
// everyone on the roster. It refuses a roster that is not made of properly
// signed, distinct members of the session, this one unchanged among them, and
// enough of them.
func (m *Member) Share(ctx context.Context, roster Roster) (Shares, error) {
	if err := m.accept(ctx, roster); err != nil {
		return Shares{}, fmt.Errorf("share: %w", err)
	}
	seeds, keys := m.dealt(roster)
	of := roster.digest()
	out := Shares{Session: m.digest, From: m.self}
	for i, a := range roster.Members {
		if a.From == m.self {
			continue
		}
		box, err := m.box(of, a, m.self, a.From)
		if err != nil {
			return Shares{}, fmt.Errorf("share with %s: %w", a.From.Short(), err)
		}
		plain := append(seeds[i].bytes(), keys[i].bytes()...)
		out.Boxes = append(out.Boxes, Box{From: m.self, To: a.From, Ciphertext: box.seal(plain)})
	}
	return out, nil
}

// accept checks the roster and commits to it.
func (m *Member) accept(ctx context.Context, roster Roster) error {
	of := roster.digest()
	if err := m.verify(roster, of); err != nil {
		return err
	}
	i, found := roster.find(m.self)
	if !found {
		return fmt.Errorf("%s is missing: %w", m.self.Short(), ErrRoster)
	}
	own := m.advertisement()
	if string(own.signed()) != string(roster.Members[i].signed()) {
		return fmt.Errorf("%s is not as advertised: %w", m.self.Short(), ErrRoster)
	}
	if err := m.commit(ctx, stepSession, m.digest); err != nil {
		return err
	}
	return m.commit(ctx, stepRoster, of)
}

// verify checks the roster's names and signatures, unless the roster with this
// digest has passed before: the digest covers all that is signed.
func (m *Member) verify(roster Roster, of message.Digest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.verified == of {
		return nil
	}
	if err := roster.verify(m.session); err != nil {
		return err
	}
	m.verified = of
	return nil
}

func (m *Member) commit(ctx context.Context, step string, value message.Digest) error {
	if err := m.guard.Once(ctx, m.session.ID, step, value); err != nil {
		return fmt.Errorf("commit to the %s: %w", step, err)
	}
	return nil
}

// dealt returns the shares of the seed and of the mask key for every place of
// the roster. Another roster gets other polynomials.
func (m *Member) dealt(roster Roster) (seeds, keys []Share) {
	of := roster.digest()
	n, t := len(roster.Members), m.session.Threshold
	random := func(purpose string) *stream { return newStream(derive(m.deal[:], m.digest, purpose, string(of[:]))) }
	return split(m.seed, n, t, random("deal self mask")), split([32]byte(m.mask.Bytes()), n, t, random("deal mask key"))
}

// sealer encrypts or opens the one box that goes from one member to another
// under one roster. The key is used for this message only and the message
// follows from the same inputs, so the nonce is zero.
type sealer struct{ key [32]byte }

// box agrees with peer on the key of the box between the two under the roster
// with digest of.
func (m *Member) box(of message.Digest, peer Advertisement, from, to identity.DID) (sealer, error) {
	shared, err := agree(m.channel, peer.ChannelKey)
	if err != nil {
		return sealer{}, err
	}
	return sealer{derive(shared, m.digest, "box", string(of[:]), string(from), string(to))}, nil
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
