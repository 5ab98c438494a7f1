package evm_test

import (
	"math/big"
	"testing"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"
)

// withCircuit is a registry that has a toy circuit of some number of inputs.
func withCircuit(t *testing.T, inputs int) (registry, toyKeys) {
	t.Helper()
	keys, w := newToyKeys(inputs), newWorkbench(t)
	verifier, err := w.deploy(t, verifierArtifact(t), keyNumbers(keys.words))
	require.NoError(t, err)
	return w.registry(t, firstCircuit{verifier, 1}), keys
}

// public are random-looking inputs; prove chooses the last.
func public(names ...string) []fr.Element {
	elements := make([]fr.Element, len(names)+1)
	for i, name := range names {
		word := truncated(name)
		elements[i].SetBytes(word[:])
	}
	return elements
}

func soon() uint64 { return uint64(time.Now().Add(time.Hour).Unix()) }

func TestEnrollment(t *testing.T) {
	t.Parallel()
	r, keys := withCircuit(t, 4)
	circuit := keys.words.Hash()
	enrollment := contractArtifact(t, "Enrollment")
	at, err := r.deploy(t, enrollment, r.at, circuit)
	require.NoError(t, err)
	enroll := func(proof []byte, inputs [][32]byte) (uint64, string) {
		n := words(inputs...)
		return r.send(t, enrollment, at, "enroll", proof, n[0], n[1], n[2], n[3])
	}
	accept := func(number uint64, root [32]byte, until uint64, by council) string {
		signatures := by.sign(t, at, "AcceptRoot(uint256 number,uint256 root,uint64 until)", uintWord(number), root[:], uintWord(until))
		_, refusal := r.send(t, enrollment, at, "acceptRoot", new(big.Int).SetUint64(number), new(big.Int).SetBytes(root[:]), until, signatures)
		return refusal
	}
	root := truncated("root")
	proof, inputs := keys.prove(t, public("root", "trial", "person"))
	_, refusal := enroll(proof, inputs)
	require.Equal(t, "RootNotAccepted", refusal)
	require.Equal(t, "QuorumMissing", accept(0, root, soon(), r.council[:2]))
	require.Empty(t, accept(0, root, soon(), r.council[:3]))
	require.Equal(t, "NumberInvalid", accept(0, root, soon(), r.council[:3]))

	for i, want := range []string{"RootNotAccepted", "ProofInvalid", "ProofInvalid", "ProofInvalid"} {
		bad := append([][32]byte{}, inputs...)
		bad[i][31] ^= 1
		_, refusal = enroll(proof, bad)
		require.Equal(t, want, refusal, "input %d", i)
		if i > 0 {
			bad[i] = plusR(inputs[i])
			_, refusal = enroll(proof, bad)
			require.Equal(t, "PublicInputNotInField", refusal, "input %d has one name", i)
		}
	}
	gas, refusal := enroll(proof, inputs)
	require.Empty(t, refusal)
	require.LessOrEqual(t, gas, uint64(290_000), "the price of an enrollment rose")
	t.Logf("an enrollment costs %d gas", gas)

	_, refusal = enroll(rerandomized(t, proof), inputs)
	require.Equal(t, "AlreadyEnrolled", refusal, "another proof is not another person")
	other, elsewhere := keys.prove(t, public("root", "another trial", "person"))
	_, refusal = enroll(other, elsewhere)
	require.Empty(t, refusal, "the same nullifier in another trial")
	other, somebody := keys.prove(t, public("root", "trial", "somebody else"))
	require.Empty(t, accept(1, root, 1, r.council[:3]))
	_, refusal = enroll(other, somebody)
	require.Equal(t, "RootNotAccepted", refusal, "it was withdrawn")
	require.Empty(t, accept(2, root, soon(), r.council[:3]))
	require.Empty(t, r.do(t, "revokeCircuit", circuit, r.sign(t, r.at, "RevokeCircuit(bytes32 id)", circuit[:])))
	_, refusal = enroll(other, somebody)
	require.Equal(t, "NotRegistered", refusal, "a revoked circuit proves nothing")
}

func TestCustody(t *testing.T) {
	t.Parallel()
	r, keys := withCircuit(t, 7)
	custody := contractArtifact(t, "Custody")
	at, err := r.deploy(t, custody, r.at, keys.words.Hash(), big.NewInt(86400))
	require.NoError(t, err)
	type transfer struct{ AuthRoot, NotesRoot, NewNote, Nullifier, Time, Low, High *big.Int }
	send := func(proof []byte, inputs [][32]byte) string {
		n := words(inputs...)
		_, refusal := r.send(t, custody, at, "transfer", proof, transfer{n[0], n[1], n[2], n[3], n[4], n[5], n[6]})
		return refusal
	}
	number := uint64(0)
	signed := func(method, structure string, args ...*big.Int) string {
		members := [][]byte{uintWord(number)}
		packed := []any{new(big.Int).SetUint64(number)}
		for i, arg := range args {
			members = append(members, arg.FillBytes(make([]byte, 32)))
			if method != "issue" && i == len(args)-1 {
				packed = append(packed, arg.Uint64()) // until
				continue
			}
			packed = append(packed, arg)
		}
		_, refusal := r.send(t, custody, at, method, append(packed, r.council[:3].sign(t, at, structure, members...))...)
		if refusal == "" {
			number++
		}
		return refusal
	}
	until := new(big.Int).SetUint64(soon())
	statement := func(note, nullifier string, at time.Time) []fr.Element {
		elements := public("authorized", "notes", note, nullifier, "time", "low")
		elements[4].SetInt64(at.Unix())
		return elements
	}
	now := time.Now()
	proof, inputs := keys.prove(t, statement("note", "spent", now))
	n := words(inputs...)
	require.Equal(t, "TermsNotAccepted", send(proof, inputs))
	require.Empty(t, signed("acceptTerms", "AcceptTerms(uint256 number,uint256 authRoot,uint256 low,uint256 high,uint64 until)", n[0], n[5], n[6], until))
	require.Equal(t, "NotesNotAccepted", send(proof, inputs))
	require.Empty(t, signed("acceptNotes", "AcceptNotes(uint256 number,uint256 notesRoot,uint64 until)", n[1], until))
	require.Empty(t, signed("issue", "Issue(uint256 number,uint256 note)", big.NewInt(7)))
	require.Equal(t, "NoteKnown", signed("issue", "Issue(uint256 number,uint256 note)", big.NewInt(7)))
	require.Equal(t, "NumberInvalid", func() string {
		_, refusal := r.send(t, custody, at, "issue", big.NewInt(0), big.NewInt(8), []byte{})
		return refusal
	}())

	for i, want := range []string{"TermsNotAccepted", "NotesNotAccepted", "ProofInvalid", "ProofInvalid", "ProofInvalid", "TermsNotAccepted", "TermsNotAccepted"} {
		bad := append([][32]byte{}, inputs...)
		bad[i][31] ^= 1
		require.Equal(t, want, send(proof, bad), "input %d", i)
	}
	require.Empty(t, send(proof, inputs))
	require.Equal(t, "AlreadySpent", send(rerandomized(t, proof), inputs))

	// The last input is chosen by the proof, so these terms are others.
	for name, test := range map[string]struct {
		note, nullifier string
		at              time.Time
		want            string
	}{
		"a note that is known": {"note", "spent later", now, "NoteKnown"},
		"in the future":        {"new", "spent later", now.Add(time.Hour), "TimeInvalid"},
		"long ago":             {"new", "spent later", now.Add(-25 * time.Hour), "TimeInvalid"},
		"good":                 {"new", "spent last", now.Add(-23 * time.Hour), ""},
	} {
		proof, inputs := keys.prove(t, statement(test.note, test.nullifier, test.at))
		n := words(inputs...)
		require.Empty(t, signed("acceptTerms", "AcceptTerms(uint256 number,uint256 authRoot,uint256 low,uint256 high,uint64 until)", n[0], n[5], n[6], until))
		require.Equal(t, test.want, send(proof, inputs), name)
	}
}
