package redteam_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/node/redteam"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
)

func people(t *testing.T, n int) []omop.PersonID {
	t.Helper()
	list := make([]omop.PersonID, n)
	for i := range list {
		require.NoError(t, list[i].Scan(int64(7*i+1)))
	}
	return list
}

func run(t *testing.T, p disclosure.Policy) map[string]redteam.Finding {
	t.Helper()
	report := attacked(t, p, 450)
	require.Equal(t, 400, report.Persons)
	require.False(t, report.MadeUp)
	found := make(map[string]redteam.Finding)
	for _, f := range report.Findings {
		found[f.Attack] = f
	}
	return found
}

// attacked returns what came of the attacks on a site of n persons.
func attacked(t *testing.T, p disclosure.Policy, n int) redteam.Report {
	t.Helper()
	dir := t.TempDir()
	report, err := redteam.Run(t.Context(), redteam.Config{
		Dir: dir, Policy: p, Persons: people(t, n), Now: func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) },
	})
	require.NoError(t, err)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "the memory of the attacks is gone")
	withstood := true
	for _, f := range report.Findings {
		withstood = withstood && f.Outcome != redteam.Succeeded
	}
	require.Equal(t, withstood, report.Withstood)
	return report
}

// TestEveryAttackFails as deploy/docs/disclosure.md says, under the default policy.
func TestEveryAttackFails(t *testing.T) {
	t.Parallel()
	type end struct {
		outcome redteam.Outcome
		rule    string
	}
	want := map[string]end{
		"a": {redteam.Refused, "message.malformed"},
		"b": {redteam.Refused, "release.differencing"},
		"c": {redteam.Refused, "release.differencing"},
		"d": {redteam.Blunted, ""},
		"e": {redteam.Blunted, ""},
		"f": {redteam.Blunted, ""},
		"g": {redteam.Refused, "message.malformed"},
		"h": {redteam.Refused, "release.cell-threshold"},
		"i": {redteam.Refused, "release.differencing"},
		"j": {redteam.Refused, "release.sites"},
		"k": {redteam.Refused, "release.limits"},
		"l": {redteam.Refused, "release.differencing"},
		"m": {redteam.Refused, "release.differencing"},
		"n": {redteam.Blunted, ""},
		"o": {redteam.Refused, "release.differencing"},
		"p": {redteam.Blunted, "release.differencing"},
		"q": {redteam.Refused, "release.differencing"},
		"r": {redteam.Refused, "release.few-differ"},
		"s": {redteam.Blunted, ""},
		"t": {redteam.Blunted, ""},
		"u": {redteam.Blunted, ""},
		"v": {redteam.Blunted, ""},
		"w": {redteam.Refused, "release.differencing"},
		"x": {redteam.Blunted, ""},
		"y": {redteam.Blunted, ""},
		"z": {redteam.Refused, "release.sites"},

		"aa": {redteam.Refused, "release.differencing"},
		"ab": {redteam.Refused, "release.few-differ"},
		"ac": {redteam.Refused, "release.differencing"},
		"ad": {redteam.Refused, "release.few-differ"},
		"ae": {redteam.Refused, "release.few-differ"},
		"af": {redteam.Refused, "release.differencing"},
		"ag": {redteam.Refused, "release.choice"},
		"ah": {redteam.Refused, "release.choice"},
		"ai": {redteam.Refused, "release.choice"},
		"aj": {redteam.Refused, "release.few-differ"},
		"ak": {redteam.Blunted, ""},
		"al": {redteam.Refused, "release.dominance"},
		"am": {redteam.Refused, "release.choice"},
		"an": {redteam.Refused, "release.dominance"},
		"ao": {redteam.Refused, "release.differencing"},
		"ap": {redteam.Refused, "release.sites"},
		"aq": {redteam.Refused, "release.choice"},
		"ar": {redteam.Refused, "release.choice"},
		"as": {redteam.Refused, "release.choice"},
		"at": {redteam.Blunted, ""},
		"au": {redteam.Refused, "release.few-differ"},
		"av": {redteam.Refused, "release.differencing"},
		"aw": {redteam.Refused, "release.levels"},
		"ax": {redteam.Refused, "release.dominance"},
		"ay": {redteam.Refused, "release.dominance"},
		"az": {redteam.Refused, "release.choice"},
		"ba": {redteam.Refused, "release.choice"},
		"bb": {redteam.Refused, "release.choice"},
		"bc": {redteam.Refused, "release.parameters"},
		"bd": {redteam.Refused, "release.choice"},
		"be": {redteam.Refused, "release.choice"},
		"bf": {redteam.Refused, "release.choice"},
		"bg": {redteam.Blunted, ""},
		"bh": {redteam.Refused, "release.differencing"},
		"bi": {redteam.Refused, "release.differencing"},
		"bj": {redteam.Refused, "release.choice"},
		"bk": {redteam.Refused, "release.few-differ"},
		"bl": {redteam.Refused, "release.differencing"},
		"bm": {redteam.Refused, "release.few-differ"},
		"bn": {redteam.Refused, "release.choice"},
		"bo": {redteam.Refused, "release.few-differ"},
		"bp": {redteam.Refused, "release.choice"},
		"bq": {redteam.Refused, "release.differencing"},
		"br": {redteam.Refused, "release.few-differ"},
		"bs": {redteam.Refused, "release.parameters"},
		"bt": {redteam.Refused, "release.differencing"},
		"bu": {redteam.Refused, "release.few-differ"},
		"bv": {redteam.Refused, "release.differencing"},
	}
	got := make(map[string]end)
	for letter, f := range run(t, disclosure.Default()) {
		require.NotEmpty(t, f.Name)
		require.NotEmpty(t, f.Learned)
		got[letter] = end{f.Outcome, f.Rule}
	}
	require.Equal(t, want, got)
}

func TestEveryAttackFailsWithNoise(t *testing.T) {
	t.Parallel()
	p := disclosure.Default()
	p.Noise, p.NoiseScale, p.TrialEpsilon = disclosure.Laplace, 5, 100
	for letter, f := range run(t, p) {
		require.NotEqual(t, redteam.Succeeded, f.Outcome, "attack %s: %s", letter, f.Learned)
	}
}

// TestAttacksSucceedWithoutAGate: they can tell.
func TestAttacksSucceedWithoutAGate(t *testing.T) {
	t.Parallel()
	found := run(t, disclosure.Policy{MinSites: 1})
	for _, letter := range []string{"b", "c", "h", "i", "l", "m", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y", "aa", "ab", "ac", "ad", "ae", "af", "ag", "ah", "ai", "aj", "ak", "al", "am", "an", "ao", "aq", "ar", "as", "at", "au", "av", "aw", "ax", "ay", "az", "ba", "bc", "bd", "be", "bf", "bg", "bh", "bi", "bk", "bl", "bm", "bn", "bo", "bp", "bq", "br", "bs", "bt", "bu", "bv"} {
		require.Equal(t, redteam.Succeeded, found[letter].Outcome, "attack %s: %s", letter, found[letter].Learned)
	}
}

// TestASmallSiteIsAttackedLikeALargeOne: made-up persons join its own.
func TestASmallSiteIsAttackedLikeALargeOne(t *testing.T) {
	t.Parallel()
	want := attacked(t, disclosure.Default(), 400)
	require.Equal(t, 400, want.Persons)
	require.False(t, want.MadeUp)
	for _, n := range []int{0, 89} {
		got := attacked(t, disclosure.Default(), n)
		require.Equal(t, want.Findings, got.Findings)
		require.Zero(t, got.Persons, "of the site's, rounded down")
		require.True(t, got.MadeUp)
	}
}
