package oprf_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/federation/oprf"
)

func newKey(t require.TestingT, mode oprf.Mode) oprf.Key {
	key, err := oprf.NewKey(rand.Reader, mode)
	require.NoError(t, err)
	return key
}

func TestOutputsDependOnValueAndKeyOnly(t *testing.T) {
	t.Parallel()
	key, other := newKey(t, oprf.Base), newKey(t, oprf.Base)
	rapid.Check(t, func(t *rapid.T) {
		inputs := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 1, 3).Draw(t, "inputs")
		outputs := func(key oprf.Key) []oprf.Output {
			request, err := oprf.Blind(rand.Reader, oprf.Base, inputs)
			require.NoError(t, err)
			evaluated, err := key.Evaluate(request.Elements())
			require.NoError(t, err)
			list, err := request.Finalize(evaluated)
			require.NoError(t, err)
			return list
		}
		first := outputs(key)
		require.Equal(t, first, outputs(key), "blinds leave no trace")
		require.NotEqual(t, first, outputs(other))
		for i := range inputs {
			for j := range inputs {
				require.Equal(t, bytes.Equal(inputs[i], inputs[j]), first[i].Equal(first[j]))
			}
		}
	})
}

func TestRequestsHideValues(t *testing.T) {
	t.Parallel()
	first, err := oprf.Blind(rand.Reader, oprf.Base, [][]byte{[]byte("a"), []byte("a")})
	require.NoError(t, err)
	require.NotEqual(t, first.Elements()[0].Bytes(), first.Elements()[1].Bytes(), "equal values do not look equal")
}

func TestFinalizeVerifiedRefuses(t *testing.T) {
	t.Parallel()
	key, stranger := newKey(t, oprf.Verifiable), newKey(t, oprf.Verifiable)
	request, err := oprf.Blind(rand.Reader, oprf.Verifiable, [][]byte{[]byte("a"), []byte("b")})
	require.NoError(t, err)
	evaluated, proof, err := key.EvaluateVerifiably(rand.Reader, request.Elements())
	require.NoError(t, err)

	_, err = request.FinalizeVerified(key.Public(), evaluated, proof)
	require.NoError(t, err)
	_, err = request.FinalizeVerified(stranger.Public(), evaluated, proof)
	require.ErrorIs(t, err, oprf.ErrProof, "another key")
	swapped := []oprf.Element{evaluated[1], evaluated[0]}
	_, err = request.FinalizeVerified(key.Public(), swapped, proof)
	require.ErrorIs(t, err, oprf.ErrProof, "answers in another order")
	mixed, err := stranger.Evaluate(request.Elements()[1:])
	require.NoError(t, err)
	_, err = request.FinalizeVerified(key.Public(), []oprf.Element{evaluated[0], mixed[0]}, proof)
	require.ErrorIs(t, err, oprf.ErrProof, "one answer of another key")
	_, err = request.FinalizeVerified(key.Public(), evaluated, oprf.Proof{})
	require.ErrorIs(t, err, oprf.ErrProof, "no proof")
	_, err = request.FinalizeVerified(key.Public(), evaluated[:1], proof)
	require.ErrorContains(t, err, "1 elements came back for 2")
	_, err = request.Finalize(evaluated)
	require.ErrorContains(t, err, "wants a proof")
	for i := range 64 {
		raw := proof.Bytes()
		raw[i] ^= 1
		if changed, err := oprf.ParseProof(raw); err == nil {
			_, err = request.FinalizeVerified(key.Public(), evaluated, changed)
			require.ErrorIs(t, err, oprf.ErrProof)
		}
	}
}

func TestParseElementRefuses(t *testing.T) {
	t.Parallel()
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	little := func(n *big.Int) []byte {
		raw := n.FillBytes(make([]byte, 32))
		slices.Reverse(raw)
		return raw
	}
	valid := newKey(t, oprf.Verifiable).Public().Bytes()
	high := slices.Clone(valid)
	high[31] |= 0x80
	negative := little(new(big.Int).Sub(prime, new(big.Int).SetBytes(reversed(valid))))
	for name, raw := range map[string][]byte{
		"empty":           {},
		"short":           valid[:31],
		"long":            append(slices.Clone(valid), 0),
		"identity":        make([]byte, 32),
		"the prime":       little(prime),
		"above the prime": little(new(big.Int).Add(prime, big.NewInt(2))),
		"all ones":        bytes.Repeat([]byte{0xff}, 32),
		"high bit":        high,
		"negative":        negative,
		"one":             little(big.NewInt(1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := oprf.ParseElement(raw)
			require.ErrorIs(t, err, oprf.ErrElement)
		})
	}
}

func reversed(raw []byte) []byte {
	out := slices.Clone(raw)
	slices.Reverse(out)
	return out
}

// The first multiples of the generator, as RFC 9496, appendix A.1 lists them.
func TestGeneratorIsThatOfRFC9496(t *testing.T) {
	t.Parallel()
	one, err := oprf.ParseKey(oprf.Verifiable, append([]byte{1}, make([]byte, 31)...))
	require.NoError(t, err)
	require.Equal(t, "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76", hex.EncodeToString(one.Public().Bytes()))
}

func TestKeysAreReadStrictly(t *testing.T) {
	t.Parallel()
	key := newKey(t, oprf.Base)
	again, err := oprf.ParseKey(oprf.Base, key.Bytes())
	require.NoError(t, err)
	require.Equal(t, key.Bytes(), again.Bytes())
	for _, raw := range [][]byte{nil, make([]byte, 32), bytes.Repeat([]byte{0xff}, 32), key.Bytes()[:31]} {
		_, err := oprf.ParseKey(oprf.Base, raw)
		require.ErrorContains(t, err, "not a key")
	}
	_, err = oprf.NewKey(rand.Reader, 2)
	require.ErrorContains(t, err, "mode 2")
	_, err = oprf.Blind(rand.Reader, oprf.Base, nil)
	require.ErrorContains(t, err, "want 1 to 65535")
	_, err = oprf.Blind(rand.Reader, oprf.Base, [][]byte{make([]byte, 65_536)})
	require.ErrorContains(t, err, "value 0 has 65536 bytes")
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	key := newKey(t, oprf.Base)
	request, err := oprf.Blind(rand.Reader, oprf.Base, [][]byte{[]byte("secretive")})
	require.NoError(t, err)
	for _, secret := range []any{key, &key, request, *request, oprf.Output{1}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			require.Equal(t, "oprf:redacted", fmt.Sprintf(verb, secret))
		}
		_, err := json.Marshal(secret)
		require.ErrorContains(t, err, "must not be written")
		var text bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "secret", secret)
		require.NotContains(t, text.String(), "secretive")
	}
}

func FuzzParseElement(f *testing.F) {
	f.Add(newKey(f, oprf.Verifiable).Public().Bytes())
	f.Add(make([]byte, 32))
	f.Add(bytes.Repeat([]byte{0xff}, 32))
	key := newKey(f, oprf.Base)
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := oprf.ParseElement(raw)
		if err != nil {
			return
		}
		require.Equal(t, raw, e.Bytes(), "one encoding for one element")
		evaluated, err := key.Evaluate([]oprf.Element{e})
		require.NoError(t, err)
		_, err = oprf.ParseElement(evaluated[0].Bytes())
		require.NoError(t, err, "the group has no element that a key takes to the identity")
	})
}

func FuzzParseProof(f *testing.F) {
	key := newKey(f, oprf.Verifiable)
	request, err := oprf.Blind(rand.Reader, oprf.Verifiable, [][]byte{[]byte("a")})
	require.NoError(f, err)
	evaluated, proof, err := key.EvaluateVerifiably(rand.Reader, request.Elements())
	require.NoError(f, err)
	f.Add(make([]byte, 64))
	f.Add(bytes.Repeat([]byte{1}, 64))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := oprf.ParseProof(raw)
		if err != nil || bytes.Equal(raw, proof.Bytes()) {
			return
		}
		require.Equal(t, raw, p.Bytes())
		_, err = request.FinalizeVerified(key.Public(), evaluated, p)
		require.ErrorIs(t, err, oprf.ErrProof)
	})
}

func BenchmarkOPRF(b *testing.B) {
	for _, n := range []int{1, 1000} {
		inputs := make([][]byte, n)
		for i := range inputs {
			inputs[i] = fmt.Appendf(nil, "value %d", i)
		}
		key := newKey(b, oprf.Verifiable)
		request, err := oprf.Blind(rand.Reader, oprf.Verifiable, inputs)
		require.NoError(b, err)
		evaluated, proof, err := key.EvaluateVerifiably(rand.Reader, request.Elements())
		require.NoError(b, err)
		steps := map[string]func() error{
			"blind":    func() error { _, err := oprf.Blind(rand.Reader, oprf.Verifiable, inputs); return err },
			"evaluate": func() error { _, _, err := key.EvaluateVerifiably(rand.Reader, request.Elements()); return err },
			"finalize": func() error { _, err := request.FinalizeVerified(key.Public(), evaluated, proof); return err },
		}
		for name, step := range steps {
			b.Run(fmt.Sprintf("%s/batch=%d", name, n), func(b *testing.B) {
				for b.Loop() {
					require.NoError(b, step())
				}
				b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "values/s")
			})
		}
	}
}
