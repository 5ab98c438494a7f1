package circuits

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/consensys/gnark/frontend"
)

// EnrollmentPublic is what everybody sees of an enrollment: somebody whose
// consent is under Root and in force at Time enrolls in Trial, and it is the
// person whom Nullifier stands for in this trial.
type EnrollmentPublic struct {
	// Root is the root of [ConsentTree] over the shard roots on the ledger.
	Root Element `json:"root"`

	// Trial names the trial, as [Secret.Nullifier] takes it.
	Trial Element `json:"trial"`

	Nullifier Element `json:"nullifier"`

	// Signal is the hash of what is enrolled with, 248 bits; it makes the proof good for one enrollment.
	Signal Element `json:"signal"`

	// Time is when the consent is in force, in seconds since 1970.
	Time uint32 `json:"time"`
}

// Words returns the public inputs in circuit order: root, trial, nullifier,
// signal, time.
func (p EnrollmentPublic) Words() []Element {
	return []Element{p.Root, p.Trial, p.Nullifier, p.Signal, uintElement(uint64(p.Time))}
}

// EnrollmentProof is an enrollment's statement and its proof.
type EnrollmentProof struct {
	Public EnrollmentPublic `json:"public"`
	Proof  Proof            `json:"proof"`
}

// ConsentTree returns the tree over the shard roots of all sites in ledger
// order, so that an enrollment does not say at which site it was. depth counts
// from a consent leaf to the root. Anybody computes it from the ledger.
func ConsentTree(shardSize, depth int, shardRoots []Element) (*Tree, error) {
	empty, err := ShardRoot(shardSize, nil)
	if err != nil {
		return nil, fmt.Errorf("consent tree: %w", err)
	}
	xs, err := toFields("consent tree: root", append(shardRoots[:len(shardRoots):len(shardRoots)], empty))
	if err != nil {
		return nil, err
	}
	last := len(xs) - 1
	return newTree(depth-shardDepth(shardSize), xs[:last], xs[last])
}

// ShardTree returns the tree over a shard's leaves. Its paths continue in a
// [ConsentTree].
func ShardTree(shardSize int, leaves []Element) (*Tree, error) {
	if err := (Shape{ShardSize: shardSize}).Epoch().Validate(); err != nil {
		return nil, err
	}
	xs, err := toFields("shard tree: leaf", leaves)
	if err != nil {
		return nil, err
	}
	return newTree(shardDepth(shardSize), xs, emptyLeaf())
}

func shardDepth(shardSize int) int { return bits.TrailingZeros(uint(shardSize)) / 2 }

// EnrollmentWitness is the private view of one enrollment. It neither prints
// nor marshals.
type EnrollmentWitness struct {
	redacted

	Secret     Secret
	Blind      Element
	Attributes Attributes

	// Path leads from the consent leaf through its shard to the root.
	Path Path

	Trial, Signal Element
	Time          uint32
}

// Public checks the witness and computes what its proof will state, without
// proving.
func (w EnrollmentWitness) Public(c Circuit) (EnrollmentPublic, error) {
	public, err := w.public(c)
	if err != nil {
		err = fmt.Errorf("enrollment: %w", err)
	}
	return public, err
}

// public computes the statement first and checks last that it is true, so that
// tests can state what is not.
func (w EnrollmentWitness) public(c Circuit) (p EnrollmentPublic, err error) {
	if err := c.of(enrollmentKind); err != nil {
		return p, err
	}
	p = EnrollmentPublic{Trial: w.Trial, Signal: w.Signal, Time: w.Time}
	if err := CheckElement(w.Signal); err != nil {
		return p, fmt.Errorf("signal: %w", err)
	}
	if p.Nullifier, err = w.Secret.Nullifier(w.Trial); err != nil {
		return p, err
	}
	commitment, err := w.Secret.Commit(w.Blind)
	if err != nil {
		return p, err
	}
	leaf, err := Consent{commitment, w.Attributes}.leaf()
	if err != nil {
		return p, err
	}
	root, err := w.Path.check(leaf, c.sizes[0])
	if err != nil {
		return p, err
	}
	p.Root = fromField(root)
	if a := w.Attributes; a.Status != Active || w.Time < a.From || w.Time >= a.To {
		return p, errors.New("the consent is not in force at that time")
	}
	return p, nil
}

// Assign returns the witness as values for the circuit c, and what the proof
// will state. It fails on what [EnrollmentWitness.Public] fails on.
func (w EnrollmentWitness) Assign(c Circuit) (frontend.Circuit, EnrollmentPublic, error) {
	public, err := w.Public(c)
	if err != nil {
		return nil, public, err
	}
	return w.assign(public), public, nil
}

func (w EnrollmentWitness) assign(p EnrollmentPublic) *enrollmentCircuit {
	return &enrollmentCircuit{
		Root: p.Root[:], Trial: p.Trial[:], Nullifier: p.Nullifier[:], Signal: p.Signal[:], Time: p.Time,
		Secret: w.Secret.x, Blind: w.Blind[:], Grant: w.Attributes.grant(), Path: w.Path.assign(),
	}
}

// enrollmentCircuit constrains an enrollment; see DESIGN.md for the claim.
type enrollmentCircuit struct {
	Root      frontend.Variable `gnark:",public"`
	Trial     frontend.Variable `gnark:",public"`
	Nullifier frontend.Variable `gnark:",public"`
	Signal    frontend.Variable `gnark:",public"`
	Time      frontend.Variable `gnark:",public"`

	Secret frontend.Variable
	Blind  frontend.Variable
	Grant  frontend.Variable
	Path   []stepWires
}

func newEnrollmentCircuit(depth int) *enrollmentCircuit {
	return &enrollmentCircuit{Path: make([]stepWires, depth)}
}

// Define writes down the constraints.
func (c *enrollmentCircuit) Define(api frontend.API) error {
	g, err := newGadget(api)
	if err != nil {
		return err
	}
	// As with an access, an input in no constraint could be exchanged in a
	// finished proof.
	g.Mul(c.Signal, c.Signal)

	grant := g.ToBinary(c.Grant, grantBits)
	to, from := g.pack(grant[:timeBits]), g.pack(grant[timeBits:2*timeBits])
	g.assertAtMost(from, c.Time, timeBits)
	g.assertAtMost(g.Add(c.Time, 1), to, timeBits)

	// The status is not an input: no leaf but an active one can be opened.
	attributes := g.Add(c.Grant, g.Mul(uint8(Active), statusUnit))
	commitment := g.hash2(TagParticipant, c.Secret, c.Blind)
	leaf := g.hash2(TagLeaf, commitment, attributes)
	g.AssertIsEqual(c.Root, g.above(leaf, c.Path))
	g.AssertIsEqual(c.Nullifier, g.hash2(TagNullifier, c.Secret, c.Trial))
	return nil
}
