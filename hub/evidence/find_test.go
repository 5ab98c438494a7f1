package evidence_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/evidence"
	entry "github.com/trialmesh/trialmesh/protocol/ledger"
)

func TestFindQuestion(t *testing.T) {
	t.Parallel()
	w := network(t)
	whole := w.complete.String()
	for _, prefix := range []string{whole, whole[:8], whole[:63]} {
		id, err := evidence.FindQuestion(t.Context(), w.source, w.trust, prefix)
		require.NoError(t, err, prefix)
		require.Equal(t, w.complete, id)
	}
	for prefix, want := range map[string]error{
		"": evidence.ErrPrefix, whole[:7]: evidence.ErrPrefix, whole + "0": evidence.ErrPrefix, "0123456x": evidence.ErrPrefix,
		"00000000": evidence.ErrUnasked,
	} {
		_, err := evidence.FindQuestion(t.Context(), w.source, w.trust, prefix)
		require.ErrorIs(t, err, want, prefix)
	}

	l := truth(t, w)
	other := l.one(entry.QuestionAsked, w.withheld.String())
	other.Subject = whole[:12] + strings.Repeat("0", 52)
	source := l.tell()
	_, err := evidence.FindQuestion(t.Context(), source, *l.Trust, whole[:12])
	require.ErrorIs(t, err, evidence.ErrAmbiguous)
	id, err := evidence.FindQuestion(t.Context(), source, *l.Trust, whole[:24])
	require.NoError(t, err)
	require.Equal(t, w.complete, id)
}
