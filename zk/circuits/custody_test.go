package circuits

import (
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"
)

func TestCustodyRefusesAnyChangedInput(t *testing.T) {
	t.Parallel()
	refusesAnyChange(t, tinyCustodyCircuit, assigned[*custodyCircuit](t, tinyCustodyCircuit, tinyCustody(t)))
}

func TestCustodyAtTheBounds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change   func(*CustodyWitness)
		accepted bool
	}{
		"one pack":            {func(w *CustodyWitness) { w.Quantity = 1 }, true},
		"all packs":           {func(w *CustodyWitness) { w.Quantity = 100 }, true},
		"none":                {func(w *CustodyWitness) { w.Quantity = 0 }, false},
		"more than there are": {func(w *CustodyWitness) { w.Quantity = 101 }, false},
		"at once":             {func(w *CustodyWitness) { w.Time = w.Spent.Time }, true},
		"a second before":     {func(w *CustodyWitness) { w.Time = w.Spent.Time - 1 }, false},
		"in 2106":             {func(w *CustodyWitness) { w.Time = 1<<32 - 1 }, true},
		"too cold":            {func(w *CustodyWitness) { w.Temperatures[1] = -51 }, false},
		"too warm":            {func(w *CustodyWitness) { w.Temperatures[0] = 801 }, false},
		"warmest there is":    {func(w *CustodyWitness) { w.Temperatures[1] = 1<<15 - 1 }, false},
		"any temperature":     {func(w *CustodyWitness) { w.Low, w.High = -1<<15, 1<<15-1 }, true},
		"to oneself":          {func(w *CustodyWitness) { w.Receiver = signingKey(t, 4).Public() }, false}, // 5 signed
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyCustody(t)
			c.change(&w)
			w.place(t)
			w.sign(t)
			p, err := w.public(tinyCustodyCircuit)
			agrees(t, tinyCustodyCircuit, err, w.assign(p), c.accepted)
		})
	}
}

// Pitfall 3: notes over numbers beyond their ranges, with everything else true
// to them, so that only the ranges are left.
func TestCustodyRefusesNumbersThatWrap(t *testing.T) {
	t.Parallel()
	honest := assigned[*custodyCircuit](t, tinyCustodyCircuit, tinyCustody(t))
	honest.restate(t)
	require.NoError(t, solved(t, tinyCustodyCircuit, honest), "restated it is the same")
	minus := func(n uint64) fr.Element { x := fr.NewElement(n); return *x.Neg(&x) }
	for name, change := range map[string]func(*custodyCircuit){
		"kept below 0":           func(c *custodyCircuit) { c.QuantityGiven, c.QuantityKept = 101, minus(1) },
		"given below 0":          func(c *custodyCircuit) { c.QuantityGiven, c.QuantityKept = minus(1), 101 },
		"nothing given":          func(c *custodyCircuit) { c.QuantityGiven, c.QuantityKept = 0, 100 },
		"beyond 32 bits":         func(c *custodyCircuit) { c.QuantityKept = uint64(1 << 32) },
		"the last time below 0":  func(c *custodyCircuit) { c.Since = minus(1) },
		"both times below 0":     func(c *custodyCircuit) { c.Since, c.Time = minus(5), minus(1) },
		"time 32 bits later":     func(c *custodyCircuit) { c.Time = uint64(today.From) + 1<<32 },
		"low below all":          func(c *custodyCircuit) { c.Low = minus(1) },
		"high below 0":           func(c *custodyCircuit) { c.High = minus(1) },
		"high 16 bits above":     func(c *custodyCircuit) { c.High = 1<<temperatureBits + 1<<15 - 50 },
		"a third reading":        func(c *custodyCircuit) { c.Readings = more(c.Readings, 1<<(2*temperatureBits)) },
		"readings below 0":       func(c *custodyCircuit) { c.Readings = minus(1) },
		"more came than was had": func(c *custodyCircuit) { c.QuantityGiven = uint64(1<<32 + 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := assigned[*custodyCircuit](t, tinyCustodyCircuit, tinyCustody(t))
			change(c)
			c.restate(t)
			dishonestly(t, attempt(t, tinyCustodyCircuit, c))
		})
	}
}

func more(v frontend.Variable, n uint64) frontend.Variable {
	var x, y fr.Element
	if _, err := x.SetInterface(v); err != nil {
		panic(err)
	}
	return *x.Add(&x, y.SetUint64(n))
}

// restate makes notes, roots, nullifier and signatures true of whatever numbers
// there are.
func (c *custodyCircuit) restate(t *testing.T) {
	t.Helper()
	keeper := func(k keyWires) fr.Element { return hash2(TagKeeper, number(t, k.A.X), number(t, k.A.Y)) }
	note := func(quantity, keeper fr.Element, time, salt frontend.Variable) fr.Element {
		return sponge(TagNote, []fr.Element{number(t, c.Lot), number(t, c.Serial), quantity, keeper, number(t, time), number(t, salt)})
	}
	given, kept := number(t, c.QuantityGiven), number(t, c.QuantityKept)
	var held fr.Element
	spent := note(*held.Add(&given, &kept), keeper(c.Giver), c.Since, c.Salt)
	notes, err := newTree(1, []fr.Element{spent}, fr.Element{})
	require.NoError(t, err)
	root := notes.Root()
	c.Notes, c.Path = root[:], path(t, notes, nil, 0).assign()
	c.Nullifier = hash2(TagNoteNullifier, number(t, c.Salt), spent)
	c.Given, c.Kept = note(given, keeper(c.Receiver), c.Time, c.GivenSalt), note(kept, keeper(c.Giver), c.Time, c.KeptSalt)
	c.sign(t)
}

// sign has both sides sign whatever is stated.
func (c *custodyCircuit) sign(t *testing.T) {
	t.Helper()
	message := sponge(TagHandover, []fr.Element{
		number(t, c.Nullifier), number(t, c.Given), number(t, c.Kept), number(t, c.Time), number(t, c.Readings),
	})
	gave, err := signingKey(t, 4).sign(message)
	require.NoError(t, err)
	took, err := signingKey(t, 5).sign(message)
	require.NoError(t, err)
	c.Gave, c.Took = gave.assign(), took.assign()
}

func number(t *testing.T, v frontend.Variable) (x fr.Element) {
	t.Helper()
	_, err := x.SetInterface(v)
	require.NoError(t, err)
	return x
}

func TestCustodyRefusesAReceiverOutsideTheSet(t *testing.T) {
	t.Parallel()
	w := tinyCustody(t)
	thief := signingKey(t, 9)
	w.Receiver = thief.Public()
	var err error
	w.Gave, err = signingKey(t, 4).SignHandover(w)
	require.NoError(t, err)
	w.Took, err = thief.SignHandover(w)
	require.NoError(t, err)
	_, err = w.Public(tinyCustodyCircuit)
	require.EqualError(t, err, "custody: receiver: path does not start here")

	p, err := tinyCustody(t).Public(tinyCustodyCircuit)
	require.NoError(t, err)
	p.Given, err = w.Given().Commitment()
	require.NoError(t, err)
	dishonestly(t, attempt(t, tinyCustodyCircuit, w.assign(p)))

	// An issuer of credentials is no keeper.
	issuers, err := IssuerSet(1, []PublicKey{thief.Public()})
	require.NoError(t, err)
	w.ReceiverPath, err = issuers.Path(0)
	require.NoError(t, err)
	p.Keepers = issuers.Root()
	dishonestly(t, attempt(t, tinyCustodyCircuit, w.assign(p)))
}

// Neither side can hand over alone, and nobody the notes of others.
func TestCustodyNeedsBothSignatures(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*CustodyWitness){
		"the giver did not sign":    func(w *CustodyWitness) { w.Gave = w.Took },
		"the receiver did not sign": func(w *CustodyWitness) { w.Took = w.Gave },
		"one asked for more":        func(w *CustodyWitness) { w.Quantity++ },
		"a reading was changed":     func(w *CustodyWitness) { w.Temperatures[0]-- },
		"time was changed":          func(w *CustodyWitness) { w.Time++ },
		"a note was changed":        func(w *CustodyWitness) { w.KeptSalt = secret("note", 7) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyCustody(t)
			change(&w)
			p, err := w.public(tinyCustodyCircuit)
			require.ErrorIs(t, err, ErrSignature)
			agrees(t, tinyCustodyCircuit, err, w.assign(p), false)
		})
	}
	t.Run("who is not the keeper", func(t *testing.T) {
		t.Parallel()
		c := assigned[*custodyCircuit](t, tinyCustodyCircuit, tinyCustody(t))
		c.Giver, c.Gave = c.Receiver, c.Took
		dishonestly(t, attempt(t, tinyCustodyCircuit, c))
	})
}

// A spent note shows the same nullifier, whatever else is said and signed.
func TestCustodySpendsANoteOnce(t *testing.T) {
	t.Parallel()
	first, err := tinyCustody(t).Public(tinyCustodyCircuit)
	require.NoError(t, err)
	again := tinyCustody(t)
	again.Quantity, again.Time, again.GivenSalt, again.KeptSalt = 70, again.Time+day, secret("note", 8), secret("note", 9)
	again.sign(t)
	second, err := again.Public(tinyCustodyCircuit)
	require.NoError(t, err)
	require.Equal(t, first.Nullifier, second.Nullifier)

	c := assigned[*custodyCircuit](t, tinyCustodyCircuit, again)
	other, err := again.Given().Nullifier()
	require.NoError(t, err)
	c.Nullifier = other[:]
	c.sign(t)
	dishonestly(t, attempt(t, tinyCustodyCircuit, c))
}

// A chain of hand-overs: what was received is handed on, and cannot be before.
func TestCustodyChain(t *testing.T) {
	t.Parallel()
	first := tinyCustody(t)
	_, err := first.Public(tinyCustodyCircuit)
	require.NoError(t, err)

	next := first
	next.Spent, next.Receiver, next.Quantity = first.Given(), first.Spent.Keeper, 30
	next.GivenSalt, next.KeptSalt, next.Time = secret("note", 3), secret("note", 4), first.Time+1
	spent, err := next.Spent.Commitment()
	require.NoError(t, err)
	kept, err := first.Kept().Commitment()
	require.NoError(t, err)
	notes, err := NoteTree(1, []Element{spent, kept})
	require.NoError(t, err)
	next.Path, err = notes.Path(0)
	require.NoError(t, err)
	keepers, err := KeeperSet(1, []PublicKey{next.Receiver})
	require.NoError(t, err)
	next.ReceiverPath, err = keepers.Path(0)
	require.NoError(t, err)
	sign := func() {
		var err error
		next.Gave, err = signingKey(t, 5).SignHandover(next)
		require.NoError(t, err)
		next.Took, err = signingKey(t, 4).SignHandover(next)
		require.NoError(t, err)
	}
	sign()
	p, err := next.public(tinyCustodyCircuit)
	agrees(t, tinyCustodyCircuit, err, next.assign(p), true)

	next.Time = first.Time - 1
	sign()
	p, err = next.public(tinyCustodyCircuit)
	require.EqualError(t, err, "the time is before the last hand-over")
	agrees(t, tinyCustodyCircuit, err, next.assign(p), false)
}

// Lot, serial, quantity and keeper under another salt look unrelated.
func TestNotesHideTheirContent(t *testing.T) {
	t.Parallel()
	a := tinyCustody(t).Spent
	b := a
	b.Salt = secret("note", 9)
	for _, of := range []func(Note) (Element, error){Note.Commitment, Note.Nullifier} {
		first, err := of(a)
		require.NoError(t, err)
		second, err := of(b)
		require.NoError(t, err)
		require.NotEqual(t, first, second)
	}
	b.Salt = Element{}
	_, err := b.Commitment()
	require.EqualError(t, err, "note: salt is missing")
}

func TestCustodyWitnessIsCheckedNatively(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*CustodyWitness)
		want   string
	}{
		"a reading less":   {func(w *CustodyWitness) { w.Temperatures = w.Temperatures[:1] }, "custody: 1 temperatures, the circuit has 2"},
		"lot unreduced":    {func(w *CustodyWitness) { w.Spent.Lot = modulus() }, "custody: spent note: input 0: not a canonical field element"},
		"no given salt":    {func(w *CustodyWitness) { w.GivenSalt = Element{} }, "custody: given note: salt is missing"},
		"no kept salt":     {func(w *CustodyWitness) { w.KeptSalt = Element{} }, "custody: kept note: salt is missing"},
		"no receiver":      {func(w *CustodyWitness) { w.Receiver = PublicKey{} }, "custody: given note: keeper: not a point of the curve's prime-order group"},
		"another note":     {func(w *CustodyWitness) { w.Spent.Quantity++ }, "custody: note: path does not start here"},
		"another receiver": {func(w *CustodyWitness) { w.Receiver = signingKey(t, 9).Public() }, "custody: receiver: path does not start here"},
		"no signature":     {func(w *CustodyWitness) { w.Gave = Signature{} }, "custody: giver: the signature does not hold"},
		"nobody took it":   {func(w *CustodyWitness) { w.Took = Signature{} }, "custody: receiver: the signature does not hold"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyCustody(t)
			c.change(&w)
			_, _, err := w.Assign(tinyCustodyCircuit)
			require.EqualError(t, err, c.want)
		})
	}
}
