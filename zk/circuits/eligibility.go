package circuits

import (
	"errors"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
)

// EligibilityPublic is what everybody sees of a proof of eligibility: the
// person whom Nullifier stands for in Trial holds a credential of one of
// Issuers, good on Day, that meets Criterion.
type EligibilityPublic struct {
	// Issuers is the root of [IssuerSet].
	Issuers Element `json:"issuers"`

	// Trial and Nullifier are those of the person's enrollment.
	Trial     Element `json:"trial"`
	Nullifier Element `json:"nullifier"`

	// Criterion is [Criterion.Digest] of the trial's criterion on Day.
	Criterion Element `json:"criterion"`

	// Day is the day on which age and expiry are judged.
	Day Day `json:"day"`
}

// Words returns the public inputs in circuit order: issuers, trial, nullifier,
// criterion, day.
func (p EligibilityPublic) Words() []Element {
	return []Element{p.Issuers, p.Trial, p.Nullifier, p.Criterion, uintElement(uint64(p.Day))}
}

// EligibilityProof is an eligibility's statement and its proof.
type EligibilityProof struct {
	Public EligibilityPublic `json:"public"`
	Proof  Proof             `json:"proof"`
}

// IssuerSet returns the tree over the keys whose credentials a trial accepts.
// It refuses a key that is not of the prime-order group.
func IssuerSet(depth int, keys []PublicKey) (*Tree, error) {
	t, err := keySet(TagIssuer, depth, keys)
	if err != nil {
		return nil, fmt.Errorf("issuers: %w", err)
	}
	return t, nil
}

// Holder returns hash(52; secret, salt), which a credential names in place of
// a person. An issuer who is not to learn a person's nullifiers gets it and not
// the secret. The salt is the person's to keep.
func (s Secret) Holder(salt Element) (Element, error) { return s.nullifier(TagHolder, salt) }

// Credential is what an issuer knows of a person. It neither prints nor
// marshals: it is health data of the person who holds it.
type Credential struct {
	redacted

	// Holder is [Secret.Holder].
	Holder Element

	Born Day

	// Code is [LabCode] of what was measured, Value the result on the day Measured.
	Code     Element
	Value    Measure
	Measured Day

	// Expires is the last day on which the credential is good.
	Expires Day
}

// message is sponge(21; holder, born, code, value, measured, expires).
func (c Credential) message() (fr.Element, error) {
	xs, err := toFields("credential: input", []Element{c.Holder, c.Code})
	if err != nil {
		return fr.Element{}, err
	}
	if err := c.Value.check(); err != nil {
		return fr.Element{}, fmt.Errorf("credential: %w", err)
	}
	return sponge(TagCredential, []fr.Element{
		xs[0], fr.NewElement(uint64(c.Born)), xs[1], c.Value.field(), fr.NewElement(uint64(c.Measured)), fr.NewElement(uint64(c.Expires)),
	}), nil
}

// Issue signs a credential.
func (k SigningKey) Issue(c Credential) (Signature, error) {
	message, err := c.message()
	if err != nil {
		return Signature{}, err
	}
	return k.sign(message)
}

// EligibilityWitness is the private view of one proof of eligibility. It
// neither prints nor marshals.
type EligibilityWitness struct {
	redacted

	Secret Secret
	Salt   Element // of the holder

	Credential Credential
	Issuer     PublicKey
	Signature  Signature
	Path       Path // of the issuer in the [IssuerSet]

	Trial     Element
	Criterion Criterion
	Day       Day
}

// Public checks the witness and computes what its proof will state, without
// proving. Errors say which condition is not met, never by how much.
func (w EligibilityWitness) Public(c Circuit) (EligibilityPublic, error) {
	public, _, err := w.open(c)
	if err != nil {
		err = fmt.Errorf("eligibility: %w", err)
	}
	return public, err
}

// open computes the statement first and checks last that it is true.
func (w EligibilityWitness) open(c Circuit) (p EligibilityPublic, b bounds, err error) {
	if err := c.of(eligibilityKind); err != nil {
		return p, b, err
	}
	p = EligibilityPublic{Trial: w.Trial, Day: w.Day}
	if b, err = w.Criterion.on(w.Day); err != nil {
		return p, b, err
	}
	p.Criterion = fromField(b.digest())
	if p.Nullifier, err = w.Secret.Nullifier(w.Trial); err != nil {
		return p, b, err
	}
	issuer, err := w.Issuer.point()
	if err != nil {
		return p, b, fmt.Errorf("issuer: %w", err)
	}
	root, err := w.Path.check(hash2(TagIssuer, issuer.X, issuer.Y), c.sizes[0])
	if err != nil {
		return p, b, fmt.Errorf("issuer: %w", err)
	}
	p.Issuers = fromField(root)
	return p, b, w.check(b)
}

// check reports the first condition that is not met.
func (w EligibilityWitness) check(b bounds) error {
	cred := w.Credential
	message, err := cred.message()
	if err != nil {
		return err
	}
	if err := w.Issuer.verify(message, w.Signature); err != nil {
		return fmt.Errorf("credential: %w", err)
	}
	holder, err := w.Secret.Holder(w.Salt)
	if err != nil {
		return err
	}
	switch {
	case cred.Holder != holder:
		return errors.New("the credential is of another holder")
	case cred.Code != w.Criterion.Code:
		return errors.New("the credential is about another measurement")
	case cred.Value < w.Criterion.Low || cred.Value > w.Criterion.High:
		return errors.New("the value is out of range")
	case cred.Born < b.bornFirst || cred.Born > b.bornLast:
		return errors.New("the age is out of range")
	case cred.Measured < b.measuredFirst || cred.Measured > w.Day:
		return errors.New("the value is too old or of the future")
	case cred.Expires < w.Day:
		return errors.New("the credential has expired")
	}
	return nil
}

// Assign returns the witness as values for the circuit c, and what the proof
// will state. It fails on what [EligibilityWitness.Public] fails on.
func (w EligibilityWitness) Assign(c Circuit) (frontend.Circuit, EligibilityPublic, error) {
	public, b, err := w.open(c)
	if err != nil {
		return nil, public, fmt.Errorf("eligibility: %w", err)
	}
	return w.assign(public, b), public, nil
}

func (w EligibilityWitness) assign(p EligibilityPublic, b bounds) *eligibilityCircuit {
	return &eligibilityCircuit{
		Issuers: p.Issuers[:], Trial: p.Trial[:], Nullifier: p.Nullifier[:], Criterion: p.Criterion[:], Day: uint32(p.Day),
		Secret: w.Secret.x, Salt: w.Salt[:],
		Born: uint32(w.Credential.Born), Code: w.Credential.Code[:], Value: w.Credential.Value.field(),
		Measured: uint32(w.Credential.Measured), Expires: uint32(w.Credential.Expires),
		Low: b.low, High: b.high, BornFirst: uint32(b.bornFirst), BornLast: uint32(b.bornLast), MeasuredFirst: uint32(b.measuredFirst),
		Issuer: w.Issuer.assign(), Signature: w.Signature.assign(), Path: w.Path.assign(),
	}
}

// eligibilityCircuit constrains an eligibility; see DESIGN.md for the claim.
type eligibilityCircuit struct {
	Issuers   frontend.Variable `gnark:",public"`
	Trial     frontend.Variable `gnark:",public"`
	Nullifier frontend.Variable `gnark:",public"`
	Criterion frontend.Variable `gnark:",public"`
	Day       frontend.Variable `gnark:",public"`

	Secret, Salt frontend.Variable

	// The credential. Its code is also the criterion's: there is but one input.
	Born, Code, Value, Measured, Expires frontend.Variable

	// The criterion, opened.
	Low, High, BornFirst, BornLast, MeasuredFirst frontend.Variable

	Issuer    keyWires
	Signature signatureWires
	Path      []stepWires
}

func newEligibilityCircuit(depth int) *eligibilityCircuit {
	return &eligibilityCircuit{Path: make([]stepWires, depth)}
}

// Define writes down the constraints.
func (c *eligibilityCircuit) Define(api frontend.API) error {
	g, err := newGadget(api)
	if err != nil {
		return err
	}
	g.AssertIsEqual(c.Nullifier, g.hash2(TagNullifier, c.Secret, c.Trial))
	g.AssertIsEqual(c.Criterion, g.sponge(TagCriterion, []frontend.Variable{c.Code, c.Low, c.High, c.BornFirst, c.BornLast, c.MeasuredFirst}))

	holder := g.hash2(TagHolder, c.Secret, c.Salt)
	message := g.sponge(TagCredential, []frontend.Variable{holder, c.Born, c.Code, c.Value, c.Measured, c.Expires})
	if err := g.assertSigned(c.Issuer, message, c.Signature); err != nil {
		return err
	}
	issuer := g.hash2(TagIssuer, c.Issuer.A.X, c.Issuer.A.Y)
	g.AssertIsEqual(c.Issuers, g.above(issuer, c.Path))

	g.assertAscending(measureBits, c.Low, c.Value, c.High)
	g.assertAscending(timeBits, c.BornFirst, c.Born, c.BornLast)
	g.assertAscending(timeBits, c.MeasuredFirst, c.Measured, c.Day, c.Expires)
	return nil
}
