package evidence_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/cosign"
	"github.com/trialmesh/trialmesh/hub/evidence"
)

// TestSeenCheckpoints compares a log with what others were shown of it.
func TestSeenCheckpoints(t *testing.T) {
	t.Parallel()
	w := network(t)
	whole, short, other := truth(t, w), truth(t, w), truth(t, w)
	short.chapters = short.chapters[:len(short.chapters)-3]
	other.remove(other.question())
	note := func(l *tale) []byte {
		raw, err := l.tell().Read(t.Context(), "checkpoint")
		require.NoError(t, err)
		return raw
	}
	told := whole.tell()
	verify := func(seen []byte) evidence.Report {
		trust := w.trust
		trust.Seen = [][]byte{seen}
		report, err := evidence.VerifyLedger(t.Context(), told, trust, "")
		require.NoError(t, err)
		return report
	}
	for _, l := range []*tale{whole, short} {
		report := verify(note(l))
		require.Empty(t, report.Failed())
		require.Nil(t, report.Fork)
	}
	report := verify(note(other))
	require.Len(t, report.Failed(), 1)
	require.Equal(t, evidence.CheckSeen, report.Failed()[0].Name)
	found, err := evidence.VerifyFork(report.Fork, w.trust)
	require.NoError(t, err)
	require.Empty(t, found.Failed(), "the evidence speaks for itself")
	require.Contains(t, found.Checks[0].Detail, "signed by "+origin)

	report = verify([]byte("x"))
	require.Equal(t, evidence.CheckSeen, report.Failed()[0].Name)
	none := cosign.Fork{Earlier: note(short), Present: note(whole)}
	found, err = evidence.VerifyFork(none.Marshal(), w.trust)
	require.NoError(t, err)
	require.Len(t, found.Failed(), 1, "without a proof it is a question to the log")
	_, err = evidence.VerifyFork([]byte("{}"), w.trust)
	require.Error(t, err)
}

// cosigned is a source whose checkpoint has more signatures.
type cosigned struct {
	evidence.Source
	checkpoint []byte
}

func (s cosigned) Read(ctx context.Context, path string) ([]byte, error) {
	if path == "checkpoint" {
		return s.checkpoint, nil
	}
	return s.Source.Read(ctx, path)
}

// TestCosignersAreDemanded by a policy, which the trust document is no part of.
func TestCosignersAreDemanded(t *testing.T) {
	t.Parallel()
	w := network(t)
	trust := w.trust
	key, err := cosign.KeyOf(w.board.DID())
	require.NoError(t, err)
	trust.Cosigners = cosign.Threshold(1, key)
	report, err := evidence.VerifyLedger(t.Context(), w.source, trust, "")
	require.NoError(t, err)
	require.Equal(t, evidence.CheckCheckpoint, report.Failed()[0].Name)

	raw, err := w.source.Read(t.Context(), "checkpoint")
	require.NoError(t, err)
	raw, err = cosign.Cosign(raw, string(w.board.DID()), w.board.Private(), time.Unix(1_800_000_000, 0))
	require.NoError(t, err)
	report, err = evidence.VerifyLedger(t.Context(), cosigned{w.source, raw}, trust, "")
	require.NoError(t, err)
	require.Empty(t, report.Failed())

	trust.Cosigners.Logs = []string{"another"}
	require.Error(t, trust.Validate())
}
