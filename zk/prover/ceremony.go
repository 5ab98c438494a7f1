package prover

import (
	"errors"
	"fmt"

	groth16 "github.com/consensys/gnark/backend/groth16/bn254"

	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/zk/circuits"
)

// FromCeremony returns the keys that a ceremony made, whose plan has the digest. A
// key whose second phase never ran is refused.
func FromCeremony(c circuits.Circuit, pk *groth16.ProvingKey, vk *groth16.VerifyingKey, ceremony message.Digest) (*Keys, error) {
	if ceremony.IsZero() {
		return nil, errors.New("keys of a ceremony: its digest is missing")
	}
	system, err := compile(c)
	if err != nil {
		return nil, fmt.Errorf("keys of a ceremony: %w", err)
	}
	k, err := newKeys(Published{Circuit: c, Ceremony: ceremony}, system, pk, vk)
	if err != nil {
		return nil, fmt.Errorf("keys of a ceremony: %w", err)
	}
	return k, nil
}

// Keep puts the keys into a folder, where [CachedKeys] finds them.
func (k *Keys) Keep(dir string) error {
	shelf := shelf{dir: dir, name: fmt.Sprintf("%s-%.16s", k.Circuit(), k.published.ProvingDigest)}
	if err := errors.Join(shelf.clear(), shelf.save(k)); err != nil {
		return fmt.Errorf("keep keys of %s: %w", k.Circuit(), err)
	}
	return nil
}
