package evm_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/big"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	bn254 "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend"
	"github.com/consensys/gnark/backend/groth16"
	groth16bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/solidity"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/logger"
	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/evm"
)

func TestMain(m *testing.M) {
	logger.Disable()
	os.Exit(m.Run())
}

// Where toyCircuit has the question's hash, as QueryAccess has it, and the consents' root.
const (
	queryPosition = 2
	rootPosition  = 1
)

// toyRoot is the root of the consents of every toy access.
var toyRoot = truncated("root")

// toyNode names a node. Names and inputs are digests, as real ones: their bytes cost what those do.
func toyNode(i byte) evm.Node { return sha256.Sum256([]byte{i}) }

// truncated is a digest below the field's order.
func truncated(text string) [32]byte {
	digest := sha256.Sum256([]byte(text))
	digest[0] = 0
	return digest
}

// toyCircuit has as many public inputs as the circuit it stands for and proves that the prover
// knows the fifth root of their sum of squares.
type toyCircuit struct {
	Public []frontend.Variable `gnark:",public"`
	Root   frontend.Variable
}

func (c *toyCircuit) Define(api frontend.API) error {
	sum := frontend.Variable(0)
	for _, v := range c.Public {
		sum = api.Add(sum, api.Mul(v, v))
	}
	square := api.Mul(c.Root, c.Root)
	api.AssertIsEqual(sum, api.Mul(square, square, c.Root))
	return nil
}

// toyKeys are the keys of toyCircuit with the five public inputs of the access circuit.
type toyKeys struct {
	system  constraint.ConstraintSystem
	proving groth16.ProvingKey
	key     groth16.VerifyingKey
	words   evm.KeyWords
}

var toy = sync.OnceValue(newToyKeys)

func newToyKeys() toyKeys {
	var k toyKeys
	var err error
	k.system, err = frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, &toyCircuit{Public: make([]frontend.Variable, 5)})
	if err != nil {
		panic(err)
	}
	k.proving, k.key, err = groth16.Setup(k.system)
	if err != nil {
		panic(err)
	}
	k.words = keyWords(k.key.(*groth16bn254.VerifyingKey))
	return k
}

// keyWords writes a key as Groth16Verifier.sol describes it.
func keyWords(key *groth16bn254.VerifyingKey) evm.KeyWords {
	var words evm.KeyWords
	g1 := func(p bn254.G1Affine) { words = append(append(words, p.X.Marshal()...), p.Y.Marshal()...) }
	g2 := func(p bn254.G2Affine) {
		for _, e := range [][]byte{p.X.A1.Marshal(), p.X.A0.Marshal(), p.Y.A1.Marshal(), p.Y.A0.Marshal()} {
			words = append(words, e...)
		}
	}
	g1(key.G1.Alpha)
	g2(key.G2.Beta)
	g2(key.G2.Gamma)
	g2(key.G2.Delta)
	for _, p := range key.G1.K {
		g1(p)
	}
	return words
}

// access proves an access of node for a question, good for the access log of d. Every call makes
// another proof and, unless statement is the same, other inputs.
func (k toyKeys) access(tb testing.TB, d evm.Deployment, node evm.Node, question evm.Question, statement uint64) evm.Access {
	tb.Helper()
	public := make([]fr.Element, 5)
	first := truncated(fmt.Sprint("statement ", statement))
	public[0].SetBytes(first[:])
	public[rootPosition].SetBytes(toyRoot[:])
	hash := d.QueryHash(node, question)
	public[queryPosition].SetBytes(hash[:])
	access := evm.Access{Node: node, Question: question}
	access.Proof, access.Inputs = k.prove(tb, public)
	return access
}

// prove proves a statement, after choosing its last input.
func (k toyKeys) prove(tb testing.TB, public []fr.Element) (proof []byte, inputs [][32]byte) {
	tb.Helper()
	root, last := fifthRoot(public[:len(public)-1])
	public[len(public)-1] = last
	assignment := toyCircuit{Root: root}
	for i := range public {
		assignment.Public = append(assignment.Public, public[i])
		inputs = append(inputs, public[i].Bytes())
	}
	witness, err := frontend.NewWitness(&assignment, ecc.BN254.ScalarField())
	require.NoError(tb, err)
	made, err := groth16.Prove(k.system, k.proving, witness, solidity.WithProverTargetSolidityVerifier(backend.GROTH16))
	require.NoError(tb, err)
	proof = made.(*groth16bn254.Proof).MarshalSolidity()
	require.Len(tb, proof, evm.ProofSize)
	return proof, inputs
}

// fifthRoot picks the last input so that the sum of squares has a fifth root that we know: it
// tries roots until root^5 less the other squares is a square itself.
func fifthRoot(public []fr.Element) (root, last fr.Element) {
	var others fr.Element
	for _, v := range public {
		var square fr.Element
		others.Add(&others, square.Square(&v))
	}
	for r := uint64(2); ; r++ {
		root.SetUint64(r)
		var rest fr.Element
		rest.Exp(root, big.NewInt(5)).Sub(&rest, &others)
		if last.Sqrt(&rest) != nil {
			return root, last
		}
	}
}

// rerandomized returns another valid proof of the same statement, made without the witness:
// (rA, B/r, C) for a random r.
func rerandomized(tb testing.TB, proof []byte) []byte {
	tb.Helper()
	var p groth16bn254.Proof
	_, err := p.ReadFrom(bytes.NewReader(append(bytes.Clone(proof), rawTail()...)))
	require.NoError(tb, err)
	r, err := rand.Int(rand.Reader, ecc.BN254.ScalarField())
	require.NoError(tb, err)
	inverse := new(big.Int).ModInverse(r, ecc.BN254.ScalarField())
	p.Ar.ScalarMultiplication(&p.Ar, r)
	p.Bs.ScalarMultiplication(&p.Bs, inverse)
	other := p.MarshalSolidity()
	require.NotEqual(tb, proof, other)
	return other
}

// rawTail is what gnark's raw form has after the points: no commitments, and infinity as their
// proof of knowledge.
func rawTail() []byte {
	tail := make([]byte, 4+bn254.SizeOfG1AffineUncompressed)
	tail[4] = 0x40
	return tail
}

// plusR returns x plus the order of the scalar field: the same number modulo r.
func plusR(x [32]byte) (y [32]byte) {
	sum := new(big.Int).SetBytes(x[:])
	sum.Add(sum, ecc.BN254.ScalarField()).FillBytes(y[:])
	return y
}

func cloned(a evm.Access) evm.Access {
	a.Proof, a.Inputs = slices.Clone(a.Proof), slices.Clone(a.Inputs)
	return a
}
