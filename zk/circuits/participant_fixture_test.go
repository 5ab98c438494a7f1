package circuits

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

// The smallest circuits about one person or one parcel in which everything happens.
var (
	tinyEnrollmentCircuit  = Enrollment(2)
	tinyEligibilityCircuit = Eligibility(1)
	tinyQuizCircuit        = Quiz(3)
	tinyCustodyCircuit     = Custody(1, 1, 2)
)

// person returns an identity secret, the same each time.
func person(i int) Secret {
	var output [64]byte
	first, second := secret("output", 2*i), secret("output", 2*i+1)
	copy(output[:], first[:])
	copy(output[32:], second[:])
	return PersonSecret(output)
}

func signingKey(t testing.TB, i int) SigningKey {
	t.Helper()
	k, err := NewSigningKey(secret("seed", i))
	require.NoError(t, err)
	return k
}

func dayOf(t testing.TB, year int, month time.Month, day int) Day {
	t.Helper()
	d, err := NewDay(time.Date(year, month, day, 9, 0, 0, 0, time.UTC))
	require.NoError(t, err)
	return d
}

// enrollmentAt is person 0's enrollment in trial 0, whose consent has the given
// attributes and is in slot 1 of the given shard of three.
func enrollmentAt(t testing.TB, shard int, attributes Attributes) EnrollmentWitness {
	t.Helper()
	w := EnrollmentWitness{
		Secret: person(0), Blind: secret("blind", shard), Attributes: attributes,
		Trial: secret("trial", 0), Signal: secret("signal", 0), Time: today.From,
	}
	commitment, err := w.Secret.Commit(w.Blind)
	require.NoError(t, err)
	leaf, err := Consent{commitment, attributes}.Leaf()
	require.NoError(t, err)
	var roots []Element
	for k := range 3 {
		leaves := []Element{secret("leaf", 4*k), secret("leaf", 4*k+1), secret("leaf", 4*k+2)}
		if k == shard {
			leaves[1] = leaf
		}
		tree, err := ShardTree(4, leaves)
		require.NoError(t, err)
		if k == shard {
			w.Path, err = tree.Path(1)
			require.NoError(t, err)
		}
		roots = append(roots, tree.Root())
	}
	tree, err := ConsentTree(4, 2, roots)
	require.NoError(t, err)
	above, err := tree.Path(shard)
	require.NoError(t, err)
	w.Path = w.Path.Then(above)
	return w
}

// tinyEnrollment is in the last second of its consent.
func tinyEnrollment(t testing.TB) EnrollmentWitness {
	attributes := wide(consent.Statistics)
	attributes.To = today.From + 1
	return enrollmentAt(t, 2, attributes)
}

// creatinine is a criterion: aged 18 to 75, 0.5 to 1.2 mg/dL within 30 days.
var creatinine = Criterion{MinAge: 18, MaxAge: 75, Code: LabCode("2160-0", "mg/dL"), Low: 500, High: 1200, Within: 30}

// tinyEligibility holds a credential of issuer 1 of three that meets creatinine
// and is good for the last day.
func tinyEligibility(t testing.TB) EligibilityWitness {
	return eligibilityWith(t, func(*Credential) {})
}

// eligibilityWith has a credential that says something else as well.
func eligibilityWith(t testing.TB, change func(*Credential)) EligibilityWitness {
	t.Helper()
	w := EligibilityWitness{Secret: person(0), Salt: secret("holder", 0), Trial: secret("trial", 0), Criterion: creatinine, Day: dayOf(t, 2026, 11, 23)}
	holder, err := w.Secret.Holder(w.Salt)
	require.NoError(t, err)
	w.Credential = Credential{
		Holder: holder, Born: dayOf(t, 1980, 2, 29), Code: creatinine.Code, Value: 900,
		Measured: w.Day - 7, Expires: w.Day,
	}
	change(&w.Credential)
	keys := []PublicKey{signingKey(t, 0).Public(), signingKey(t, 1).Public(), signingKey(t, 2).Public()}
	w.Issuer = keys[1]
	w.Signature, err = signingKey(t, 1).Issue(w.Credential)
	require.NoError(t, err)
	issuers, err := IssuerSet(1, keys)
	require.NoError(t, err)
	w.Path, err = issuers.Path(1)
	require.NoError(t, err)
	return w
}

// tinyQuiz answers two of three questions right, which passes.
func tinyQuiz(t testing.TB) QuizWitness {
	t.Helper()
	w := QuizWitness{
		Secret: person(0), Signer: signingKey(t, 3).Public(), SignerSalt: secret("signer", 0), Attributes: wide(consent.Statistics),
		AnswerKeySalt: secret("answer key", 0), Document: secret("document", 0), PassMark: 2, Time: today.From,
	}
	w.Answers, w.Right = answers(t, 1, 2, 15), answers(t, 1, 3, 15)
	w.sign(t)
	return w
}

func answers(t testing.TB, choices ...uint8) Answers {
	t.Helper()
	a, err := NewAnswers(choices)
	require.NoError(t, err)
	return a
}

func (w *QuizWitness) sign(t testing.TB) {
	t.Helper()
	key, err := CommitAnswerKey(w.AnswerKeySalt, w.Right)
	require.NoError(t, err)
	w.Signature, err = signingKey(t, 3).SignConsent(*w, key)
	require.NoError(t, err)
}

// tinyCustody hands 30 of 100 packs over, from keeper 4 to keeper 5.
func tinyCustody(t testing.TB) CustodyWitness {
	t.Helper()
	w := CustodyWitness{
		Spent: Note{
			Lot: secret("lot", 0), Serial: secret("serial", 0), Quantity: 100,
			Keeper: signingKey(t, 4).Public(), Time: today.From, Salt: secret("note", 0),
		},
		Receiver: signingKey(t, 5).Public(), Quantity: 30, GivenSalt: secret("note", 1), KeptSalt: secret("note", 2),
		Time: today.From + 3600, Temperatures: []Temperature{800, -50}, Low: -50, High: 800,
	}
	w.place(t)
	w.sign(t)
	return w
}

// place puts the note on the ledger, and the receiver among the keepers.
func (w *CustodyWitness) place(t testing.TB) {
	t.Helper()
	spent, err := w.Spent.Commitment()
	require.NoError(t, err)
	notes, err := NoteTree(1, []Element{secret("other note", 0), secret("other note", 1), spent})
	require.NoError(t, err)
	w.Path, err = notes.Path(2)
	require.NoError(t, err)
	keepers, err := KeeperSet(1, []PublicKey{signingKey(t, 4).Public(), w.Receiver})
	require.NoError(t, err)
	w.ReceiverPath, err = keepers.Path(1)
	require.NoError(t, err)
}

func (w *CustodyWitness) sign(t testing.TB) {
	t.Helper()
	var err error
	w.Gave, err = signingKey(t, 4).SignHandover(*w)
	require.NoError(t, err)
	w.Took, err = signingKey(t, 5).SignHandover(*w)
	require.NoError(t, err)
}

// solved reports whether the assignment satisfies the circuit.
func solved(t testing.TB, c Circuit, assignment frontend.Circuit, options ...solver.Option) error {
	t.Helper()
	system, err := c.Compile()
	require.NoError(t, err)
	witness, err := frontend.NewWitness(assignment, ecc.BN254.ScalarField())
	require.NoError(t, err)
	_, err = system.Solve(witness, options...)
	return err
}

// assigner is a witness of participant.go with the public inputs P.
type assigner[P any] interface {
	Assign(Circuit) (frontend.Circuit, P, error)
}

// assigned returns the witness as an assignment of type A.
func assigned[A frontend.Circuit, P any](t testing.TB, c Circuit, w assigner[P]) A {
	t.Helper()
	a, _, err := w.Assign(c)
	require.NoError(t, err)
	return a.(A)
}

// refusesAnyChange changes one input of an honest assignment after the other,
// found by reflection so that a new input cannot forget this test. A private input
// is refused. Of a public input one more and one less are tried: one of the two
// may be a weaker statement that is true as well. An unbound one is in no
// constraint that computes anything, and only a finished proof holds it.
func refusesAnyChange(t *testing.T, c Circuit, assignment frontend.Circuit, unbound ...string) {
	t.Helper()
	require.NoError(t, solved(t, c, assignment))
	inputs := 0
	eachInput(reflect.ValueOf(assignment), "", func(name string, public bool, at reflect.Value) {
		inputs++
		honest := at.Interface()
		refused := 0
		list := changes(name, public, honest)
		for _, changed := range list {
			at.Set(reflect.ValueOf(&changed).Elem())
			if solved(t, c, assignment) != nil {
				refused++
			}
		}
		at.Set(reflect.ValueOf(&honest).Elem())
		switch {
		case slices.Contains(unbound, name):
			require.Zero(t, refused, name)
		case public:
			require.Positive(t, refused, name)
		default:
			require.Equal(t, len(list), refused, name)
		}
	})
	system, err := c.Compile()
	require.NoError(t, err)
	_, private, public := system.GetNbVariables()
	require.Equal(t, private+public-1, inputs, "all inputs were changed")
	require.NoError(t, solved(t, c, assignment), "the honest assignment is as it was")
}

// changes returns other values: for a digit of an index the other digit.
func changes(name string, public bool, v frontend.Variable) []frontend.Variable {
	if strings.Contains(name, ".Index.") {
		return []frontend.Variable{flip(v)}
	}
	more := other(v).(fr.Element)
	if !public {
		return []frontend.Variable{more}
	}
	var less, two fr.Element
	return []frontend.Variable{more, *less.Sub(&more, two.SetUint64(2))}
}

var variable = reflect.TypeFor[frontend.Variable]()

func eachInput(v reflect.Value, name string, do func(name string, public bool, at reflect.Value)) {
	switch {
	case v.Type() == variable:
		do(name, false, v)
	case v.Kind() == reflect.Pointer:
		eachInput(v.Elem(), name, do)
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Array:
		for i := range v.Len() {
			eachInput(v.Index(i), fmt.Sprint(name, ".", i), do)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Tag.Get("gnark") == ",public" {
				do(f.Name, true, v.Field(i))
			} else if f.IsExported() {
				eachInput(v.Field(i), name+"."+f.Name, do)
			}
		}
	}
}
