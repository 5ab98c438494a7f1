package disclosure_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/disclosure"
)

func TestParseReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := policy(t, "p")
		raw, err := json.Marshal(p)
		require.NoError(t, err)
		back, err := disclosure.Parse(raw)
		require.NoError(t, err)
		require.Equal(t, p, back)
	})
}

func TestParseRefusesByName(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`{"minCell":11,"minCellls":12}`:      "disclosure.minCellls: unknown (did you mean minCell?); known are minCell, rounding",
		`{"MinCell":11}`:                     "disclosure.MinCell: unknown",
		`{"minCell":11,"MINCELL":1}`:         "malformed",
		`{"minCell":11,"minCell":1}`:         "malformed",
		`{"<script>":1}`:                     "disclosure.script: unknown",
		`{"minCell":-1}`:                     "disclosure.minCell: 0 to 1000",
		`{"minCell":1.5}`:                    "malformed",
		`{"noise":"uniform","noiseScale":1}`: "disclosure.noise",
		`[]`:                                 "malformed",
		`{} {}`:                              "malformed",
		``:                                   "malformed",
	} {
		_, err := disclosure.Parse([]byte(raw))
		require.ErrorContains(t, err, want, raw)
	}
}
