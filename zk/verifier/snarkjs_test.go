package verifier

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/zk/circuits"
)

// snarkjs returns the program that `npm ci` puts under testdata/snarkjs. CI
// must have it.
func snarkjs(t *testing.T) string {
	t.Helper()
	program, err := filepath.Abs("testdata/snarkjs/node_modules/.bin/snarkjs")
	require.NoError(t, err)
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("snarkjs is not installed: run npm ci in zk/verifier/testdata/snarkjs")
		}
		t.Skip("snarkjs is not installed: run npm ci in zk/verifier/testdata/snarkjs")
	}
	return program
}

func TestSnarkJSVerifiesOurProofs(t *testing.T) {
	t.Parallel()
	program := snarkjs(t)
	p, q := readProofs(t), readParticipants(t)
	type exported struct {
		key   *Key
		words []circuits.Element
		proof circuits.Proof
	}
	all := map[string]exported{
		"epoch":       {p.epochKey(t), p.Epoch.Words, p.Epoch.Proof},
		"access":      {p.accessKey(t), p.Access.Words, p.Access.Proof},
		"enrollment":  {q.Enrollment.key(t), q.Enrollment.Words, q.Enrollment.Proof},
		"eligibility": {q.Eligibility.key(t), q.Eligibility.Words, q.Eligibility.Proof},
		"quiz":        {q.Quiz.key(t), q.Quiz.Words, q.Quiz.Proof},
		"custody":     {q.Custody.key(t), q.Custody.Words, q.Custody.Proof},
	}
	for _, r := range readResults(t) {
		all[r.Circuit.String()] = exported{key(t, r.Circuit, r.VerifyingKey), r.Words, r.Proof}
	}
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := c.key.ExportSnarkJS(c.words, c.proof)
			require.NoError(t, err)
			out, err := runSnarkJS(t, program, files)
			require.NoError(t, err, out)
			require.Contains(t, out, "OK!")

			changed := append([]circuits.Element(nil), c.words...)
			changed[1][31] ^= 1
			files, err = c.key.ExportSnarkJS(changed, c.proof)
			require.NoError(t, err)
			out, err = runSnarkJS(t, program, files)
			require.Error(t, err, "a changed public input")
			require.Contains(t, out, "Invalid proof")
		})
	}
}

func runSnarkJS(t *testing.T, program string, files SnarkJS) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"verification_key.json": files.VerificationKey, "public.json": files.Public, "proof.json": files.Proof,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "groth16", "verify", "verification_key.json", "public.json", "proof.json")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestExportSnarkJSRefuses(t *testing.T) {
	t.Parallel()
	p := readProofs(t)
	_, err := p.accessKey(t).ExportSnarkJS(p.Epoch.Words, p.Access.Proof)
	require.EqualError(t, err, "export access-16x2x2: 4 public inputs, not 5")
	bad := p.Access.Proof
	bad[0] = 0xff
	_, err = p.accessKey(t).ExportSnarkJS(p.Access.Words, bad)
	require.ErrorIs(t, err, errCoordinate)
}
