package evidence_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/trialmesh/trialmesh/protocol/sdk/sdktest"
)

// TestASecondVerifierAgrees runs the verifier in TypeScript, which shares no code with this
// package, on the evidence that [TestExampleVerifies] reads, and on what a hub that lies could
// make of it.
func TestASecondVerifierAgrees(t *testing.T) {
	t.Parallel()
	const sdk = "../../protocol/sdk"
	cmd := exec.CommandContext(t.Context(), sdktest.Tool(t, "node"), "test.mjs")
	cmd.Dir = sdk + "/evidence"
	if _, err := os.Stat(cmd.Dir + "/node_modules/.bin/tsc"); err != nil {
		sdktest.Missing(t, "no TypeScript: run npm ci in protocol/sdk/evidence")
	}
	sdktest.ReadSources(t, cmd.Dir, "package.json", "tsconfig.json", "test.mjs", "src/*.ts", "test/*.ts")
	sdktest.ReadSources(t, exampleDir, "count.zip", "trust.json")
	sdktest.Run(t, sdk, cmd)
}
