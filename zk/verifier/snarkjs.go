package verifier

import (
	"encoding/json"
	"fmt"
	"math/big"

	curve "github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"

	"github.com/trialmesh/trialmesh/zk/circuits"
)

// SnarkJS holds the three files of
//
//	snarkjs groth16 verify verification_key.json public.json proof.json
//
// with which anybody repeats a verification by an unrelated implementation.
type SnarkJS struct {
	VerificationKey []byte
	Public          []byte
	Proof           []byte
}

// ExportSnarkJS converts the key, a statement's words and its proof. It decodes
// them but does not verify.
func (k *Key) ExportSnarkJS(words []circuits.Element, proof circuits.Proof) (SnarkJS, error) {
	if len(words) != k.Inputs() {
		return SnarkJS{}, fmt.Errorf("export %s: %d public inputs, not %d", k.circuit, len(words), k.Inputs())
	}
	p, err := decodeProof(proof)
	if err != nil {
		return SnarkJS{}, fmt.Errorf("export %s: proof: %w", k.circuit, err)
	}
	public := make([]string, len(words))
	for i, word := range words {
		public[i] = new(big.Int).SetBytes(word[:]).String()
	}
	points := make([][3]string, len(k.vk.G1.K))
	for i := range points {
		points[i] = decimalG1(k.vk.G1.K[i])
	}
	var out SnarkJS
	for _, file := range []struct {
		dst *[]byte
		v   any
	}{
		{&out.Public, public},
		{&out.Proof, map[string]any{
			"protocol": "groth16", "curve": "bn128",
			"pi_a": decimalG1(p.Ar), "pi_b": decimalG2(p.Bs), "pi_c": decimalG1(p.Krs),
		}},
		{&out.VerificationKey, map[string]any{
			"protocol": "groth16", "curve": "bn128", "nPublic": k.Inputs(),
			"vk_alpha_1": decimalG1(k.vk.G1.Alpha), "vk_beta_2": decimalG2(k.vk.G2.Beta),
			"vk_gamma_2": decimalG2(k.vk.G2.Gamma), "vk_delta_2": decimalG2(k.vk.G2.Delta), "IC": points,
		}},
	} {
		if *file.dst, err = json.MarshalIndent(file.v, "", "  "); err != nil {
			return SnarkJS{}, fmt.Errorf("export %s: %w", k.circuit, err)
		}
	}
	return out, nil
}

// decimalG1 and decimalG2 give projective coordinates with z = 1, as snarkjs
// wants them; real parts come first here.
func decimalG1(p curve.G1Affine) [3]string {
	return [3]string{decimal(p.X), decimal(p.Y), "1"}
}

func decimalG2(p curve.G2Affine) [3][2]string {
	return [3][2]string{{decimal(p.X.A0), decimal(p.X.A1)}, {decimal(p.Y.A0), decimal(p.Y.A1)}, {"1", "0"}}
}

func decimal(x fp.Element) string { return x.BigInt(new(big.Int)).String() }
