package circuits

import (
	"errors"
	"fmt"
	"io"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
)

// EpochPublic is what everybody sees of an epoch proof: throughout the window,
// the bitmaps under MatrixRoot say who permits what, exactly as the consent
// leaves under ShardRoot do.
type EpochPublic struct {
	ShardRoot  Element `json:"shardRoot"`
	Window     Window  `json:"window"`
	MatrixRoot Element `json:"matrixRoot"`
}

// Words returns the public inputs in circuit order: shard root, window start,
// window end, matrix root.
func (p EpochPublic) Words() []Element {
	return []Element{p.ShardRoot, uintElement(uint64(p.Window.From)), uintElement(uint64(p.Window.To)), p.MatrixRoot}
}

// Salts hide the columns of one shard's matrix, one salt a scope. A node derives
// them from a secret, afresh for each epoch and shard: without salts a bitmap
// could be guessed and checked. They neither print nor marshal.
type Salts [scopes]Element

// Format hides the salts from logs.
func (Salts) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "salts:redacted") }

// MarshalJSON refuses.
func (Salts) MarshalJSON() ([]byte, error) {
	return nil, errors.New("circuits: salts must not leave the node")
}

// EpochWitness is a node's private view of one shard. It neither prints nor
// marshals.
type EpochWitness struct {
	// Consents lists the slots in order; missing ones at the end are empty.
	Consents []Consent

	// Window is when the bitmaps are to hold. A consent counts only if it is in
	// force in all of it.
	Window Window

	Salts Salts
}

// Format hides the witness from logs.
func (EpochWitness) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "epoch witness:redacted") }

// MarshalJSON refuses.
func (EpochWitness) MarshalJSON() ([]byte, error) {
	return nil, errors.New("circuits: an epoch witness must not leave the node")
}

// Public checks the witness and computes what its proof will state, without
// proving. Errors name a record by its slot, never by a value.
func (w EpochWitness) Public(c Circuit) (EpochPublic, error) {
	if !c.IsEpoch() {
		return EpochPublic{}, fmt.Errorf("epoch: circuit %s is of the other kind", c)
	}
	if err := c.Validate(); err != nil {
		return EpochPublic{}, fmt.Errorf("epoch: %w", err)
	}
	m, err := w.matrix(c.shape.ShardSize)
	if err != nil {
		return EpochPublic{}, fmt.Errorf("epoch: %w", err)
	}
	leaves := make([]fr.Element, c.shape.ShardSize)
	for i := range leaves {
		if leaves[i], err = w.slot(i).leaf(); err != nil {
			return EpochPublic{}, fmt.Errorf("epoch: record %d: %w", i, err)
		}
	}
	return EpochPublic{fromField(merkleRoot(leaves)), w.Window, fromField(m.hash().root())}, nil
}

// slot returns the consent in slot i; beyond the list slots are empty.
func (w EpochWitness) slot(i int) (c Consent) {
	if i < len(w.Consents) {
		c = w.Consents[i]
	}
	return c
}

// matrix checks all but the leaves and fills in the matrix, without hashes.
func (w EpochWitness) matrix(shardSize int) (*matrix, error) {
	if len(w.Consents) > shardSize {
		return nil, fmt.Errorf("%d consents in a shard of %d", len(w.Consents), shardSize)
	}
	if err := w.Window.Validate(); err != nil {
		return nil, err
	}
	var salts [scopes]fr.Element
	for j, salt := range w.Salts {
		x, err := toField(salt)
		if err != nil {
			return nil, fmt.Errorf("salt of scope %d: %w", j, err)
		}
		if x.IsZero() {
			return nil, fmt.Errorf("salt of scope %d is missing", j)
		}
		salts[j] = x
	}
	return newMatrix(shardSize, w.Consents, w.Window, salts), nil
}

// Assign returns the witness as values for the circuit c, and what the proof
// will state. It fails on what [EpochWitness.Public] fails on.
func (w EpochWitness) Assign(c Circuit) (frontend.Circuit, EpochPublic, error) {
	public, err := w.Public(c)
	if err != nil {
		return nil, public, err
	}
	a := newEpochCircuit(c.shape.ShardSize)
	a.ShardRoot, a.MatrixRoot = public.ShardRoot[:], public.MatrixRoot[:]
	a.From, a.To = public.Window.From, public.Window.To
	for j, salt := range w.Salts {
		a.Salts[j] = salt[:]
	}
	for i := range a.Participants {
		consent := w.slot(i)
		a.Participants[i] = consent.Participant[:]
		a.Statuses[i], a.Grants[i] = uint8(consent.Attributes.Status), consent.Attributes.grant()
	}
	return a, public, nil
}

// epochCircuit constrains an epoch; see DESIGN.md for the claim.
type epochCircuit struct {
	ShardRoot  frontend.Variable `gnark:",public"`
	From       frontend.Variable `gnark:",public"`
	To         frontend.Variable `gnark:",public"`
	MatrixRoot frontend.Variable `gnark:",public"`

	Participants []frontend.Variable
	Statuses     []frontend.Variable
	Grants       []frontend.Variable
	Salts        [scopes]frontend.Variable
}

func newEpochCircuit(shardSize int) *epochCircuit {
	return &epochCircuit{
		Participants: make([]frontend.Variable, shardSize),
		Statuses:     make([]frontend.Variable, shardSize),
		Grants:       make([]frontend.Variable, shardSize),
	}
}

// Define writes down the constraints.
func (c *epochCircuit) Define(api frontend.API) error {
	g, err := newGadget(api)
	if err != nil {
		return err
	}
	g.ToBinary(c.From, timeBits)
	g.ToBinary(c.To, timeBits)
	g.assertAtMost(c.From, c.To, timeBits)

	leaves := make([]frontend.Variable, len(c.Grants))
	var columns [scopes][]frontend.Variable
	for i, grant := range c.Grants {
		attributes := g.Add(grant, g.Mul(c.Statuses[i], statusUnit))
		leaves[i] = g.hash2(TagLeaf, c.Participants[i], attributes)
		for j, bit := range c.permitted(g, c.Statuses[i], grant) {
			columns[j] = append(columns[j], bit)
		}
	}
	g.AssertIsEqual(c.ShardRoot, g.merkleRoot(leaves))

	commitments := make([]frontend.Variable, scopes)
	for j := range commitments {
		commitments[j] = g.commitBitmap(c.Salts[j], columns[j])
	}
	g.AssertIsEqual(c.MatrixRoot, g.merkleRoot(commitments))
	return nil
}

// permitted returns, scope by scope, whether the consent is in force in the
// whole window. The leaf fixes status·2^128 + grant; with 128 boolean digits and
// a status of 0, 1 or 2 that sum has one reading. Each result is forced, so a
// node can neither add a permission nor withhold one.
func (c *epochCircuit) permitted(g gadget, status, grant frontend.Variable) []frontend.Variable {
	bits := g.ToBinary(grant, grantBits)
	to, from, mask := g.pack(bits[:timeBits]), g.pack(bits[timeBits:2*timeBits]), bits[2*timeBits:]

	// status·(2 − status) is 1 for 1, 0 for 0 and 2, and no bit for all others.
	active := g.Mul(status, g.Sub(2, status))
	g.AssertIsBoolean(active)

	started, lasts := g.bothAtMost(from, c.From, c.To, to)
	inForce := g.Mul(active, started, lasts)
	permitted := make([]frontend.Variable, scopes)
	for j := range permitted {
		permitted[j] = g.Mul(mask[j], inForce)
	}
	return permitted
}

// commitBitmap commits to bits that are already constrained to 0 or 1.
func (g gadget) commitBitmap(salt frontend.Variable, bits []frontend.Variable) frontend.Variable {
	absorbed := []frontend.Variable{salt}
	for start := 0; start < len(bits); start += wordBits {
		absorbed = append(absorbed, g.pack(bits[start:min(len(bits), start+wordBits)]))
	}
	return g.sponge(TagBitmap, absorbed)
}
