package verifier

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/circuits"
)

// proofs were written by zk/prover's TestWriteVectors: real proofs, so that
// these tests need no setup.
type proofs struct {
	Epoch struct {
		Circuit      circuits.Circuit
		VerifyingKey string
		Public       circuits.EpochPublic
		Words        []circuits.Element
		Proof        circuits.Proof
	}
	Access struct {
		Circuit      circuits.Circuit
		VerifyingKey string
		Public       circuits.AccessPublic
		Words        []circuits.Element
		Proof        circuits.Proof
	}
}

func readProofs(t testing.TB) proofs {
	t.Helper()
	raw, err := os.ReadFile("testdata/proofs.json")
	require.NoError(t, err)
	var p proofs
	require.NoError(t, json.Unmarshal(raw, &p))
	return p
}

// recordedResult is one of the proofs behind a result, by TestWriteResultVectors.
type recordedResult struct {
	Circuit      circuits.Circuit
	VerifyingKey string
	Words        []circuits.Element
	Proof        circuits.Proof
}

func readResults(t testing.TB) (results []recordedResult) {
	t.Helper()
	raw, err := os.ReadFile("testdata/results.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &results))
	return results
}

func TestRecordedResultsVerify(t *testing.T) {
	t.Parallel()
	results := readResults(t)
	require.Len(t, results, 4)
	for _, r := range results {
		k := key(t, r.Circuit, r.VerifyingKey)
		require.NoError(t, k.verify(r.Words, r.Proof), r.Circuit)
		for i := range r.Words {
			r.Words[i][31] ^= 1
			require.ErrorIs(t, k.verify(r.Words, r.Proof), ErrInvalid, "%s: input %d", r.Circuit, i)
			r.Words[i][31] ^= 1
		}
	}
	cover := key(t, results[0].Circuit, results[0].VerifyingKey)
	require.EqualError(t, cover.VerifyAccess(circuits.AccessPublic{}, results[0].Proof), "verify access: the key is of circuit cover-4x2x2")
	require.EqualError(t, cover.VerifyAggregate(circuits.AggregatePublic{}, results[0].Proof), "verify aggregate: the key is of circuit cover-4x2x2")
	require.EqualError(t, cover.VerifyRelease(circuits.ReleasePublic{}, results[0].Proof), "verify release: the key is of circuit cover-4x2x2")
	require.EqualError(t, readProofs(t).accessKey(t).VerifyCover(circuits.AccessPublic{}, results[0].Proof), "verify cover: the key is of circuit access-16x2x2")
	require.EqualError(t, ResultKeys{}.Verify(ResultQuestion{}, Result{}), "verify result: a key is missing")
}

// A noised release read against other seeds, questions, terms, totals and figures.
func TestNoiseIsOfTheSeedOnTheLedger(t *testing.T) {
	t.Parallel()
	r := readResults(t)[3]
	k := key(t, r.Circuit, r.VerifyingKey)
	recorded := func() circuits.ReleasePublic {
		seed := r.Words[4]
		return circuits.ReleasePublic{Totals: r.Words[0], QueryHash: r.Words[1], Terms: r.Words[2], Released: r.Words[3], Seed: &seed}
	}
	require.NoError(t, k.VerifyRelease(recorded(), r.Proof))
	for name, change := range map[string]func(*circuits.ReleasePublic){
		"a seed chosen after the question": func(p *circuits.ReleasePublic) { p.Seed[31] ^= 1 },
		"the noise of another question":    func(p *circuits.ReleasePublic) { p.QueryHash[31] ^= 1 },
		"other terms":                      func(p *circuits.ReleasePublic) { p.Terms[31] ^= 1 },
		"other totals":                     func(p *circuits.ReleasePublic) { p.Totals[31] ^= 1 },
		"another figure":                   func(p *circuits.ReleasePublic) { p.Released[31] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			public := recorded()
			change(&public)
			require.ErrorIs(t, k.VerifyRelease(public, r.Proof), ErrInvalid)
		})
	}
	public := recorded()
	public.Seed = nil
	require.EqualError(t, k.VerifyRelease(public, r.Proof), "verify release: the key is of circuit noise-1x1x1")
}

func key(t testing.TB, c circuits.Circuit, words string) *Key {
	t.Helper()
	raw, err := hex.DecodeString(words)
	require.NoError(t, err)
	k, err := ParseKey(c, raw)
	require.NoError(t, err)
	return k
}

func (p proofs) epochKey(t testing.TB) *Key { return key(t, p.Epoch.Circuit, p.Epoch.VerifyingKey) }

func (p proofs) accessKey(t testing.TB) *Key { return key(t, p.Access.Circuit, p.Access.VerifyingKey) }

func TestRecordedProofsVerify(t *testing.T) {
	t.Parallel()
	p := readProofs(t)
	require.NoError(t, p.epochKey(t).VerifyEpoch(p.Epoch.Public, p.Epoch.Proof))
	require.NoError(t, p.accessKey(t).VerifyAccess(p.Access.Public, p.Access.Proof))
	require.Equal(t, p.Epoch.Words, p.Epoch.Public.Words())
	require.Equal(t, p.Access.Words, p.Access.Public.Words())
}

func TestAnotherStatementDoesNotVerify(t *testing.T) {
	t.Parallel()
	p := readProofs(t)
	k := p.accessKey(t)
	for i := range p.Access.Words {
		words := p.Access.Public.Words()
		words[i][31] ^= 1
		require.ErrorIs(t, k.verify(words, p.Access.Proof), ErrInvalid, "input %d", i)
	}
}

func TestPublicInputsMustBeCanonical(t *testing.T) {
	t.Parallel()
	p := readProofs(t)
	public := p.Access.Public
	fr.Modulus().FillBytes(public.MatrixDigest[:]) // 0 in another encoding
	require.ErrorIs(t, p.accessKey(t).VerifyAccess(public, p.Access.Proof), circuits.ErrElement)
}

func TestKeysAndStatementsMustBeOfOneKind(t *testing.T) {
	t.Parallel()
	p := readProofs(t)
	require.EqualError(t, p.accessKey(t).VerifyEpoch(p.Epoch.Public, p.Epoch.Proof), "verify epoch: the key is of circuit access-16x2x2")
	require.EqualError(t, p.epochKey(t).VerifyAccess(p.Access.Public, p.Access.Proof), "verify access: the key is of circuit epoch-16")
	require.ErrorIs(t, p.epochKey(t).VerifyEpoch(p.Epoch.Public, p.Access.Proof), ErrInvalid)
}

func TestTamperedProofs(t *testing.T) {
	t.Parallel()
	p := readProofs(t)
	k := p.accessKey(t)
	for name, change := range map[string]func(b *circuits.Proof){
		"a bit of A":        func(b *circuits.Proof) { b[31] ^= 1 },
		"a bit of B":        func(b *circuits.Proof) { b[64+31] ^= 1 },
		"a bit of C":        func(b *circuits.Proof) { b[255] ^= 1 },
		"A and C exchanged": func(b *circuits.Proof) { copy(b[:64], p.Access.Proof[192:]); copy(b[192:], p.Access.Proof[:64]) },
		"A negated":         func(b *circuits.Proof) { negateY(b[32:64]) },
		"real and imaginary": func(b *circuits.Proof) {
			copy(b[64:96], p.Access.Proof[96:128])
			copy(b[96:128], p.Access.Proof[64:96])
		},
		"all zero": func(b *circuits.Proof) { *b = circuits.Proof{} },
		"all ones": func(b *circuits.Proof) {
			for i := range b {
				b[i] = 0xff
			}
		},
		"a coordinate not reduced": func(b *circuits.Proof) { addModulus(t, b[:32]) },
		"B outside the subgroup":   func(b *circuits.Proof) { q := outsideSubgroup(t); raw := q.RawBytes(); copy(b[64:192], raw[:]) },
		"of another statement":     func(b *circuits.Proof) { *b = p.Epoch.Proof },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proof := p.Access.Proof
			change(&proof)
			require.NotEqual(t, p.Access.Proof, proof)
			require.ErrorIs(t, k.VerifyAccess(p.Access.Public, proof), ErrInvalid)
		})
	}
}

func negateY(b []byte) {
	var y fp.Element
	y.SetBytes(b)
	raw := y.Neg(&y).Bytes()
	copy(b, raw[:])
}

// addModulus writes x + p, which fits 256 bits for any x below 4p.
func addModulus(t *testing.T, b []byte) {
	t.Helper()
	carry := 0
	modulus := fp.Modulus().FillBytes(make([]byte, 32))
	for i := 31; i >= 0; i-- {
		sum := int(b[i]) + int(modulus[i]) + carry
		b[i], carry = byte(sum), sum>>8
	}
	require.Zero(t, carry)
}

// outsideSubgroup finds a point of the twisted curve whose order is not the
// group's; almost every point of the curve is one.
func outsideSubgroup(t *testing.T) (q curve.G2Affine) {
	t.Helper()
	_, _, _, generator := curve.Generators()
	coefficient, square := generator.Y, generator.X
	coefficient.Square(&coefficient)
	square.Square(&square).Mul(&square, &generator.X)
	coefficient.Sub(&coefficient, &square)
	for i := uint64(1); ; i++ {
		q.X.A0.SetUint64(i)
		q.Y.Square(&q.X).Mul(&q.Y, &q.X).Add(&q.Y, &coefficient)
		if q.Y.Legendre() == 1 {
			q.Y.Sqrt(&q.Y)
			break
		}
	}
	require.True(t, q.IsOnCurve())
	require.False(t, q.IsInSubGroup())
	return q
}

func TestKeyWordsRoundTrip(t *testing.T) {
	t.Parallel()
	p := readProofs(t)
	k := p.accessKey(t)
	require.Len(t, k.EVM(), 32*(14+2*(k.Inputs()+1)))
	require.Equal(t, 5, k.Inputs())
	again, err := ParseKey(k.Circuit(), k.EVM())
	require.NoError(t, err)
	require.Equal(t, k.Digest(), again.Digest())
	require.NotEqual(t, k.Digest(), p.epochKey(t).Digest())

	words := k.EVM()
	words[0] ^= 1
	require.Equal(t, k.Digest(), again.Digest(), "callers get a copy")
	fromSetup, err := FromSetup(k.Circuit(), &k.vk)
	require.NoError(t, err)
	require.Equal(t, k.EVM(), fromSetup.EVM())
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	p := readProofs(t)
	k := p.accessKey(t)
	const gammaAt, deltaAt, pointsAt = g1Size + g2Size, g1Size + 2*g2Size, fixedBytes
	_, _, _, generator := curve.Generators()
	one := generator.RawBytes()
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		want   string
	}{
		"nothing":             {func([]byte) []byte { return nil }, "0 bytes, not 832"},
		"a point missing":     {func(b []byte) []byte { return b[:len(b)-g1Size] }, "768 bytes, not 832"},
		"a point more":        {func(b []byte) []byte { return append(b, b[:g1Size]...) }, "896 bytes"},
		"a byte more":         {func(b []byte) []byte { return append(b, 0) }, "833 bytes"},
		"alpha off the curve": {func(b []byte) []byte { b[63] ^= 1; return b }, "not in the group"},
		"alpha not reduced":   {func(b []byte) []byte { addModulus(t, b[:32]); return b }, "not reduced"},
		"alpha zero":          {func(b []byte) []byte { clear(b[:g1Size]); return b }, "a point is zero"},
		"beta outside the subgroup": {func(b []byte) []byte {
			q := outsideSubgroup(t)
			raw := q.RawBytes()
			copy(b[g1Size:], raw[:])
			return b
		}, "not in the group"},
		"gamma zero":                    {func(b []byte) []byte { clear(b[gammaAt:deltaAt]); return b }, "a point is zero"},
		"delta is the generator":        {func(b []byte) []byte { copy(b[deltaAt:], one[:]); return b }, "delta was never randomized"},
		"delta is gamma":                {func(b []byte) []byte { copy(b[deltaAt:pointsAt], b[gammaAt:deltaAt]); return b }, "delta was never randomized"},
		"an input in no constraint":     {func(b []byte) []byte { clear(b[pointsAt+3*g1Size : pointsAt+4*g1Size]); return b }, "public input 2 is in no constraint"},
		"an input's point not on curve": {func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, "not in the group"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKey(p.Access.Circuit, c.change(k.EVM()))
			require.ErrorIs(t, err, ErrKey)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := ParseKey(p.Epoch.Circuit, k.EVM())
	require.ErrorIs(t, err, ErrKey, "a key with another number of inputs")
	_, err = ParseKey(circuits.Circuit{}, k.EVM())
	require.Error(t, err)
}

func TestCeremonyKeysKeepGammaAtTheGenerator(t *testing.T) {
	t.Parallel()
	p := readProofs(t)
	words := p.accessKey(t).EVM()
	_, _, _, generator := curve.Generators()
	one := generator.RawBytes()
	copy(words[g1Size+g2Size:], one[:])
	_, err := ParseKey(p.Access.Circuit, words)
	require.NoError(t, err)
}

func FuzzParseKey(f *testing.F) {
	p := readProofs(f)
	words := p.accessKey(f).EVM()
	f.Add(words)
	f.Add(words[:64])
	f.Add(make([]byte, len(words)))
	f.Fuzz(func(t *testing.T, words []byte) {
		k, err := ParseKey(p.Access.Circuit, words)
		if err != nil {
			return
		}
		require.Equal(t, words, k.EVM())
	})
}

func FuzzVerify(f *testing.F) {
	p := readProofs(f)
	k := p.accessKey(f)
	f.Add(p.Access.Proof[:])
	f.Add(p.Epoch.Proof[:])
	f.Add(make([]byte, 256))
	f.Fuzz(func(t *testing.T, b []byte) {
		proof, err := circuits.NewProof(b)
		if err != nil {
			return
		}
		err = k.VerifyAccess(p.Access.Public, proof)
		if proof != p.Access.Proof {
			require.ErrorIs(t, err, ErrInvalid)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	p := readProofs(b)
	k := p.accessKey(b)
	for b.Loop() {
		if err := k.VerifyAccess(p.Access.Public, p.Access.Proof); err != nil {
			b.Fatal(err)
		}
	}
}
