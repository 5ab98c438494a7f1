package circuits

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

// participantVectors were computed by another implementation: see
// testdata/ORIGIN.md.
type participantVectors struct {
	Secret     Element
	Enrollment struct {
		Blind      Element
		Mask       uint64
		From, To   uint32
		ShardRoots []Element
		Shard      []Element
		Public     EnrollmentPublic
	}
	Eligibility struct {
		Salt, Code              Element
		Issuers                 []PublicKey
		Signature               Signature
		Born, Measured, Expires Day
		Value                   Measure
		Public                  EligibilityPublic
	}
	Quiz struct {
		Signer                    PublicKey
		SignerSalt, AnswerKeySalt Element
		Answers, Right            []int
		Signature                 Signature
		Public                    QuizPublic
	}
	Custody struct {
		Lot, Serial  Element
		Keepers      []PublicKey
		Salts        [3]Element
		Temperatures []Temperature
		Gave, Took   Signature
		Public       CustodyPublic
	}
}

func readParticipants(t *testing.T) (v participantVectors) {
	t.Helper()
	raw, err := os.ReadFile("testdata/participants.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &v))
	return v
}

// ascending is the oblivious output of the vectors.
func ascending() (output [64]byte) {
	for i := range output {
		output[i] = byte(i)
	}
	return output
}

func (v participantVectors) attributes() Attributes {
	return Attributes{consent.Mask(v.Enrollment.Mask), Active, v.Enrollment.From, v.Enrollment.To}
}

func path(t *testing.T, tree *Tree, err error, i int) Path {
	t.Helper()
	require.NoError(t, err)
	p, err := tree.Path(i)
	require.NoError(t, err)
	return p
}

func TestEnrollmentAgreesWithTypeScript(t *testing.T) {
	t.Parallel()
	v := readParticipants(t)
	require.Equal(t, v.Secret, fromField(PersonSecret(ascending()).x))

	shard, shardErr := ShardTree(4, v.Enrollment.Shard)
	above, aboveErr := ConsentTree(4, 2, v.Enrollment.ShardRoots)
	w := EnrollmentWitness{
		Secret: PersonSecret(ascending()), Blind: v.Enrollment.Blind, Attributes: v.attributes(),
		Path:  path(t, shard, shardErr, 2).Then(path(t, above, aboveErr, 1)),
		Trial: v.Enrollment.Public.Trial, Signal: v.Enrollment.Public.Signal, Time: v.Enrollment.Public.Time,
	}
	public, err := w.Public(tinyEnrollmentCircuit)
	require.NoError(t, err)
	require.Equal(t, v.Enrollment.Public, public)
}

func TestEligibilityAgreesWithTypeScript(t *testing.T) {
	t.Parallel()
	v := readParticipants(t)
	e, s := v.Eligibility, PersonSecret(ascending())
	issuers, issuersErr := IssuerSet(1, e.Issuers)
	holder, err := s.Holder(e.Salt)
	require.NoError(t, err)
	w := EligibilityWitness{
		Secret: s, Salt: e.Salt, Issuer: e.Issuers[1], Signature: e.Signature, Path: path(t, issuers, issuersErr, 1),
		Credential: Credential{Holder: holder, Born: e.Born, Code: e.Code, Value: e.Value, Measured: e.Measured, Expires: e.Expires},
		Trial:      e.Public.Trial, Day: e.Public.Day,
		Criterion: Criterion{MinAge: 18, MaxAge: 75, Code: e.Code, Low: 500, High: 1200, Within: 80},
	}
	a, public, err := w.Assign(tinyEligibilityCircuit)
	require.NoError(t, err)
	require.Equal(t, e.Public, public)
	require.NoError(t, solved(t, tinyEligibilityCircuit, a), "a signature that others made")
}

func TestQuizAgreesWithTypeScript(t *testing.T) {
	t.Parallel()
	v := readParticipants(t)
	q := v.Quiz
	choices := func(list []int) Answers {
		var bytes []uint8
		for _, choice := range list {
			bytes = append(bytes, uint8(choice))
		}
		return answers(t, bytes...)
	}
	w := QuizWitness{
		Secret: PersonSecret(ascending()), Signer: q.Signer, SignerSalt: q.SignerSalt, Attributes: v.attributes(),
		Answers: choices(q.Answers), Right: choices(q.Right), AnswerKeySalt: q.AnswerKeySalt, Signature: q.Signature,
		Document: q.Public.Document, PassMark: q.Public.PassMark, Time: q.Public.Time,
	}
	a, public, err := w.Assign(tinyQuizCircuit)
	require.NoError(t, err)
	require.Equal(t, q.Public, public)
	require.NoError(t, solved(t, tinyQuizCircuit, a))
}

func TestCustodyAgreesWithTypeScript(t *testing.T) {
	t.Parallel()
	c := readParticipants(t).Custody
	w := CustodyWitness{
		Spent:    Note{Lot: c.Lot, Serial: c.Serial, Quantity: 100, Keeper: c.Keepers[0], Time: c.Public.Time - 60, Salt: c.Salts[0]},
		Receiver: c.Keepers[1], Quantity: 30, GivenSalt: c.Salts[1], KeptSalt: c.Salts[2],
		Time: c.Public.Time, Temperatures: c.Temperatures, Low: c.Public.Low, High: c.Public.High, Gave: c.Gave, Took: c.Took,
	}
	spent, err := w.Spent.Commitment()
	require.NoError(t, err)
	notes, notesErr := NoteTree(1, []Element{spent})
	keepers, keepersErr := KeeperSet(1, c.Keepers)
	w.Path, w.ReceiverPath = path(t, notes, notesErr, 0), path(t, keepers, keepersErr, 1)
	a, public, err := w.Assign(tinyCustodyCircuit)
	require.NoError(t, err)
	require.Equal(t, c.Public, public)
	require.NoError(t, solved(t, tinyCustodyCircuit, a))
}
