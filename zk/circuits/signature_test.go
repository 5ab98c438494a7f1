package circuits

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/twistededwards"
	cs "github.com/consensys/gnark/constraint/bn254"
	"github.com/consensys/gnark/constraint/solver"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/test"
	"github.com/stretchr/testify/require"
)

// signed is a signature's check alone.
type signed struct {
	Key       keyWires
	Message   frontend.Variable
	Signature signatureWires
}

func (s *signed) Define(api frontend.API) error {
	g, err := newGadget(api)
	if err != nil {
		return err
	}
	return g.assertSigned(s.Key, s.Message, s.Signature)
}

// dishonestly solves with honest hints and with digits that pay.
func dishonestly(t *testing.T, solve func(...solver.Option) error) {
	t.Helper()
	require.Error(t, solve(), "honest hints")
	require.Error(t, solve(solver.OverrideHint(hintID(t, "nBits"), paysWithTheLastDigit)), "forged digits")
}

// equalToAll forges the hint of IsZero.
func equalToAll() solver.Option {
	return solver.OverrideHint(solver.GetHintID(solver.InvZeroHint), saysZero)
}

// paysWithTheLastDigit splits any value into digits, however few: the last one
// makes up for what the others lack and is no digit then.
func paysWithTheLastDigit(q *big.Int, inputs, outputs []*big.Int) error {
	return digitsOf(inputs[0], inputs[0], q, outputs)
}

// digitsOf claims the digits of one value for another.
func digitsOf(claimed, value, q *big.Int, outputs []*big.Int) error {
	rest := new(big.Int).Set(value)
	last := len(outputs) - 1
	for i := range last {
		outputs[i].SetUint64(uint64(claimed.Bit(i)))
		rest.Sub(rest, new(big.Int).Lsh(outputs[i], uint(i)))
	}
	weight := new(big.Int).Lsh(big.NewInt(1), uint(last))
	outputs[last].Mul(rest, weight.ModInverse(weight, q)).Mod(outputs[last], q)
	return nil
}

// saysZero claims of every value that it is 0.
func saysZero(_ *big.Int, _, outputs []*big.Int) error {
	outputs[0].SetUint64(0)
	return nil
}

func solveSigned(t testing.TB, system *cs.R1CS, key PublicKey, message fr.Element, s Signature) func(...solver.Option) error {
	t.Helper()
	witness, err := frontend.NewWitness(&signed{key.assign(), message, s.assign()}, ecc.BN254.ScalarField())
	require.NoError(t, err)
	return func(options ...solver.Option) error {
		_, err := system.Solve(witness, options...)
		return err
	}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	compiled, err := frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, new(signed))
	require.NoError(t, err)
	system := compiled.(*cs.R1CS)
	require.Empty(t, system.CommitmentInfo)

	key, message := signingKey(t, 0), field(t, secret("message", 0))
	honest, err := key.sign(message)
	require.NoError(t, err)
	require.NoError(t, key.Public().verify(message, honest))
	require.NoError(t, solveSigned(t, system, key.Public(), message, honest)())

	order := twistededwards.GetEdwardsCurve().Order
	for name, change := range map[string]func(k *PublicKey, m *fr.Element, s *Signature){
		"another message": func(_ *PublicKey, m *fr.Element, _ *Signature) { m.SetOne() },
		"another key":     func(k *PublicKey, _ *fr.Element, _ *Signature) { *k = signingKey(t, 1).Public() },
		"key negated":     func(k *PublicKey, _ *fr.Element, _ *Signature) { k.X = negated(t, k.X) },
		"R negated":       func(_ *PublicKey, _ *fr.Element, s *Signature) { s.RX = negated(t, s.RX) },
		"S off by one":    func(_ *PublicKey, _ *fr.Element, s *Signature) { s.S = plus(s.S, big.NewInt(1)) },
		// The same equation holds: without a bound there are several signatures.
		"S above the group order": func(_ *PublicKey, _ *fr.Element, s *Signature) { s.S = plus(s.S, &order) },
		"R off the curve":         func(_ *PublicKey, _ *fr.Element, s *Signature) { s.RX = plus(s.RX, big.NewInt(1)) },
		"key off the curve":       func(k *PublicKey, _ *fr.Element, _ *Signature) { k.X = plus(k.X, big.NewInt(1)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, m, s := key.Public(), message, honest
			change(&k, &m, &s)
			require.Error(t, k.verify(m, s))
			dishonestly(t, solveSigned(t, system, k, m, s))
			require.Error(t, solveSigned(t, system, k, m, s)(equalToAll()))
		})
	}

	// For these keys anybody signs anything: 8·S·G = 8·R whatever the challenge.
	for name, point := range smallOrder(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			weak := PublicKey{fromField(point.X), fromField(point.Y)}
			base := twistededwards.GetEdwardsCurve().Base
			forged := Signature{fromField(base.X), fromField(base.Y), uintElement(1)}
			require.ErrorIs(t, weak.verify(message, forged), ErrPublicKey)
			dishonestly(t, solveSigned(t, system, weak, message, forged))
			_, err := IssuerSet(1, []PublicKey{key.Public(), weak})
			require.EqualError(t, err, "issuers: key 1: not a point of the curve's prime-order group")
			_, err = Signer(weak, Element{})
			require.ErrorIs(t, err, ErrPublicKey)
		})
	}

	require.ErrorIs(t, PublicKey{modulus(), Element{}}.verify(message, honest), ErrPublicKey)
	require.ErrorIs(t, key.Public().verify(message, Signature{RX: modulus(), RY: honest.RY, S: honest.S}), ErrSignature)
}

func negated(t *testing.T, e Element) Element {
	x := field(t, e)
	return fromField(*x.Neg(&x))
}

// plus adds without reducing.
func plus(e Element, n *big.Int) (sum Element) {
	new(big.Int).Add(new(big.Int).SetBytes(e[:]), n).FillBytes(sum[:])
	return sum
}

// smallOrder returns points of order 1, 2, 4 and 8.
func smallOrder(t *testing.T) map[string]twistededwards.PointAffine {
	t.Helper()
	order := twistededwards.GetEdwardsCurve().Order
	for y := byte(2); ; y++ {
		var p twistededwards.PointAffine
		_, err := p.SetBytes(append([]byte{y}, make([]byte, 31)...))
		require.NoError(t, err)
		if !p.IsOnCurve() {
			continue
		}
		eighth := twistededwards.NewPointAffine(fr.Element{}, fr.One())
		for i := order.BitLen() - 1; i >= 0; i-- {
			eighth.Double(&eighth)
			if order.Bit(i) == 1 {
				eighth.Add(&eighth, &p)
			}
		}
		var fourth, second, first twistededwards.PointAffine
		fourth.Double(&eighth)
		second.Double(&fourth)
		if second.IsZero() {
			continue
		}
		first.Double(&second)
		require.True(t, first.IsZero())
		return map[string]twistededwards.PointAffine{
			"key of order 1": first, "key of order 2": second, "key of order 4": fourth, "key of order 8": eighth,
		}
	}
}

// divider is an API in which 0/0 is whatever the prover likes: the constraint of
// a division is result·0 = 0 then.
type divider struct {
	frontend.API
	choices []fr.Element // of the first 0/0, the second, …; the last of all others
	met     *int
}

func (d divider) DivUnchecked(a, b frontend.Variable) frontend.Variable {
	x, _ := d.Compiler().ConstantValue(a)
	y, _ := d.Compiler().ConstantValue(b)
	if x.Sign() != 0 || y.Sign() != 0 {
		return d.API.DivUnchecked(a, b)
	}
	choice := d.choices[min(*d.met, len(d.choices)-1)]
	*d.met++
	return choice
}

// dividing is [signed] for a prover who chooses.
type dividing struct {
	signed
	choices []fr.Element
}

func (s *dividing) Define(api frontend.API) error {
	return s.signed.Define(divider{api, s.choices, new(int)})
}

// Twice (0, 0), which is not on the curve, is (0/0, 0) by the library's formula.
// A prover who takes i = √−1 there has (i, 0), which is on it, and of order 4, so
// the equation times 8 holds. As R this signs any message for any key; as the key
// it signs every message whose challenge is even.
func TestSignatureRefusesPointsThatDivideZeroByZero(t *testing.T) {
	t.Parallel()
	var i fr.Element
	minusOne := fr.NewElement(1)
	minusOne.Neg(&minusOne)
	require.NotNil(t, i.Sqrt(&minusOne))
	solves := func(key PublicKey, message fr.Element, s Signature, choices ...fr.Element) error {
		values := &signed{key.assign(), message, s.assign()}
		return test.IsSolved(&dividing{choices: choices}, &dividing{signed: *values}, ecc.BN254.ScalarField())
	}
	key, message := signingKey(t, 0), field(t, secret("message", 0))
	honest, err := key.sign(message)
	require.NoError(t, err)
	require.NoError(t, solves(key.Public(), message, honest), "nothing is divided by 0")

	t.Run("as R", func(t *testing.T) {
		t.Parallel()
		require.Error(t, solves(key.Public(), message, Signature{}, i))
		require.ErrorIs(t, key.Public().verify(message, Signature{}), ErrSignature)
	})
	t.Run("as the key", func(t *testing.T) {
		t.Parallel()
		message := fr.NewElement(0)
		for even := false; !even; {
			message.Add(&message, &minusOne)
			h := sponge(TagSignature, []fr.Element{{}, fr.One(), {}, {}, message})
			even = h.BigInt(new(big.Int)).Bit(0) == 0
		}
		forged := Signature{RY: uintElement(1)}
		// 8·key stays (0, 0) until it must not be of small order.
		require.Error(t, solves(PublicKey{}, message, forged, fr.Element{}, fr.Element{}, i))
		require.ErrorIs(t, PublicKey{}.verify(message, forged), ErrPublicKey)
	})
}
