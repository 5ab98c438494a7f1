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

	// Off the curve the addition law is that of other groups. Points (0, y) form
	// the multiplicative group of the field, so with a y of order 16 every 32nd
	// message is signed by S = 0 and R = (0, 1).
	t.Run("key of another group", func(t *testing.T) {
		t.Parallel()
		weak := PublicKey{Element{}, fromField(rootOfUnity(t, 16))}
		forged := Signature{RY: uintElement(1)}
		for i := uint64(0); ; i++ {
			m := fr.NewElement(i)
			h := sponge(TagSignature, []fr.Element{{}, fr.One(), {}, field(t, weak.Y), m})
			if h.BigInt(new(big.Int)).Uint64()%16 != 0 {
				continue
			}
			require.ErrorIs(t, weak.verify(m, forged), ErrPublicKey)
			dishonestly(t, solveSigned(t, system, weak, m, forged))
			break
		}
	})
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

// rootOfUnity returns an element of the given order, a power of two.
func rootOfUnity(t *testing.T, order int64) fr.Element {
	t.Helper()
	exponent := new(big.Int).Sub(fr.Modulus(), big.NewInt(1))
	exponent.Div(exponent, big.NewInt(order))
	var x, half fr.Element
	for g := uint64(2); ; g++ {
		x.SetUint64(g)
		x.Exp(x, exponent)
		half.Exp(x, big.NewInt(order/2))
		if !half.IsOne() {
			return x
		}
	}
}
