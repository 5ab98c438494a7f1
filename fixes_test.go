package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// TestFixesAreThoseOfTheGuide, which the Python SDK has too.
func TestFixesAreThoseOfTheGuide(t *testing.T) {
	t.Parallel()
	list := fixes()
	require.Equal(t, "use a UCUM unit that the hospitals' vocabularies have, as mm[Hg] and not mmHg", list["query.unit"])
	require.Contains(t, list["cohort.unsupported"], "remove the element")
	require.NotContains(t, strings.Join([]string{list["protocol.version"], list["schedule.occurrence"]}, ""), "`")

	raw, err := os.ReadFile("protocol/sdk/python/src/trialmesh/fixes.py")
	require.NoError(t, err)
	python := regexp.MustCompile(`(?m)^    "(.*?)": "(.*)",$`).FindAllStringSubmatch(string(raw), -1)
	require.Len(t, python, len(list))
	for _, row := range python {
		require.Equal(t, list[row[1]], strings.ReplaceAll(row[2], `\"`, `"`), row[1])
	}
}

func TestARefusalSaysWhatToChange(t *testing.T) {
	t.Parallel()
	refusal := fmt.Errorf("ask trial bp-2026: %w", problem.Refusal("trial.analysis", "no").With("it was approved for count"))
	require.Equal(t, []string{fixes()["trial.analysis"]}, fixesFor(refusal))
	require.Equal(t, []string{"query.unit: " + fixes()["query.unit"], "release.sites: " + fixes()["release.sites"]},
		fixesFor(withheldError{"too few", []string{"query.unit", "release.sites", "of.a-later-version"}}))
	require.Empty(t, fixesFor(problem.New(problem.Invalid, "no")))
}
