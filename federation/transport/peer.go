package transport

import (
	"crypto/ed25519"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/trialmesh/trialmesh/protocol/identity"
)

// PeerID returns the libp2p name of the key that did names. An Ed25519 peer ID
// holds the whole key, so the two are one name in two spellings.
func PeerID(did identity.DID) (peer.ID, error) {
	raw, err := did.PublicKey()
	if err != nil {
		return "", err
	}
	key, err := crypto.UnmarshalEd25519PublicKey(raw)
	if err != nil {
		return "", fmt.Errorf("transport: key of %s: %w", did, err)
	}
	return peer.IDFromPublicKey(key)
}

// DIDOf is the inverse of [PeerID]. It fails for keys other than Ed25519.
func DIDOf(id peer.ID) (identity.DID, error) {
	key, err := id.ExtractPublicKey()
	if err != nil {
		return "", fmt.Errorf("transport: key of peer %s: %w", id, err)
	}
	raw, err := key.Raw()
	if err != nil || key.Type() != crypto.Ed25519 || len(raw) != ed25519.PublicKeySize {
		return "", fmt.Errorf("transport: peer %s has no Ed25519 key", id)
	}
	return identity.FromPublicKey(raw), nil
}
