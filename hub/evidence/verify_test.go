package evidence_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/protocol/query"
)

func TestEverythingVerifies(t *testing.T) {
	t.Parallel()
	w := network(t)
	ledger, err := evidence.VerifyLedger(t.Context(), w.source, w.trust, w.chain.URL())
	require.NoError(t, err)
	require.Empty(t, ledger.Failed())
	for name, id := range map[string]query.ID{
		"complete": w.complete, "repeated": w.repeated, "partial": w.partial, "withheld": w.withheld, "cancelled": w.cancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := evidence.VerifyQuery(t.Context(), w.source, w.trust, w.chain.URL(), id)
			require.NoError(t, err)
			require.Empty(t, report.Failed())
			raw, err := json.Marshal(report)
			require.NoError(t, err)
			var back evidence.Report
			require.NoError(t, json.Unmarshal(raw, &back))
			require.Equal(t, report, back)
		})
	}
}
