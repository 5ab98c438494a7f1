package spelling_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/spelling"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"formula", "family", "link", "weights", "age", "kaplan-meier", "pressure"}
	for name, want := range map[string]string{
		"famly": "family", "fmaily": "family", "Family": "family", "agee": "age", "kaplanmeier": "kaplan-meier",
		"presure": "pressure", "preßure": "pressure", "lnik": "link",
		"sex": "", "": "", "x": "", "linearity": "", strings.Repeat("a", 1<<20): "",
	} {
		require.Equal(t, want, spelling.Nearest(name, known...), "%.20q", name)
	}
	require.Empty(t, spelling.Nearest[string]("age"))
	require.Equal(t, "ab", spelling.Nearest("ax", "ab", "ac"), "the first of two that are as close")
	require.Equal(t, " (did you mean family?)", spelling.Hint("famly", known...))
	require.Empty(t, spelling.Hint("sex", known...))
}
