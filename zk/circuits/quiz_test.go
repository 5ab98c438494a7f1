package circuits

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
)

func TestQuizRefusesAnyChangedInput(t *testing.T) {
	t.Parallel()
	refusesAnyChange(t, tinyQuizCircuit, assigned[*quizCircuit](t, tinyQuizCircuit, tinyQuiz(t)))
}

func TestQuizNeedsThePassMark(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers  []uint8
		mark     uint8
		accepted bool
	}{
		"all right":        {[]uint8{1, 3, 15}, 3, true},
		"two of two":       {[]uint8{1, 3, 0}, 2, true},
		"one of two":       {[]uint8{1, 0, 0}, 2, false},
		"none of none":     {[]uint8{0, 0, 0}, 0, true},
		"none of one":      {[]uint8{0, 0, 0}, 1, false},
		"in another order": {[]uint8{15, 1, 3}, 1, false},
		"more than all":    {[]uint8{1, 3, 15}, 4, false},
		"mark of 6 bits":   {[]uint8{1, 3, 15}, 63, false},
		"mark of 7 bits":   {[]uint8{1, 3, 15}, 64, false},
		"highest mark":     {[]uint8{1, 3, 15}, 255, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyQuiz(t)
			w.Answers, w.PassMark = answers(t, c.answers...), c.mark
			w.sign(t)
			p, err := w.public(tinyQuizCircuit)
			agrees(t, tinyQuizCircuit, err, w.assign(p), c.accepted)
			if !c.accepted {
				require.Error(t, solved(t, tinyQuizCircuit, w.assign(p), equalToAll()), "wrong answers called right")
			}
		})
	}
}

func TestQuizRefusesAPassMarkThatWraps(t *testing.T) {
	t.Parallel()
	for name, mark := range map[string]frontend.Variable{
		"below 0": -1, "far below 0": -61, "beyond the range": 1 << markBits,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyQuiz(t)
			w.Answers = w.Right
			w.sign(t)
			c := assigned[*quizCircuit](t, tinyQuizCircuit, w)
			c.PassMark = mark
			dishonestly(t, attempt(t, tinyQuizCircuit, c))
		})
	}
}

// Pitfall 2 for answers: the prover splits wrong ones into the right ones.
func TestQuizRefusesASecondDecomposition(t *testing.T) {
	t.Parallel()
	w := tinyQuiz(t)
	w.Answers = answers(t, 0, 0, 0)
	w.sign(t)
	p, err := w.public(tinyQuizCircuit)
	require.EqualError(t, err, "the pass mark is not reached")
	right := w.Right.field()
	claimed := right.BigInt(new(big.Int))
	forge := func(q *big.Int, inputs, outputs []*big.Int) error {
		if len(outputs) == 3*answerBits {
			return digitsOf(claimed, inputs[0], q, outputs)
		}
		return paysWithTheLastDigit(q, inputs, outputs)
	}
	require.Error(t, solved(t, tinyQuizCircuit, w.assign(p), solver.OverrideHint(hintID(t, "nBits"), forge)))
}

// Answers and right answers beyond the questions' choices, signed and committed.
func TestQuizRefusesAnswersOutOfRange(t *testing.T) {
	t.Parallel()
	honest := tinyQuiz(t)
	require.NoError(t, solved(t, tinyQuizCircuit, honest.stated(t, honest.Answers.field(), honest.Right.field())), "stated by hand it is the same")
	beyond := *new(fr.Element).SetUint64(1 << (3 * answerBits))
	for name, change := range map[string]func(answers, right *fr.Element){
		"an answer to a fourth question": func(a, _ *fr.Element) { a.Add(a, &beyond) },
		"a key to a fourth question":     func(_, r *fr.Element) { r.Add(r, &beyond) },
		"both":                           func(a, r *fr.Element) { a.Add(a, &beyond); r.Add(r, &beyond) },
		"answers below 0":                func(a, _ *fr.Element) { a.Neg(a) },
		"the same fraction":              func(a, r *fr.Element) { a.Inverse(r); r.Set(a) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyQuiz(t)
			w.Answers = w.Right
			given, right := w.Answers.field(), w.Right.field()
			change(&given, &right)
			dishonestly(t, attempt(t, tinyQuizCircuit, w.stated(t, given, right)))
		})
	}
}

// stated returns the assignment for any packed answers and key.
func (w QuizWitness) stated(t *testing.T, given, right fr.Element) *quizCircuit {
	t.Helper()
	w.sign(t)
	c := assigned[*quizCircuit](t, tinyQuizCircuit, w)
	key := hash2(TagAnswerKey, field(t, w.AnswerKeySalt), right)
	s, err := signingKey(t, 3).sign(sponge(TagAnswers, []fr.Element{
		field(t, w.Document), key, given, w.Attributes.field(), fr.NewElement(uint64(w.Time)),
	}))
	require.NoError(t, err)
	c.Answers, c.Right, c.AnswerKey, c.Signature = given, right, key, s.assign()
	return c
}

// The signing key is tied to the identity by the consent leaf.
func TestQuizRefusesTheSignatureOfAnother(t *testing.T) {
	t.Parallel()
	w := tinyQuiz(t)
	honest := assigned[*quizCircuit](t, tinyQuizCircuit, w)
	key, err := CommitAnswerKey(w.AnswerKeySalt, w.Right)
	require.NoError(t, err)
	w.Signature, err = signingKey(t, 9).SignConsent(w, key)
	require.NoError(t, err)

	honest.Signature = w.Signature.assign()
	dishonestly(t, attempt(t, tinyQuizCircuit, honest))

	// With a key of the node's own making the statement is about another leaf.
	w.Signer = signingKey(t, 9).Public()
	p, err := w.public(tinyQuizCircuit)
	agrees(t, tinyQuizCircuit, err, w.assign(p), true)
	original, err := tinyQuiz(t).Public(tinyQuizCircuit)
	require.NoError(t, err)
	require.NotEqual(t, original.ConsentLeaf, p.ConsentLeaf)
	p.ConsentLeaf = original.ConsentLeaf
	dishonestly(t, attempt(t, tinyQuizCircuit, w.assign(p)))
}

// What was signed is this version, this quiz, these answers, this consent, then.
func TestQuizRefusesASignatureOverSomethingElse(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*QuizWitness){
		"another version": func(w *QuizWitness) { w.Document = secret("document", 1) },
		"another time":    func(w *QuizWitness) { w.Time++ },
		"better answers":  func(w *QuizWitness) { w.Answers = w.Right },
		"more scopes":     func(w *QuizWitness) { w.Attributes.Mask |= consent.MaskOf(consent.Conditions) },
		"another quiz":    func(w *QuizWitness) { w.Right = answers(t, 1, 2, 15) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyQuiz(t)
			change(&w)
			p, err := w.public(tinyQuizCircuit)
			require.ErrorIs(t, err, ErrSignature)
			agrees(t, tinyQuizCircuit, err, w.assign(p), false)
		})
	}
}

func TestQuizNullifier(t *testing.T) {
	t.Parallel()
	first, err := tinyQuiz(t).Public(tinyQuizCircuit)
	require.NoError(t, err)

	again := tinyQuiz(t)
	again.Answers, again.Time, again.SignerSalt = again.Right, again.Time+day, secret("signer", 1)
	again.sign(t)
	second, err := again.Public(tinyQuizCircuit)
	require.NoError(t, err)
	require.Equal(t, first.Nullifier, second.Nullifier, "the same version again")

	again.Document = secret("document", 1)
	again.sign(t)
	third, err := again.Public(tinyQuizCircuit)
	require.NoError(t, err)
	require.NotEqual(t, first.Nullifier, third.Nullifier, "another version")

	enrolled, err := person(0).Nullifier(again.Document)
	require.NoError(t, err)
	require.NotEqual(t, enrolled, third.Nullifier, "quiz and enrollment cannot be linked")
}

func TestQuizStatementHidesTheAnswers(t *testing.T) {
	t.Parallel()
	passed, better := tinyQuiz(t), tinyQuiz(t)
	better.Answers = better.Right
	better.sign(t)
	a, err := passed.Public(tinyQuizCircuit)
	require.NoError(t, err)
	b, err := better.Public(tinyQuizCircuit)
	require.NoError(t, err)
	require.Equal(t, a, b)

	salted, err := CommitAnswerKey(secret("answer key", 1), passed.Right)
	require.NoError(t, err)
	require.NotEqual(t, a.AnswerKey, salted)
}

func TestQuizWitnessIsCheckedNatively(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*QuizWitness)
		want   string
	}{
		"no secret":          {func(w *QuizWitness) { w.Secret = Secret{} }, "quiz: identity secret is missing"},
		"too few answers":    {func(w *QuizWitness) { w.Answers = answers(t, 1) }, "quiz: answers are not to 3 questions"},
		"too many right":     {func(w *QuizWitness) { w.Right = answers(t, 1, 2, 3, 4) }, "quiz: answers are not to 3 questions"},
		"salt unreduced":     {func(w *QuizWitness) { w.AnswerKeySalt = modulus() }, "quiz: answer key: salt: not a canonical field element"},
		"signer unreduced":   {func(w *QuizWitness) { w.SignerSalt = modulus() }, "quiz: signer: salt: not a canonical field element"},
		"no signer":          {func(w *QuizWitness) { w.Signer = PublicKey{} }, "quiz: signer: not a point of the curve's prime-order group"},
		"document unreduced": {func(w *QuizWitness) { w.Document = modulus() }, "quiz: not a canonical field element"},
		"unknown status":     {func(w *QuizWitness) { w.Attributes.Status = 3 }, "quiz: status is none of those there are"},
		"no signature":       {func(w *QuizWitness) { w.Signature = Signature{} }, "quiz: the signature does not hold"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyQuiz(t)
			c.change(&w)
			_, _, err := w.Assign(tinyQuizCircuit)
			require.EqualError(t, err, c.want)
		})
	}
	_, err := NewAnswers(nil)
	require.EqualError(t, err, "answers: 0, 1 to 62 can be")
	_, err = NewAnswers(make([]uint8, MaxQuestions+1))
	require.Error(t, err)
	_, err = NewAnswers([]uint8{15, 16})
	require.EqualError(t, err, "answers: question 1 has no such choice")
}
