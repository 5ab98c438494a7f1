package circuits

import (
	"errors"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// Secret is a person's identity secret: the same at every site, and nobody's
// who does not have the person's identifier and the replicas' answer to it. It
// neither prints nor marshals.
type Secret struct {
	redacted
	x fr.Element
}

// PersonSecret derives the identity secret from an output of federation/oprf:
// hash(50; first half, second half), each half cut to 248 bits.
//
// The input of that function is the person's national or insurance identifier
// in the normal form of node/linkage, recipe ByID. The site normalizes and
// blinds it; the key is shared by the replicas and used for nothing else, so
// that no token of a linkage is half of an identity.
func PersonSecret(output [64]byte) Secret {
	first, second := Truncate([32]byte(output[:32])), Truncate([32]byte(output[32:]))
	var a, b fr.Element
	a.SetBytes(first[:])
	b.SetBytes(second[:])
	return Secret{x: hash2(TagIdentity, a, b)}
}

// RestoreSecret reads what [Secret.Element] returned.
func RestoreSecret(e Element) (Secret, error) {
	x, err := toField(e)
	if err == nil && x.IsZero() {
		err = errNoSecret
	}
	return Secret{x: x}, err
}

// Element returns the secret, for the node's own database and the participant's receipt.
func (s Secret) Element() Element { return fromField(s.x) }

// Commit returns the participant commitment hash(11; secret, blind) of the
// person's consent leaf.
func (s Secret) Commit(blind Element) (Element, error) {
	if s.x.IsZero() {
		return Element{}, errNoSecret
	}
	return CommitParticipant(fromField(s.x), blind)
}

// Nullifier returns hash(13; secret, trial): what an enrollment publishes in
// place of a name. One person has one for each trial, whatever the site; those
// of two trials cannot be told to be of one person. The trial is named by
// [Truncate] of a SHA-256 over the network's name and the trial's identifier.
func (s Secret) Nullifier(trial Element) (Element, error) { return s.nullifier(TagNullifier, trial) }

var errNoSecret = errors.New("identity secret is missing")

func (s Secret) nullifier(tag Tag, of Element) (Element, error) {
	if s.x.IsZero() {
		return Element{}, errNoSecret
	}
	x, err := toField(of)
	if err != nil {
		return Element{}, err
	}
	return fromField(hash2(tag, s.x, x)), nil
}
