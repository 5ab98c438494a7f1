package oprf_test

import (
	"bytes"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/oprf"
)

//go:embed testdata/rfc9497.json
var vectors []byte

// suite is one mode's vectors as the RFC's authors publish them. Batches are lists
// with commas.
type suite struct {
	Mode                      oprf.Mode
	Seed, KeyInfo, SkSm, PkSm string
	Vectors                   []struct {
		Blind, BlindedElement, EvaluationElement, Input, Output string
		Proof                                                   struct{ Proof, R string }
	}
}

func TestVectorsOfRFC9497(t *testing.T) {
	t.Parallel()
	var suites []suite
	require.NoError(t, json.Unmarshal(vectors, &suites))
	require.Len(t, suites, 2)
	for _, s := range suites {
		key, err := oprf.DeriveKey(s.Mode, [32]byte(unhex(t, s.Seed)[0]), unhex(t, s.KeyInfo)[0])
		require.NoError(t, err)
		require.Equal(t, s.SkSm, hex.EncodeToString(key.Bytes()))
		if s.Mode == oprf.Verifiable {
			require.Equal(t, s.PkSm, hex.EncodeToString(key.Public().Bytes()))
		}
		for i, v := range s.Vectors {
			t.Run(fmt.Sprintf("mode %d/%d", s.Mode, i), func(t *testing.T) {
				t.Parallel()
				inputs := unhex(t, v.Input)
				request, err := oprf.Blind(scalars(t, v.Blind), s.Mode, inputs)
				require.NoError(t, err)
				require.Equal(t, v.BlindedElement, join(request.Elements()))

				var outputs []oprf.Output
				if s.Mode == oprf.Base {
					evaluated, err := key.Evaluate(request.Elements())
					require.NoError(t, err)
					require.Equal(t, v.EvaluationElement, join(evaluated))
					outputs, err = request.Finalize(evaluated)
					require.NoError(t, err)
				} else {
					evaluated, proof, err := key.EvaluateVerifiably(scalars(t, v.Proof.R), request.Elements())
					require.NoError(t, err)
					require.Equal(t, v.EvaluationElement, join(evaluated))
					require.Equal(t, v.Proof.Proof, hex.EncodeToString(proof.Bytes()))
					outputs, err = request.FinalizeVerified(key.Public(), evaluated, proof)
					require.NoError(t, err)
				}
				for j, want := range unhex(t, v.Output) {
					require.Equal(t, want, outputs[j][:])
					direct, err := key.Output(inputs[j])
					require.NoError(t, err)
					require.True(t, direct.Equal(outputs[j]), "the holder computes the same of the bare value")
				}
			})
		}
	}
}

func unhex(t *testing.T, list string) (values [][]byte) {
	t.Helper()
	for _, text := range strings.Split(list, ",") {
		raw, err := hex.DecodeString(text)
		require.NoError(t, err)
		values = append(values, raw)
	}
	return values
}

// scalars is a source of random from which these scalars are drawn.
func scalars(t *testing.T, list string) *bytes.Reader {
	t.Helper()
	var stream []byte
	for _, scalar := range unhex(t, list) {
		stream = append(append(stream, scalar...), make([]byte, 32)...)
	}
	return bytes.NewReader(stream)
}

func join(elements []oprf.Element) string {
	var parts []string
	for _, e := range elements {
		parts = append(parts, hex.EncodeToString(e.Bytes()))
	}
	return strings.Join(parts, ",")
}
