package circuits

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
)

// QuizPublic is what everybody sees of a quiz: the person behind ConsentLeaf
// signed this consent to this document at Time with answers of their own, at
// least PassMark of which are right.
type QuizPublic struct {
	// Document is the hash of the version that was signed, 248 bits.
	Document Element `json:"document"`

	// AnswerKey is [CommitAnswerKey]; it is published before the first quiz.
	AnswerKey Element `json:"answerKey"`

	// PassMark is how many answers must be right.
	PassMark uint8 `json:"passMark"`

	// Time is what the participant signed, in seconds since 1970.
	Time uint32 `json:"time"`

	// Nullifier is hash(58; secret, document): one a person and version.
	Nullifier Element `json:"nullifier"`

	// ConsentLeaf is the leaf that this quiz stands behind.
	ConsentLeaf Element `json:"consentLeaf"`
}

// Words returns the public inputs in circuit order: document, answer key, pass
// mark, time, nullifier, consent leaf.
func (p QuizPublic) Words() []Element {
	return []Element{p.Document, p.AnswerKey, uintElement(uint64(p.PassMark)), uintElement(uint64(p.Time)), p.Nullifier, p.ConsentLeaf}
}

// QuizProof is a quiz's statement and its proof.
type QuizProof struct {
	Public QuizPublic `json:"public"`
	Proof  Proof      `json:"proof"`
}

const (
	// MaxQuestions bounds a quiz: its answers fill one element of 248 bits.
	MaxQuestions = wordBits / answerBits

	answerBits = 4 // an answer is one of 16 choices
	markBits   = 6 // no more than MaxQuestions
)

// Answers lists one choice a question, 0 to 15. It neither prints nor marshals.
type Answers struct {
	redacted
	choices []uint8
}

// NewAnswers takes one choice a question.
func NewAnswers(choices []uint8) (Answers, error) {
	if len(choices) < 1 || len(choices) > MaxQuestions {
		return Answers{}, fmt.Errorf("answers: %d, 1 to %d can be", len(choices), MaxQuestions)
	}
	for i, choice := range choices {
		if choice >= 1<<answerBits {
			return Answers{}, fmt.Errorf("answers: question %d has no such choice", i)
		}
	}
	return Answers{choices: append([]uint8(nil), choices...)}, nil
}

// field packs the choice of question i into bits 4i to 4i+3.
func (a Answers) field() fr.Element {
	var sum big.Int
	for i, choice := range a.choices {
		sum.Or(&sum, new(big.Int).Lsh(big.NewInt(int64(choice)), uint(answerBits*i)))
	}
	var x fr.Element
	x.SetBigInt(&sum)
	return x
}

// CommitAnswerKey hides the right answers: hash(57; salt, answers). Without the
// salt the few keys that there can be would all be tried.
func CommitAnswerKey(salt Element, key Answers) (Element, error) {
	x, err := toField(salt)
	if err != nil {
		return Element{}, fmt.Errorf("answer key: salt: %w", err)
	}
	return fromField(hash2(TagAnswerKey, x, key.field())), nil
}

// Signer returns the blind that ties a consent leaf to the key with which its
// participant signs: sponge(55; key, salt). With [Secret.Commit] a leaf then
// commits to the person and to the key; whoever signs with another key signs
// for another leaf.
func Signer(key PublicKey, salt Element) (Element, error) {
	p, err := key.point()
	if err != nil {
		return Element{}, fmt.Errorf("signer: %w", err)
	}
	x, err := toField(salt)
	if err != nil {
		return Element{}, fmt.Errorf("signer: salt: %w", err)
	}
	return fromField(sponge(TagSigner, []fr.Element{p.X, p.Y, x})), nil
}

// QuizWitness is the private view of one consent with its quiz. It neither
// prints nor marshals.
type QuizWitness struct {
	redacted

	Secret     Secret
	Signer     PublicKey // the participant's
	SignerSalt Element
	Attributes Attributes // what is consented to

	Answers       Answers
	Right         Answers
	AnswerKeySalt Element
	Signature     Signature // of [SigningKey.SignConsent]

	Document Element
	PassMark uint8
	Time     uint32
}

// message is sponge(56; document, answer key, answers, attributes, time).
func (w QuizWitness) message(key Element) (fr.Element, error) {
	xs, err := toFields("consent: input", []Element{w.Document, key})
	if err != nil {
		return fr.Element{}, err
	}
	return sponge(TagAnswers, []fr.Element{xs[0], xs[1], w.Answers.field(), w.Attributes.field(), fr.NewElement(uint64(w.Time))}), nil
}

// SignConsent signs, as the participant, the document, the answers given and
// what is consented to. It reads neither the right answers nor the secret, which
// the participant's device need not have: only their commitment, key.
func (k SigningKey) SignConsent(w QuizWitness, key Element) (Signature, error) {
	message, err := w.message(key)
	if err != nil {
		return Signature{}, err
	}
	return k.sign(message)
}

// Public checks the witness and computes what its proof will state, without
// proving. Errors name no answer.
func (w QuizWitness) Public(c Circuit) (QuizPublic, error) {
	public, err := w.public(c)
	if err != nil {
		err = fmt.Errorf("quiz: %w", err)
	}
	return public, err
}

// public computes the statement first and checks last that it is true.
func (w QuizWitness) public(c Circuit) (p QuizPublic, err error) {
	if err := c.of(quizKind); err != nil {
		return p, err
	}
	p = QuizPublic{Document: w.Document, PassMark: w.PassMark, Time: w.Time}
	questions := c.sizes[0]
	if len(w.Answers.choices) != questions || len(w.Right.choices) != questions {
		return p, fmt.Errorf("answers are not to %d questions", questions)
	}
	if p.AnswerKey, err = CommitAnswerKey(w.AnswerKeySalt, w.Right); err != nil {
		return p, err
	}
	if p.Nullifier, err = w.Secret.nullifier(TagQuizNullifier, w.Document); err != nil {
		return p, err
	}
	blind, err := Signer(w.Signer, w.SignerSalt)
	if err != nil {
		return p, err
	}
	commitment, err := w.Secret.Commit(blind)
	if err != nil {
		return p, err
	}
	if p.ConsentLeaf, err = (Consent{commitment, w.Attributes}).Leaf(); err != nil {
		return p, err
	}
	message, err := w.message(p.AnswerKey)
	if err != nil {
		return p, err
	}
	if err := w.Signer.verify(message, w.Signature); err != nil {
		return p, err
	}
	right := 0
	for i, choice := range w.Answers.choices {
		if choice == w.Right.choices[i] {
			right++
		}
	}
	if right < int(w.PassMark) {
		return p, errors.New("the pass mark is not reached")
	}
	return p, nil
}

// Assign returns the witness as values for the circuit c, and what the proof
// will state. It fails on what [QuizWitness.Public] fails on.
func (w QuizWitness) Assign(c Circuit) (frontend.Circuit, QuizPublic, error) {
	public, err := w.Public(c)
	if err != nil {
		return nil, public, err
	}
	return w.assign(public), public, nil
}

func (w QuizWitness) assign(p QuizPublic) *quizCircuit {
	return &quizCircuit{
		questions: len(w.Answers.choices),
		Document:  p.Document[:], AnswerKey: p.AnswerKey[:], PassMark: p.PassMark, Time: p.Time,
		Nullifier: p.Nullifier[:], ConsentLeaf: p.ConsentLeaf[:],
		Secret: w.Secret.x, SignerSalt: w.SignerSalt[:], Attributes: w.Attributes.field(),
		Answers: w.Answers.field(), Right: w.Right.field(), AnswerKeySalt: w.AnswerKeySalt[:],
		Signer: w.Signer.assign(), Signature: w.Signature.assign(),
	}
}

// quizCircuit constrains a quiz; see DESIGN.md for the claim.
type quizCircuit struct {
	questions int

	Document    frontend.Variable `gnark:",public"`
	AnswerKey   frontend.Variable `gnark:",public"`
	PassMark    frontend.Variable `gnark:",public"`
	Time        frontend.Variable `gnark:",public"`
	Nullifier   frontend.Variable `gnark:",public"`
	ConsentLeaf frontend.Variable `gnark:",public"`

	Secret, SignerSalt, Attributes frontend.Variable
	Answers, Right, AnswerKeySalt  frontend.Variable

	Signer    keyWires
	Signature signatureWires
}

// Define writes down the constraints.
func (c *quizCircuit) Define(api frontend.API) error {
	g, err := newGadget(api)
	if err != nil {
		return err
	}
	g.AssertIsEqual(c.AnswerKey, g.hash2(TagAnswerKey, c.AnswerKeySalt, c.Right))
	g.AssertIsEqual(c.Nullifier, g.hash2(TagQuizNullifier, c.Secret, c.Document))

	blind := g.sponge(TagSigner, []frontend.Variable{c.Signer.A.X, c.Signer.A.Y, c.SignerSalt})
	commitment := g.hash2(TagParticipant, c.Secret, blind)
	g.AssertIsEqual(c.ConsentLeaf, g.hash2(TagLeaf, commitment, c.Attributes))

	message := g.sponge(TagAnswers, []frontend.Variable{c.Document, c.AnswerKey, c.Answers, c.Attributes, c.Time})
	if err := g.assertSigned(c.Signer, message, c.Signature); err != nil {
		return err
	}

	// Mark and number of right answers both have 6 bits, so their difference
	// cannot wrap into them.
	g.ToBinary(c.PassMark, markBits)
	g.assertAtMost(c.PassMark, g.sum(c.right(g)), markBits)
	return nil
}

// right returns, question by question, whether the answer is right. Answers and
// key have one reading as digits of 4 bits, being far below the group order.
func (c *quizCircuit) right(g gadget) []frontend.Variable {
	given, key := g.ToBinary(c.Answers, answerBits*c.questions), g.ToBinary(c.Right, answerBits*c.questions)
	right := make([]frontend.Variable, c.questions)
	for i := range right {
		digit := func(bits []frontend.Variable) frontend.Variable { return g.pack(bits[answerBits*i : answerBits*(i+1)]) }
		right[i] = g.IsZero(g.Sub(digit(given), digit(key)))
	}
	return right
}
