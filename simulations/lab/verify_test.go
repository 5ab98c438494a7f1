package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/hub/evidence"
)

// TestChecksAreToldByWhatTheyShow: what passed is counted, the rest is said in full.
func TestChecksAreToldByWhatTheyShow(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	d := newDemo(nil, &screen)
	d.sayChecks(evidence.Report{Checks: []evidence.Check{
		{Name: "log.tree", Subject: "a", OK: true},
		{Name: "access.proof", Subject: "b", OK: true},
		{Name: "access.count", Subject: "b", OK: true},
		{Name: "chain.proof", Subject: "b", Detail: "it does not verify"},
		{Name: "result.numbers", Subject: "c", Skipped: "not proven"},
	}})
	require.Equal(t, 4, d.outcome.Verify.Checks)
	lines := strings.Split(strings.TrimSpace(screen.String()), "\n")
	require.Len(t, lines, 2+len(areas))
	require.Equal(t, "FAILED  chain.proof b: it does not verify", lines[0])
	require.Equal(t, "     skipped result.numbers c: not proven", lines[1])
	require.Contains(t, screen.String(), "      2 checks passed  each proved that every record")
	require.Contains(t, screen.String(), "      0 checks passed  the contract")
}
