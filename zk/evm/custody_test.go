package evm_test

import (
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/circuits"
	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/prover"
)

// Its public inputs are those of any custody circuit; tests of other packages share its keys.
var custodyCircuit = circuits.Custody(1, 1, 2)

// keeper signs for product, the same each time.
func keeper(t *testing.T, i byte) circuits.SigningKey {
	t.Helper()
	key, err := circuits.NewSigningKey([32]byte{31: i + 1})
	require.NoError(t, err)
	return key
}

// lot is a first note, in the hands of keeper 0.
func lot(t *testing.T, salt string) circuits.Note {
	t.Helper()
	return circuits.Note{
		Lot: truncated("lot"), Serial: truncated("serial"), Quantity: 100,
		Keeper: keeper(t, 0).Public(), Time: seconds(time.Now().Add(-48 * time.Hour)), Salt: truncated(salt),
	}
}

func commitment(t *testing.T, n circuits.Note) circuits.Element {
	t.Helper()
	x, err := n.Commitment()
	require.NoError(t, err)
	return x
}

// handover is 30 of the i-th note, going from one keeper of two to the other.
func handover(t *testing.T, spent circuits.Note, notes []circuits.Element, i int, from, to byte, salt string, at time.Time) circuits.CustodyWitness {
	t.Helper()
	w := circuits.CustodyWitness{
		Spent: spent, Receiver: keeper(t, to).Public(), Quantity: 30,
		GivenSalt: truncated("given " + salt), KeptSalt: truncated("kept " + salt),
		Time: seconds(at), Temperatures: []circuits.Temperature{-150, 400}, Low: -200, High: 800,
	}
	tree, err := circuits.NoteTree(1, notes)
	require.NoError(t, err)
	w.Path, err = tree.Path(i)
	require.NoError(t, err)
	keepers, err := circuits.KeeperSet(1, []circuits.PublicKey{keeper(t, 0).Public(), keeper(t, 1).Public()})
	require.NoError(t, err)
	w.ReceiverPath, err = keepers.Path(int(to))
	require.NoError(t, err)
	w.Gave, err = keeper(t, from).SignHandover(w)
	require.NoError(t, err)
	w.Took, err = keeper(t, to).SignHandover(w)
	require.NoError(t, err)
	return w
}

func TestCustody(t *testing.T) {
	t.Parallel()
	r, keys := withCircuit(t, custodyCircuit)
	custody := contractArtifact(t, "Custody")
	at, err := r.deploy(t, custody, r.at, evm.KeyWords(keys.Verifying().EVM()).Hash(), big.NewInt(dayAge))
	require.NoError(t, err)
	participant, err := prover.NewParticipant(prover.ParticipantConfig{Custody: keys})
	require.NoError(t, err)
	prove := func(w circuits.CustodyWitness) ([]byte, []*big.Int) {
		proven, err := participant.Custody(t.Context(), w)
		require.NoError(t, err)
		return proven.Proof[:], numbers(proven.Public.Words())
	}
	type transfer struct{ Keepers, Notes, Nullifier, Given, Kept, Time, Low, High *big.Int }
	send := func(proof []byte, n []*big.Int) string {
		gas, refusal := r.send(t, custody, at, "transfer", proof, transfer{n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]})
		if refusal == "" {
			t.Logf("a hand-over costs %d gas", gas)
		}
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
	terms := func(n []*big.Int) string {
		return signed("acceptTerms", "AcceptTerms(uint256 number,uint256 keepers,uint256 low,uint256 high,uint64 until)", n[0], n[6], n[7], until)
	}
	accept := func(notes *big.Int) string {
		return signed("acceptNotes", "AcceptNotes(uint256 number,uint256 notes,uint64 until)", notes, until)
	}
	issue := func(note circuits.Element) string {
		return signed("issue", "Issue(uint256 number,uint256 note)", new(big.Int).SetBytes(note[:]))
	}

	first, twin := lot(t, "first"), lot(t, "twin")
	notes := []circuits.Element{commitment(t, first), commitment(t, twin)}
	for _, note := range notes {
		require.Empty(t, issue(note))
	}
	require.Equal(t, "NoteKnown", issue(notes[0]))
	_, refusal := r.send(t, custody, at, "issue", big.NewInt(0), big.NewInt(8), []byte{})
	require.Equal(t, "NumberInvalid", refusal)

	now := time.Now()
	w := handover(t, first, notes, 0, 0, 1, "first", now)
	proof, inputs := prove(w)
	require.Equal(t, "TermsNotAccepted", send(proof, inputs))
	require.Empty(t, terms(inputs))
	require.Equal(t, "NotesNotAccepted", send(proof, inputs))
	require.Empty(t, accept(inputs[1]))
	for i, want := range []string{
		"TermsNotAccepted", "NotesNotAccepted", "ProofInvalid", "ProofInvalid", "ProofInvalid", "ProofInvalid", "TermsNotAccepted", "TermsNotAccepted",
	} {
		bad := append([]*big.Int{}, inputs...)
		bad[i] = new(big.Int).Xor(inputs[i], big.NewInt(1))
		require.Equal(t, want, send(proof, bad), "input %d", i)
	}
	require.Empty(t, send(proof, inputs))
	require.Equal(t, "AlreadySpent", send(rerandomized(t, proof), inputs))

	// The twin differs from the first note in its salt alone, which the new notes do not have.
	for name, test := range map[string]struct {
		salt string
		at   time.Time
		want string
	}{
		"notes that are known": {"first", now, "NoteKnown"},
		"in the future":        {"second", now.Add(time.Hour), "TimeInvalid"},
		"long ago":             {"second", now.Add(-25 * time.Hour), "TimeInvalid"},
	} {
		require.Equal(t, test.want, send(prove(handover(t, twin, notes, 1, 0, 1, test.salt, test.at))), name)
	}

	// What was given goes on, under a root that has the two new notes.
	notes = append(notes, commitment(t, w.Given()), commitment(t, w.Kept()))
	proof, inputs = prove(handover(t, w.Given(), notes, 2, 1, 0, "back", now))
	require.Equal(t, "NotesNotAccepted", send(proof, inputs))
	require.Empty(t, accept(inputs[1]))
	require.Empty(t, send(proof, inputs))
}
