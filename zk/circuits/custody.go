package circuits

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
)

// CustodyPublic is what everybody sees of a hand-over of investigational
// product: a note under Notes was spent, for the first time if Nullifier is new,
// and two stand in its place for the same product and quantity. Given belongs to
// one of Keepers, who accepted it, Kept to who gave it; every temperature since
// the note was made lay from Low to High.
type CustodyPublic struct {
	// Keepers is the root of [KeeperSet], Notes that of [NoteTree].
	Keepers Element `json:"keepers"`
	Notes   Element `json:"notes"`

	Nullifier Element `json:"nullifier"`
	Given     Element `json:"given"`
	Kept      Element `json:"kept"`

	// Time is the hand-over, in seconds since 1970.
	Time uint32 `json:"time"`

	// Low and High bound the temperatures, both included.
	Low  Temperature `json:"low"`
	High Temperature `json:"high"`
}

// Words returns the public inputs in circuit order: keepers, notes, nullifier,
// given, kept, time, low, high.
func (p CustodyPublic) Words() []Element {
	return []Element{
		p.Keepers, p.Notes, p.Nullifier, p.Given, p.Kept, uintElement(uint64(p.Time)),
		uintElement(uint64(p.Low.offset())), uintElement(uint64(p.High.offset())),
	}
}

// CustodyProof is a hand-over's statement and its proof.
type CustodyProof struct {
	Public CustodyPublic `json:"public"`
	Proof  Proof         `json:"proof"`
}

// Temperature is in hundredths of a degree Celsius.
type Temperature int16

// offset counts from the lowest temperature there is, so that none is negative.
func (t Temperature) offset() uint16 { return uint16(int32(t) + 1<<(temperatureBits-1)) }

const (
	temperatureBits = 16
	quantityBits    = 32

	// MaxReadings bounds the readings of one hand-over: they fill one element.
	MaxReadings = wordBits / temperatureBits
)

// Note stands for product in somebody's custody. Only its [Note.Commitment] is
// ever published. It neither prints nor marshals.
type Note struct {
	redacted

	// Lot and Serial name the product, each cut from a SHA-256 by [Truncate].
	Lot, Serial Element

	Quantity uint32

	// Keeper is whose custody it is in.
	Keeper PublicKey

	// Time is when it came there, in seconds since 1970.
	Time uint32

	// Salt hides the note and its nullifier: fresh for each note.
	Salt Element
}

// Commitment returns sponge(59; lot, serial, quantity, keeper, time, salt).
func (n Note) Commitment() (Element, error) {
	x, err := n.commitment()
	return fromField(x), err
}

func (n Note) commitment() (fr.Element, error) {
	xs, err := toFields("note: input", []Element{n.Lot, n.Serial, n.Salt})
	if err != nil {
		return fr.Element{}, err
	}
	if xs[2].IsZero() {
		return fr.Element{}, errors.New("note: salt is missing")
	}
	keeper, err := n.Keeper.point()
	if err != nil {
		return fr.Element{}, fmt.Errorf("note: keeper: %w", err)
	}
	return sponge(TagNote, []fr.Element{
		xs[0], xs[1], fr.NewElement(uint64(n.Quantity)), hash2(TagKeeper, keeper.X, keeper.Y), fr.NewElement(uint64(n.Time)), xs[2],
	}), nil
}

// Nullifier returns hash(60; salt, note), which is published when the note is
// spent. Equal notes have equal nullifiers, so a ledger takes no note twice.
func (n Note) Nullifier() (Element, error) {
	x, err := n.commitment()
	if err != nil {
		return Element{}, err
	}
	salt, err := toField(n.Salt)
	return fromField(hash2(TagNoteNullifier, salt, x)), err
}

// KeeperSet returns the tree over the keys of those who may take product.
func KeeperSet(depth int, keys []PublicKey) (*Tree, error) {
	t, err := keySet(TagKeeper, depth, keys)
	if err != nil {
		return nil, fmt.Errorf("keepers: %w", err)
	}
	return t, nil
}

// NoteTree returns the tree over all notes of a trial in ledger order, spent or
// not.
func NoteTree(depth int, notes []Element) (*Tree, error) {
	xs, err := toFields("note tree: note", notes)
	if err != nil {
		return nil, err
	}
	return newTree(depth, xs, fr.Element{})
}

// CustodyWitness is the private view of one hand-over. It neither prints nor
// marshals.
type CustodyWitness struct {
	redacted

	// Spent is the note that is handed over, Path its way to the root of [NoteTree].
	Spent Note
	Path  Path

	// Receiver takes Quantity, 1 to all there is; the rest stays with the giver.
	Receiver     PublicKey
	ReceiverPath Path // in the [KeeperSet]
	Quantity     uint32

	// GivenSalt and KeptSalt are those of the two new notes.
	GivenSalt, KeptSalt Element

	Time         uint32
	Temperatures []Temperature
	Low, High    Temperature

	// Gave and Took are both sides' signatures, of [SigningKey.SignHandover].
	Gave, Took Signature
}

// Given and Kept return the two notes that stand in place of the spent one.
func (w CustodyWitness) Given() Note {
	n := w.Spent
	n.Quantity, n.Keeper, n.Time, n.Salt = w.Quantity, w.Receiver, w.Time, w.GivenSalt
	return n
}

// Kept is described with [CustodyWitness.Given].
func (w CustodyWitness) Kept() Note {
	n := w.Spent
	n.Quantity, n.Time, n.Salt = w.Spent.Quantity-w.Quantity, w.Time, w.KeptSalt
	return n
}

// readings packs reading i into bits 16i to 16i+15.
func (w CustodyWitness) readings() fr.Element {
	var sum big.Int
	for i, t := range w.Temperatures {
		sum.Or(&sum, new(big.Int).Lsh(big.NewInt(int64(t.offset())), uint(temperatureBits*i)))
	}
	var x fr.Element
	x.SetBigInt(&sum)
	return x
}

// message is sponge(61; nullifier, given, kept, time, readings).
func (w CustodyWitness) message() (fr.Element, CustodyPublic, error) {
	p := CustodyPublic{Time: w.Time, Low: w.Low, High: w.High}
	var err error
	if p.Nullifier, err = w.Spent.Nullifier(); err != nil {
		return fr.Element{}, p, fmt.Errorf("spent %w", err)
	}
	if p.Given, err = w.Given().Commitment(); err != nil {
		return fr.Element{}, p, fmt.Errorf("given %w", err)
	}
	if p.Kept, err = w.Kept().Commitment(); err != nil {
		return fr.Element{}, p, fmt.Errorf("kept %w", err)
	}
	xs, err := toFields("hand-over: input", []Element{p.Nullifier, p.Given, p.Kept})
	return sponge(TagHandover, append(xs, fr.NewElement(uint64(w.Time)), w.readings())), p, err
}

// SignHandover signs a hand-over, as who gives or as who takes. Both see all of
// it but the two signatures.
func (k SigningKey) SignHandover(w CustodyWitness) (Signature, error) {
	message, _, err := w.message()
	if err != nil {
		return Signature{}, err
	}
	return k.sign(message)
}

// Public checks the witness and computes what its proof will state, without
// proving. Errors name a reading by its place, never by its value.
func (w CustodyWitness) Public(c Circuit) (CustodyPublic, error) {
	public, err := w.public(c)
	if err != nil {
		err = fmt.Errorf("custody: %w", err)
	}
	return public, err
}

// public computes the statement first and checks last that it is true.
func (w CustodyWitness) public(c Circuit) (p CustodyPublic, err error) {
	if err := c.of(custodyKind); err != nil {
		return p, err
	}
	if len(w.Temperatures) != c.sizes[2] {
		return p, fmt.Errorf("%d temperatures, the circuit has %d", len(w.Temperatures), c.sizes[2])
	}
	message, p, err := w.message()
	if err != nil {
		return p, err
	}
	spent, err := w.Spent.commitment()
	if err != nil {
		return p, err
	}
	root, err := w.Path.check(spent, c.sizes[0])
	if err != nil {
		return p, fmt.Errorf("note: %w", err)
	}
	receiver, err := w.Receiver.point()
	if err != nil {
		return p, err
	}
	keepers, err := w.ReceiverPath.check(hash2(TagKeeper, receiver.X, receiver.Y), c.sizes[1])
	if err != nil {
		return p, fmt.Errorf("receiver: %w", err)
	}
	p.Notes, p.Keepers = fromField(root), fromField(keepers)
	return p, w.check(message)
}

// check reports the first condition that is not met.
func (w CustodyWitness) check(message fr.Element) error {
	if err := w.Spent.Keeper.verify(message, w.Gave); err != nil {
		return fmt.Errorf("giver: %w", err)
	}
	if err := w.Receiver.verify(message, w.Took); err != nil {
		return fmt.Errorf("receiver: %w", err)
	}
	switch {
	case w.Quantity < 1 || w.Quantity > w.Spent.Quantity:
		return errors.New("quantity is not from 1 to what the note holds")
	case w.Time < w.Spent.Time:
		return errors.New("the time is before the last hand-over")
	}
	for i, t := range w.Temperatures {
		if t < w.Low || t > w.High {
			return fmt.Errorf("temperature %d is out of range", i)
		}
	}
	return nil
}

// Assign returns the witness as values for the circuit c, and what the proof
// will state. It fails on what [CustodyWitness.Public] fails on.
func (w CustodyWitness) Assign(c Circuit) (frontend.Circuit, CustodyPublic, error) {
	public, err := w.Public(c)
	if err != nil {
		return nil, public, err
	}
	return w.assign(public), public, nil
}

func (w CustodyWitness) assign(p CustodyPublic) *custodyCircuit {
	given, kept := w.Given(), w.Kept()
	return &custodyCircuit{
		readings: len(w.Temperatures),
		Keepers:  p.Keepers[:], Notes: p.Notes[:], Nullifier: p.Nullifier[:], Given: p.Given[:], Kept: p.Kept[:],
		Time: p.Time, Low: p.Low.offset(), High: p.High.offset(),
		Lot: w.Spent.Lot[:], Serial: w.Spent.Serial[:], Salt: w.Spent.Salt[:], Since: w.Spent.Time,
		QuantityGiven: given.Quantity, QuantityKept: kept.Quantity, GivenSalt: given.Salt[:], KeptSalt: kept.Salt[:],
		Readings: w.readings(), Path: w.Path.assign(), ReceiverPath: w.ReceiverPath.assign(),
		Giver: w.Spent.Keeper.assign(), Receiver: w.Receiver.assign(), Gave: w.Gave.assign(), Took: w.Took.assign(),
	}
}

// custodyCircuit constrains a hand-over; see DESIGN.md for the claim.
type custodyCircuit struct {
	readings int

	Keepers   frontend.Variable `gnark:",public"`
	Notes     frontend.Variable `gnark:",public"`
	Nullifier frontend.Variable `gnark:",public"`
	Given     frontend.Variable `gnark:",public"`
	Kept      frontend.Variable `gnark:",public"`
	Time      frontend.Variable `gnark:",public"`
	Low       frontend.Variable `gnark:",public"`
	High      frontend.Variable `gnark:",public"`

	// The spent note; its quantity is the sum of the two given and kept.
	Lot, Serial, Salt, Since    frontend.Variable
	QuantityGiven, QuantityKept frontend.Variable
	GivenSalt, KeptSalt         frontend.Variable
	Readings                    frontend.Variable
	Path, ReceiverPath          []stepWires
	Giver, Receiver             keyWires
	Gave, Took                  signatureWires
}

func newCustodyCircuit(n sizes) *custodyCircuit {
	return &custodyCircuit{Path: make([]stepWires, n[0]), ReceiverPath: make([]stepWires, n[1]), readings: n[2]}
}

// Define writes down the constraints.
func (c *custodyCircuit) Define(api frontend.API) error {
	g, err := newGadget(api)
	if err != nil {
		return err
	}
	giver := g.hash2(TagKeeper, c.Giver.A.X, c.Giver.A.Y)
	receiver := g.hash2(TagKeeper, c.Receiver.A.X, c.Receiver.A.Y)
	g.AssertIsEqual(c.Keepers, g.above(receiver, c.ReceiverPath))

	// Two quantities of 32 bits add up to what the note holds without wrapping.
	g.ToBinary(g.Sub(c.QuantityGiven, 1), quantityBits)
	g.ToBinary(c.QuantityKept, quantityBits)
	note := func(quantity, keeper, time, salt frontend.Variable) frontend.Variable {
		return g.sponge(TagNote, []frontend.Variable{c.Lot, c.Serial, quantity, keeper, time, salt})
	}
	spent := note(g.Add(c.QuantityGiven, c.QuantityKept), giver, c.Since, c.Salt)
	g.AssertIsEqual(c.Notes, g.above(spent, c.Path))
	g.AssertIsEqual(c.Nullifier, g.hash2(TagNoteNullifier, c.Salt, spent))
	g.AssertIsEqual(c.Given, note(c.QuantityGiven, receiver, c.Time, c.GivenSalt))
	g.AssertIsEqual(c.Kept, note(c.QuantityKept, giver, c.Time, c.KeptSalt))

	message := g.sponge(TagHandover, []frontend.Variable{c.Nullifier, c.Given, c.Kept, c.Time, c.Readings})
	if err := g.assertSigned(c.Giver, message, c.Gave); err != nil {
		return err
	}
	if err := g.assertSigned(c.Receiver, message, c.Took); err != nil {
		return err
	}

	g.assertAscending(timeBits, c.Since, c.Time)

	g.ToBinary(c.Low, temperatureBits)
	digits := g.ToBinary(c.Readings, temperatureBits*c.readings)
	for i := range c.readings {
		t := g.pack(digits[temperatureBits*i : temperatureBits*(i+1)])
		g.assertAtMost(c.Low, t, temperatureBits)
		g.assertAtMost(t, c.High, temperatureBits)
	}
	return nil
}
