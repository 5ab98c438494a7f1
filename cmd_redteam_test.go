package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/redteam"
)

func TestRedTeamTable(t *testing.T) {
	t.Parallel()
	cmd, off := newRedTeamCommand(), 4.5
	var out bytes.Buffer
	cmd.SetOut(&out)
	require.NoError(t, printRedTeam(cmd, redteam.Report{MadeUp: true, Findings: []redteam.Finding{
		{Attack: "c", Name: "a subset", Outcome: redteam.Refused, Rule: "release.differencing", Learned: "nothing"},
		{Attack: "p", Name: "margins", Outcome: redteam.Blunted, Learned: "a range", Off: &off},
	}}))
	require.Equal(t, `   attack    outcome  by rule               learned  best guess off by
c  a subset  refused  release.differencing  nothing  -
p  margins   blunted  -                     a range  4.5

The attacks were about fewer than 100 persons of the site, joined by made-up ones up to 400.
`, out.String())
	require.Equal(t, "The attacks were about at least 400 persons of the site.", attackedPersons(redteam.Report{Persons: 400}))
}
