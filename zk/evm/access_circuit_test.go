package evm_test

import (
	"crypto/sha256"
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// TestAccessCircuitOnChain takes the real circuit's key and proof to the contract, as a hub does.
func TestAccessCircuitOnChain(t *testing.T) {
	t.Parallel()
	shape := circuits.Shape{ShardSize: 4, Shards: 1, Slots: 2}
	dir := t.TempDir()
	epochKeys, err := prover.DevelopmentKeys(t.Context(), dir, shape.Epoch())
	require.NoError(t, err)
	accessKeys, err := prover.DevelopmentKeys(t.Context(), dir, shape.Access())
	require.NoError(t, err)
	proving, err := prover.New(prover.Config{Epoch: epochKeys, Access: accessKeys})
	require.NoError(t, err)
	proof, err := proving.Access(t.Context(), accessWitness(t))
	require.NoError(t, err)

	access := evm.Access{Node: evm.Node{1}, Query: evm.QueryHash(proof.Public.QueryHash), Proof: proof.Proof[:]}
	position := -1
	for i, word := range proof.Public.Words() {
		access.Inputs = append(access.Inputs, word)
		if word == proof.Public.QueryHash {
			position = i
		}
	}
	e, _ := inProcess(t, inprocess.Config{})
	key := e.fundedKey(t)
	cfg := evm.Config{Endpoint: e.url, Key: key}
	cfg.Deployment, err = evm.Deploy(t.Context(), cfg, evm.DeployConfig{
		Record: filepath.Join(t.TempDir(), "deployment.json"), Replicas: []evm.Address{key.Address()},
		VerifyingKey: accessKeys.Verifying().EVM(), QueryPosition: position,
	})
	require.NoError(t, err)
	client := dial(t, cfg)
	require.NoError(t, client.VerifyAccess(t.Context(), access))
	receipt, err := client.LogAccess(t.Context(), access)
	require.NoError(t, err)
	t.Logf("%d gas", receipt.Gas)
	for i := range access.Inputs {
		bad := cloned(access)
		bad.Inputs[i][31] ^= 1
		require.ErrorIs(t, client.VerifyAccess(t.Context(), bad), evm.ErrProofRefused, "input %d", i)
	}
}

// accessWitness uses three consents for one question.
func accessWitness(t *testing.T) circuits.AccessWitness {
	t.Helper()
	const day = 86400
	secret := func(label string, i int) circuits.Element {
		return circuits.Truncate(sha256.Sum256(binary.BigEndian.AppendUint64([]byte(label), uint64(i))))
	}
	need := consent.MaskOf(consent.Conditions, consent.Statistics)
	use := circuits.ShardUse{Salt: secret("used", 0), Used: []int{0, 1, 2}}
	use.Epoch.Window = circuits.Window{From: 20000 * day, To: 20001 * day}
	for i := range use.Epoch.Salts {
		use.Epoch.Salts[i] = secret("salt", i)
	}
	for i := range use.Used {
		participant, err := circuits.CommitParticipant(secret("participant", i), secret("blind", i))
		require.NoError(t, err)
		use.Epoch.Consents = append(use.Epoch.Consents, circuits.Consent{
			Participant: participant,
			Attributes:  circuits.Attributes{Mask: need, Status: circuits.Active, From: 19000 * day, To: 21000 * day},
		})
	}
	return circuits.AccessWitness{Shards: []circuits.ShardUse{use}, Need: need, Min: 2, QueryHash: secret("question", 0)}
}
