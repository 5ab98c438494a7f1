package evm_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bn254 "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	"github.com/consensys/gnark/backend/solidity"
	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/zk/evm"
	"github.com/trialmesh/trialmesh/zk/evm/inprocess"
)

// tester is what testing.T and rapid.T have in common.
type tester interface {
	require.TestingT
	Helper()
}

// workbench deploys any contract and calls it, without the client under test.
type workbench struct {
	chain *ethclient.Client
	clock *inprocess.Chain
	opts  *bind.TransactOpts
}

func newWorkbench(t *testing.T) workbench {
	t.Helper()
	e, clock := inProcess(t, inprocess.Config{})
	chain, err := ethclient.Dial(e.url)
	require.NoError(t, err)
	t.Cleanup(chain.Close)
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	opts := bind.NewKeyedTransactor(key, big.NewInt(inprocess.ChainID))
	opts.Context = t.Context()
	require.NoError(t, e.fund(t.Context(), opts.From))
	return workbench{chain: chain, clock: clock, opts: opts}
}

func (w workbench) deploy(t *testing.T, a artifact, args ...any) (evm.Address, error) {
	t.Helper()
	input, err := a.ABI.Pack("", args...)
	require.NoError(t, err)
	_, tx, err := bind.DeployContract(w.opts, a.creation(t), w.chain, input)
	if err != nil {
		return evm.Address{}, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return bind.WaitDeployed(ctx, w.chain, tx.Hash())
}

func (w workbench) call(tb tester, a artifact, at evm.Address, method string, args ...any) error {
	tb.Helper()
	input, err := a.ABI.Pack(method, args...)
	require.NoError(tb, err)
	_, err = w.chain.CallContract(context.Background(), ethereum.CallMsg{To: &at, Data: input}, nil)
	return err
}

// send sends a transaction and returns its gas; if the contract refuses, the name of its error.
func (w workbench) send(t *testing.T, a artifact, at evm.Address, method string, args ...any) (gas uint64, refusal string) {
	t.Helper()
	input, err := a.ABI.Pack(method, args...)
	require.NoError(t, err)
	tx, err := bind.NewBoundContract(at, a.ABI, w.chain, w.chain, w.chain).RawTransact(w.opts, input)
	if err != nil {
		return 0, reason(t, err)
	}
	receipt, err := bind.WaitMined(t.Context(), w.chain, tx.Hash())
	require.NoError(t, err)
	require.Equal(t, types.ReceiptStatusSuccessful, receipt.Status)
	return receipt.GasUsed, ""
}

// reason names the error that a contract of ours reverted with.
func reason(t *testing.T, err error) string {
	t.Helper()
	var data rpc.DataError
	require.ErrorAs(t, err, &data)
	text, _ := data.ErrorData().(string)
	raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(raw), 4, "it reverted without a reason")
	for _, name := range compiled {
		a := contractArtifact(t, name)
		if found, err := a.ABI.ErrorByID([4]byte(raw)); err == nil {
			return found.Name
		}
	}
	t.Fatalf("unknown error %s", text)
	return ""
}

func words(values ...[32]byte) []*big.Int {
	numbers := make([]*big.Int, len(values))
	for i, value := range values {
		numbers[i] = new(big.Int).SetBytes(value[:])
	}
	return numbers
}

func keyNumbers(key evm.KeyWords) []*big.Int {
	var numbers []*big.Int
	for word := range slices.Chunk(key, 32) {
		numbers = append(numbers, new(big.Int).SetBytes(word))
	}
	return numbers
}

func verifierArtifact(tb testing.TB) artifact { return contractArtifact(tb, "Groth16Verifier") }

func contractArtifact(tb testing.TB, name string) artifact {
	return readArtifact(tb, filepath.Join(contractsDir, "artifacts", name+".json"))
}

// twins are our verifier and the one that gnark writes for the same key.
type twins struct {
	workbench
	ours, gnarks           artifact
	ourAddress, itsAddress evm.Address
}

func newTwins(t *testing.T) twins {
	t.Helper()
	source := filepath.Join(t.TempDir(), "Verifier.sol")
	var solidityText bytes.Buffer
	require.NoError(t, toy().key.ExportSolidity(&solidityText, solidity.WithPragmaVersion("^0.8.0")))
	require.NoError(t, os.WriteFile(source, solidityText.Bytes(), 0o600))
	w := twins{workbench: newWorkbench(t), ours: verifierArtifact(t)}
	w.gnarks = readArtifact(t, filepath.Join(compile(t, source), "Verifier.json"))
	var err error
	w.ourAddress, err = w.deploy(t, w.ours, keyNumbers(toy().words))
	require.NoError(t, err)
	w.itsAddress, err = w.deploy(t, w.gnarks)
	require.NoError(t, err)
	return w
}

// accept asks both and returns their answer, which has to be the same.
func (w twins) accept(tb tester, a evm.Access) bool {
	tb.Helper()
	ours := w.call(tb, w.ours, w.ourAddress, "verifyProof", a.Proof, words(a.Inputs...))
	its := w.call(tb, w.gnarks, w.itsAddress, "verifyProof", a.Proof, [5]*big.Int(words(a.Inputs...)))
	require.Equal(tb, its == nil, ours == nil, "gnark's verifier says %v, ours %v", its, ours)
	if ours != nil {
		require.ErrorContains(tb, ours, "execution reverted")
	}
	return ours == nil
}

func TestVerifierAgreesWithGnark(t *testing.T) {
	t.Parallel()
	w := newTwins(t)
	good := toy().access(t, evm.Deployment{}, evm.Node{}, evm.Question{9}, 5)
	require.True(t, w.accept(t, good))

	t.Run("another proof of the same statement is valid", func(t *testing.T) {
		again := cloned(good)
		again.Proof = rerandomized(t, good.Proof)
		require.True(t, w.accept(t, again))
	})
	t.Run("each altered word of the proof is refused", func(t *testing.T) {
		for i := 0; i < evm.ProofSize; i += 32 {
			bad := cloned(good)
			bad.Proof[i+31] ^= 1
			require.False(t, w.accept(t, bad), "word %d", i/32)
		}
	})
	t.Run("each coordinate plus the modulus is refused", func(t *testing.T) {
		for i := 0; i < evm.ProofSize; i += 32 {
			bad := cloned(good)
			sum := new(big.Int).SetBytes(bad.Proof[i : i+32])
			sum.Add(sum, fp.Modulus()).FillBytes(bad.Proof[i : i+32])
			require.False(t, w.accept(t, bad), "word %d", i/32)
		}
	})
	t.Run("each altered input is refused", func(t *testing.T) {
		for i := range good.Inputs {
			bad := cloned(good)
			bad.Inputs[i][31] ^= 1
			require.False(t, w.accept(t, bad), "input %d", i)
		}
	})
	t.Run("each input plus r is refused", func(t *testing.T) {
		for i := range good.Inputs {
			bad := cloned(good)
			bad.Inputs[i] = plusR(bad.Inputs[i])
			require.False(t, w.accept(t, bad), "input %d", i)
		}
	})
	t.Run("points at infinity prove nothing", func(t *testing.T) {
		for _, part := range [][2]int{{0, 64}, {64, 192}, {192, 256}, {0, 256}} {
			bad := cloned(good)
			clear(bad.Proof[part[0]:part[1]])
			require.False(t, w.accept(t, bad))
		}
	})
	t.Run("a point outside the subgroup is refused", func(t *testing.T) {
		bad := cloned(good)
		for i, coordinate := range outsideSubgroup(t) {
			coordinate.FillBytes(bad.Proof[64+32*i : 96+32*i])
		}
		require.False(t, w.accept(t, bad))
	})
	t.Run("negating two points keeps a proof valid", func(t *testing.T) {
		same := cloned(good)
		for _, at := range []int{32, 128, 160} { // y of A and of B
			y := new(big.Int).SetBytes(same.Proof[at : at+32])
			y.Sub(fp.Modulus(), y).FillBytes(same.Proof[at : at+32])
		}
		require.True(t, w.accept(t, same))
	})
	t.Run("a proof of another length is refused", func(t *testing.T) {
		for _, n := range []int{0, 128, 255, 257, 288} {
			bad := cloned(good)
			bad.Proof = append(bad.Proof, make([]byte, 32)...)[:n]
			require.False(t, w.accept(t, bad), "%d bytes", n)
		}
	})
	t.Run("any flipped bit gives the same answer", func(t *testing.T) {
		rapid.Check(t, func(r *rapid.T) {
			bad := cloned(good)
			if rapid.Bool().Draw(r, "in proof") {
				bad.Proof[rapid.IntRange(0, evm.ProofSize-1).Draw(r, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
			} else {
				bad.Inputs[rapid.IntRange(0, 4).Draw(r, "input")][rapid.IntRange(0, 31).Draw(r, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
			}
			if w.accept(r, bad) {
				r.Fatal("a flipped bit was accepted")
			}
		})
	})
	t.Run("a wrong number of inputs is refused", func(t *testing.T) {
		for _, n := range []int{0, 4, 6} {
			inputs := append(slices.Clone(good.Inputs), [32]byte{})[:n]
			require.Error(t, w.call(t, w.ours, w.ourAddress, "verifyProof", good.Proof, words(inputs...)), "%d inputs", n)
		}
	})
}

func TestVerifierRefusesKey(t *testing.T) {
	t.Parallel()
	w := newWorkbench(t)
	ours := verifierArtifact(t)
	good := keyNumbers(toy().words)
	_, err := w.deploy(t, ours, good)
	require.NoError(t, err)
	set := func(from int, values ...*big.Int) func([]*big.Int) []*big.Int {
		return func(key []*big.Int) []*big.Int { copy(key[from:], values); return key }
	}
	zero := new(big.Int)
	unreduced := new(big.Int).Add(good[0], fp.Modulus())
	for name, spoil := range map[string]func([]*big.Int) []*big.Int{
		"alpha is not on the curve":       set(0, big.NewInt(1), big.NewInt(1)),
		"alpha is not reduced":            set(0, unreduced),
		"alpha is infinity":               set(0, zero, zero),
		"beta is infinity":                set(2, zero, zero, zero, zero),
		"gamma is infinity":               set(6, zero, zero, zero, zero),
		"delta is infinity":               set(10, zero, zero, zero, zero),
		"gamma's coordinates are swapped": set(6, good[7], good[6], good[9], good[8]),
		"delta equals gamma":              set(10, good[6:10]...),
		"delta is outside the subgroup":   set(10, outsideSubgroup(t)...),
		"an input's point is infinity":    set(18, zero, zero),
		"an input's point is off curve":   set(18, big.NewInt(1), big.NewInt(3)),
		"a word is missing":               func(key []*big.Int) []*big.Int { return key[:len(key)-1] },
		"no inputs":                       func(key []*big.Int) []*big.Int { return key[:16] },
		"nothing":                         func([]*big.Int) []*big.Int { return nil },
		"65 inputs":                       func(key []*big.Int) []*big.Int { return repeated(key, 14+2*66) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.deploy(t, ours, spoil(slices.Clone(good)))
			require.ErrorContains(t, err, "execution reverted")
		})
	}
	t.Run("64 inputs are the most", func(t *testing.T) {
		_, err := w.deploy(t, ours, repeated(good, 14+2*65))
		require.NoError(t, err)
	})
}

// repeated makes a key of n words by repeating the last point.
func repeated(key []*big.Int, n int) []*big.Int {
	for len(key) < n {
		key = append(key, key[len(key)-2:]...)
	}
	return key
}

// outsideSubgroup returns a point of the twist y^2 = x^3 + 3/(9+i) whose order is not r. Nearly
// all points of the twist are such points.
func outsideSubgroup(t *testing.T) []*big.Int {
	t.Helper()
	var b bn254.E2
	b.A0.SetUint64(9)
	b.A1.SetUint64(1)
	b.Inverse(&b)
	var three fp.Element
	b.MulByElement(&b, three.SetUint64(3))
	for x := uint64(1); ; x++ {
		var p bn254.G2Affine
		p.X.A0.SetUint64(x)
		var square bn254.E2
		square.Square(&p.X).Mul(&square, &p.X).Add(&square, &b)
		if square.Legendre() != 1 {
			continue
		}
		p.Y.Sqrt(&square)
		require.True(t, p.IsOnCurve())
		require.False(t, p.IsInSubGroup())
		var coordinates []*big.Int
		for _, e := range []fp.Element{p.X.A1, p.X.A0, p.Y.A1, p.Y.A0} {
			coordinates = append(coordinates, e.BigInt(new(big.Int)))
		}
		return coordinates
	}
}
