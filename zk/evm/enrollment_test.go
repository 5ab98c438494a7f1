package evm_test

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// withCircuit is a registry that has a circuit, with the keys that this user's tests share.
func withCircuit(t *testing.T, c circuits.Circuit) (registry, *prover.Keys) {
	t.Helper()
	dir, err := prover.CacheDir()
	require.NoError(t, err)
	keys, err := prover.DevelopmentKeys(t.Context(), dir, c)
	require.NoError(t, err)
	w := newWorkbench(t)
	verifier, err := w.deploy(t, verifierArtifact(t), keyNumbers(keys.Verifying().EVM()))
	require.NoError(t, err)
	return w.registry(t, firstCircuit{verifier, 1}), keys
}

func numbers(words []circuits.Element) []*big.Int {
	list := make([]*big.Int, len(words))
	for i, word := range words {
		list[i] = new(big.Int).SetBytes(word[:])
	}
	return list
}

func seconds(at time.Time) uint32 { return uint32(at.Unix()) }

func soon() uint64 { return uint64(time.Now().Add(time.Hour).Unix()) }

const dayAge = 86400 // seconds, the most that contracts of these tests allow

// people are persons of one site, whose consents are in force for a month around now.
type people struct {
	*prover.Participant
	shard, all *circuits.Tree
}

var enrollmentCircuit = circuits.Enrollment(12)

func newPeople(t *testing.T, keys *prover.Keys) people {
	t.Helper()
	var p people
	var leaves []circuits.Element
	for i := range 2 {
		w := person(i)
		commitment, err := w.Secret.Commit(w.Blind)
		require.NoError(t, err)
		leaf, err := circuits.Consent{Participant: commitment, Attributes: w.Attributes}.Leaf()
		require.NoError(t, err)
		leaves = append(leaves, leaf)
	}
	var err error
	p.Participant, err = prover.NewParticipant(prover.ParticipantConfig{Enrollment: keys})
	require.NoError(t, err)
	p.shard, err = circuits.ShardTree(1024, leaves)
	require.NoError(t, err)
	p.all, err = circuits.ConsentTree(1024, 12, []circuits.Element{truncated("another site"), p.shard.Root()})
	require.NoError(t, err)
	return p
}

func person(i int) circuits.EnrollmentWitness {
	output := truncated(fmt.Sprint("person ", i))
	const fortnight = 14 * dayAge
	now := seconds(time.Now().Truncate(24 * time.Hour))
	return circuits.EnrollmentWitness{
		Secret: circuits.PersonSecret([64]byte(append(output[:], output[:]...))), Blind: truncated(fmt.Sprint("blind ", i)),
		Attributes: circuits.Attributes{Mask: consent.MaskOf(consent.Statistics), Status: circuits.Active, From: now - fortnight, To: now + fortnight},
	}
}

// enroll proves that person i enrolls.
func (p people) enroll(t *testing.T, i int, trial, signal string, at time.Time) ([]byte, []*big.Int) {
	t.Helper()
	w := person(i)
	w.Trial, w.Signal, w.Time = truncated(trial), truncated(signal), seconds(at)
	within, err := p.shard.Path(i)
	require.NoError(t, err)
	above, err := p.all.Path(1)
	require.NoError(t, err)
	w.Path = within.Then(above)
	proven, err := p.Enrollment(t.Context(), w)
	require.NoError(t, err)
	return proven.Proof[:], numbers(proven.Public.Words())
}

func TestEnrollment(t *testing.T) {
	t.Parallel()
	r, keys := withCircuit(t, enrollmentCircuit)
	circuit := evm.KeyWords(keys.Verifying().EVM()).Hash()
	enrollment := contractArtifact(t, "Enrollment")
	at, err := r.deploy(t, enrollment, r.at, circuit, big.NewInt(dayAge))
	require.NoError(t, err)
	type statement struct{ Root, Trial, Nullifier, Signal, Time *big.Int }
	enroll := func(proof []byte, n []*big.Int) (uint64, string) {
		return r.send(t, enrollment, at, "enroll", proof, statement{n[0], n[1], n[2], n[3], n[4]})
	}
	p := newPeople(t, keys)
	root := p.all.Root()
	accept := func(number uint64, until uint64, by council) string {
		signatures := by.sign(t, at, "AcceptRoot(uint256 number,uint256 root,uint64 until)", uintWord(number), root[:], uintWord(until))
		_, refusal := r.send(t, enrollment, at, "acceptRoot", new(big.Int).SetUint64(number), new(big.Int).SetBytes(root[:]), until, signatures)
		return refusal
	}
	now := time.Now()
	proof, inputs := p.enroll(t, 0, "trial", "content", now)
	_, refusal := enroll(proof, inputs)
	require.Equal(t, "RootNotAccepted", refusal)
	require.Equal(t, "QuorumMissing", accept(0, soon(), r.council[:2]))
	require.Empty(t, accept(0, soon(), r.council[:3]))
	require.Equal(t, "NumberInvalid", accept(0, soon(), r.council[:3]))

	for i, want := range []struct{ changed, plusR string }{
		{"RootNotAccepted", "RootNotAccepted"},
		{"ProofInvalid", "PublicInputNotInField"},
		{"ProofInvalid", "PublicInputNotInField"},
		{"ProofInvalid", "PublicInputNotInField"},
		{"ProofInvalid", "TimeInvalid"},
	} {
		bad := append([]*big.Int{}, inputs...)
		bad[i] = new(big.Int).Xor(inputs[i], big.NewInt(1))
		_, refusal = enroll(proof, bad)
		require.Equal(t, want.changed, refusal, "input %d", i)
		other := plusR([32]byte(inputs[i].FillBytes(make([]byte, 32))))
		bad[i] = new(big.Int).SetBytes(other[:])
		_, refusal = enroll(proof, bad)
		require.Equal(t, want.plusR, refusal, "input %d has one name", i)
	}
	gas, refusal := enroll(proof, inputs)
	require.Empty(t, refusal)
	require.LessOrEqual(t, gas, uint64(290_000), "the price of an enrollment rose")
	t.Logf("an enrollment costs %d gas", gas)

	_, refusal = enroll(rerandomized(t, proof), inputs)
	require.Equal(t, "AlreadyEnrolled", refusal, "another proof is not another person")
	again, changed := p.enroll(t, 0, "trial", "other content", now.Add(-time.Hour))
	_, refusal = enroll(again, changed)
	require.Equal(t, "AlreadyEnrolled", refusal, "nor is another statement")
	other, elsewhere := p.enroll(t, 0, "another trial", "content", now)
	require.NotEqual(t, inputs[2], elsewhere[2], "nullifiers of one person in two trials are not alike")
	_, refusal = enroll(proof, append([]*big.Int{inputs[0], elsewhere[1]}, inputs[2:]...))
	require.Equal(t, "ProofInvalid", refusal, "it is of another trial")
	_, refusal = enroll(other, elsewhere)
	require.Empty(t, refusal, "another trial")

	for when, time := range map[string]time.Time{"long ago": now.Add(-25 * time.Hour), "in the future": now.Add(time.Hour)} {
		proof, inputs := p.enroll(t, 1, "trial", "content", time)
		_, refusal = enroll(proof, inputs)
		require.Equal(t, "TimeInvalid", refusal, when)
	}
	proof, inputs = p.enroll(t, 1, "trial", "content", now.Add(-23*time.Hour))
	require.Empty(t, accept(1, 1, r.council[:3]))
	_, refusal = enroll(proof, inputs)
	require.Equal(t, "RootNotAccepted", refusal, "it was withdrawn")
	require.Empty(t, accept(2, soon(), r.council[:3]))
	_, refusal = enroll(proof, inputs)
	require.Empty(t, refusal, "somebody else")
	require.Empty(t, r.do(t, "revokeCircuit", circuit, r.sign(t, r.at, "RevokeCircuit(bytes32 id)", circuit[:])))
	proof, inputs = p.enroll(t, 1, "another trial", "content", now)
	_, refusal = enroll(proof, inputs)
	require.Equal(t, "NotRegistered", refusal, "a revoked circuit proves nothing")
}

// TestEnrollByClient enrolls as a hub of one replica does.
func TestEnrollByClient(t *testing.T) {
	t.Parallel()
	_, cfg, client := ready(t)
	dir, err := prover.CacheDir()
	require.NoError(t, err)
	keys, err := prover.DevelopmentKeys(t.Context(), dir, enrollmentCircuit)
	require.NoError(t, err)
	_, err = client.DeployEnrollment(t.Context(), toy().words, time.Second/2)
	require.ErrorContains(t, err, "not a number of seconds")
	_, err = client.DeployEnrollment(t.Context(), keys.Verifying().EVM()[:14*32+64*4], time.Hour)
	require.ErrorContains(t, err, "the key has 3 public inputs, an enrollment 5")
	at, err := client.DeployEnrollment(t.Context(), keys.Verifying().EVM(), time.Hour)
	require.NoError(t, err)
	again, err := client.DeployEnrollment(t.Context(), keys.Verifying().EVM(), time.Minute)
	require.NoError(t, err, "the circuit is registered by now")
	require.NotEqual(t, at, again)
	delayed := cfg
	delayed.Deployment.Delay = 60
	_, err = dial(t, delayed).DeployEnrollment(t.Context(), newToyKeys().words, time.Hour)
	require.ErrorContains(t, err, "60 s between a proposal and its execution")

	p := newPeople(t, keys)
	enrolling := func(i int, at time.Time) (e evm.Enrolling) {
		proof, inputs := p.enroll(t, i, "trial", "content", at)
		e.Proof = proof
		for i, n := range inputs {
			n.FillBytes(e.Inputs[i][:])
		}
		return e
	}
	e := enrolling(0, time.Now())
	_, err = client.Enroll(t.Context(), at, e)
	require.ErrorIs(t, err, evm.ErrRootNotAccepted)
	_, err = client.AcceptPeople(t.Context(), at, p.all.Root(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	wrong := e
	wrong.Inputs[3][31] ^= 1
	_, err = client.Enroll(t.Context(), at, wrong)
	require.ErrorIs(t, err, evm.ErrProofRefused)
	_, err = client.Enroll(t.Context(), at, evm.Enrolling{Proof: e.Proof[1:], Inputs: e.Inputs})
	require.ErrorIs(t, err, evm.ErrProofRefused)
	_, err = client.Enroll(t.Context(), at, enrolling(1, time.Now().Add(-2*time.Hour)))
	require.ErrorIs(t, err, evm.ErrTime)
	receipt, err := client.Enroll(t.Context(), at, e)
	require.NoError(t, err)
	require.LessOrEqual(t, receipt.Gas, uint64(290_000))
	_, err = client.Enroll(t.Context(), at, e)
	require.ErrorIs(t, err, evm.ErrEnrolled)
	_, err = client.AcceptPeople(t.Context(), at, p.all.Root(), time.Unix(1, 0))
	require.NoError(t, err)
	_, err = client.Enroll(t.Context(), at, enrolling(1, time.Now()))
	require.ErrorIs(t, err, evm.ErrRootNotAccepted, "it was withdrawn")
}
