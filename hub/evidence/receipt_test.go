package evidence_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/evidence"
	"github.com/trialmesh/trialmesh/hub/ledger"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// TestReceipts are all that a researcher has to keep of a question and its result.
func TestReceipts(t *testing.T) {
	t.Parallel()
	w := network(t)
	files, err := evidence.Receipts(t.Context(), w.source, w.trust, w.complete)
	require.NoError(t, err)
	require.Len(t, files, 2)
	for name, says := range map[string]string{"question.tlog-proof": "question asked on ", "result.tlog-proof": "question answered on "} {
		report, err := evidence.VerifyReceipt(files[name], w.trust)
		require.NoError(t, err)
		require.Empty(t, report.Failed())
		require.Contains(t, report.Checks[0].Detail, says)
		require.Contains(t, report.Checks[0].Detail, w.complete.String())

		for at := 0; at < len(files[name]); at += 7 {
			flipped := bytes.Clone(files[name])
			flipped[at] ^= 1
			report, err := evidence.VerifyReceipt(flipped, w.trust)
			require.True(t, err != nil || len(report.Failed()) == 1, "%s, byte %d", name, at)
		}
		receipt, err := ledger.ParseReceipt(files[name])
		require.NoError(t, err)
		receipt.Extra = nil
		report, err = evidence.VerifyReceipt(receipt.Marshal(), w.trust)
		require.NoError(t, err)
		require.Len(t, report.Failed(), 1, "without its entry it says nothing")
	}
	trust := w.trust
	key, err := cosign.KeyOf(w.board.DID())
	require.NoError(t, err)
	trust.Cosigners = cosign.Threshold(1, key)
	report, err := evidence.VerifyReceipt(files["result.tlog-proof"], trust)
	require.NoError(t, err)
	require.Len(t, report.Failed(), 1, "nobody countersigned")
	_, err = evidence.Receipts(t.Context(), w.source, w.trust, query.ID{1})
	require.ErrorIs(t, err, evidence.ErrUnasked)
}
