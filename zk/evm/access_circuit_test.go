package evm_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
	"github.com/trialmesh/trialmesh/zk/prover"
)

var update = flag.Bool("update", false, "make testdata/access-4x1x2.json anew with zk/prover")

// provenAccess is a key and a proof of the real access circuit, as zk/prover made them. They are kept
// because the setup takes a minute under the race detector; the key's setup was on one machine,
// which makes it worthless for anything else.
type provenAccess struct {
	KeyWords  []byte               `json:"keyWords"`
	Statement circuits.AccessProof `json:"statement"`
}

// TestAccessCircuitOnChain takes the real circuit's key and proof to the contract, as a hub does.
func TestAccessCircuitOnChain(t *testing.T) {
	t.Parallel()
	golden := filepath.Join("testdata", "access-4x1x2.json")
	if *update {
		raw, err := json.MarshalIndent(proveAccess(t), "", "  ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(golden, append(raw, '\n'), 0o600))
	}
	raw, err := os.ReadFile(golden)
	require.NoError(t, err)
	var proven provenAccess
	require.NoError(t, json.Unmarshal(raw, &proven))

	e, _ := inProcess(t, inprocess.Config{})
	key := fixedKey(t)
	require.NoError(t, e.fund(t.Context(), key.Address()))
	cfg := evm.Config{Endpoint: e.url, Signer: key}
	cfg.Deployment, err = evm.Deploy(t.Context(), cfg, evm.DeployConfig{
		Record: filepath.Join(t.TempDir(), "deployment.json"), Origin: "heart.example/log", Replicas: []evm.Address{key.Address()},
		VerifyingKey: proven.KeyWords, QueryPosition: queryPosition, RootPosition: 0,
	})
	require.NoError(t, err)
	require.Equal(t, fixedDeployment(t).Access, cfg.Deployment.Access)
	public := proven.Statement.Public
	access := evm.Access{Node: provenNode, Question: provenQuestion, Proof: proven.Statement.Proof[:]}
	for _, word := range public.Words() {
		access.Inputs = append(access.Inputs, word)
	}
	require.Equal(t, public.QueryHash, public.Words()[queryPosition])
	require.Equal(t, public.MatrixDigest, public.Words()[0])
	client := dial(t, cfg)
	require.NoError(t, client.VerifyAccess(t.Context(), access))
	_, err = client.AcceptRoots(t.Context(), []evm.AcceptedRoot{{Node: provenNode, Root: public.MatrixDigest, Until: time.Now().Add(time.Hour)}})
	require.NoError(t, err)
	receipt, err := client.LogAccess(t.Context(), access)
	require.NoError(t, err)
	require.Less(t, receipt.Gas, uint64(275_000), "the price of an access rose")
	for i := range access.Inputs {
		bad := cloned(access)
		bad.Inputs[i][31] ^= 1
		require.ErrorIs(t, client.VerifyAccess(t.Context(), bad), evm.ErrProofRefused, "input %d", i)
	}
}

// What the kept proof is about.
var (
	provenNode     = toyNode(1)
	provenQuestion = digest(1)
)

// fixedKey is an account whose first contracts have known addresses.
func fixedKey(t *testing.T) evm.Key {
	t.Helper()
	key, err := evm.NewKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	return key
}

// fixedDeployment is where the fixed key's fifth contract is: the kept proof is good there only.
func fixedDeployment(t *testing.T) evm.Deployment {
	t.Helper()
	return evm.Deployment{ChainID: inprocess.ChainID, Access: crypto.CreateAddress(fixedKey(t).Address(), 4)}
}

func proveAccess(t *testing.T) provenAccess {
	t.Helper()
	shape := circuits.Shape{ShardSize: 4, Shards: 1, Slots: 2}
	dir, err := prover.CacheDir()
	require.NoError(t, err)
	epochKeys, err := prover.DevelopmentKeys(t.Context(), dir, shape.Epoch())
	require.NoError(t, err)
	accessKeys, err := prover.DevelopmentKeys(t.Context(), dir, shape.Access())
	require.NoError(t, err)
	proving, err := prover.New(prover.Config{Epoch: epochKeys, Access: accessKeys})
	require.NoError(t, err)
	proof, err := proving.Access(t.Context(), accessWitness(t))
	require.NoError(t, err)
	return provenAccess{KeyWords: accessKeys.Verifying().EVM(), Statement: proof}
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
	return circuits.AccessWitness{Shards: []circuits.ShardUse{use}, Need: need, Min: 2, QueryHash: fixedDeployment(t).QueryHash(provenNode, provenQuestion)}
}
