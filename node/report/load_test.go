package report_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/ingest"
	"github.com/trialmesh/trialmesh/node/quality"
	"github.com/trialmesh/trialmesh/node/report"
)

func TestRulesOfALoadHaveACategory(t *testing.T) {
	t.Parallel()
	for rule, want := range map[quality.Rule]report.LoadRule{
		quality.Impossible:     {Category: report.Plausibility, Subcategory: report.Atemporal, Severity: report.Reject},
		quality.Implausible:    {Category: report.Plausibility, Subcategory: report.Atemporal, Severity: report.Flag},
		quality.UnknownUnit:    {Category: report.Conformance, Subcategory: report.Value, Severity: report.Log},
		quality.NoUnit:         {Category: report.Completeness, Severity: report.Log},
		quality.WrongUnit:      {Category: report.Conformance, Subcategory: report.Value, Severity: report.Reject},
		quality.BeforeBirth:    {Category: report.Plausibility, Subcategory: report.Temporal, Severity: report.Reject},
		quality.AfterDeath:     {Category: report.Plausibility, Subcategory: report.Temporal, Severity: report.Reject},
		quality.InFuture:       {Category: report.Plausibility, Subcategory: report.Temporal, Severity: report.Reject},
		quality.EndBeforeStart: {Category: report.Plausibility, Subcategory: report.Temporal, Severity: report.Flag},
		quality.Duplicate:      {Category: report.Plausibility, Subcategory: report.Uniqueness, Severity: report.Log},
	} {
		want.Rule, want.Outcome, want.Count = string(rule), report.Kept, 3
		l := report.OfLoad(ingest.Job{Counts: ingest.Counts{Findings: map[string]int64{string(rule): 3}}}, nil)
		require.Equal(t, []report.LoadRule{want}, l.Rules)
		for _, c := range l.Categories {
			require.Equal(t, c.Category == want.Category, c.Total() == 3, rule)
		}
	}
}

func TestALoadCountsWhatItRejectedOnce(t *testing.T) {
	t.Parallel()
	l := report.OfLoad(ingest.Job{Counts: ingest.Counts{
		Rejected: 5, Findings: map[string]int64{"before-birth death_date": 4}, Unmapped: map[string]int64{"LOINC code": 7},
	}}, []ingest.Problem{
		{Line: 2, Path: "death_date", Rule: "before-birth"}, // the first of the four, which is kept
		{Line: 3, Path: "entry[0]", Rule: "malformed-json"},
		{Line: 9, Path: "entry[8]", Rule: "malformed-json"},
	})
	require.Equal(t, []report.LoadRule{
		{Rule: "malformed-json", Category: report.Conformance, Subcategory: report.Value, Severity: report.Reject, Outcome: report.NotStored, Count: 2},
		{Rule: "unmapped-code", Where: "LOINC code", Category: report.Completeness, Severity: report.Log, Outcome: report.Unmapped, Count: 7},
		{Rule: "before-birth", Where: "death_date", Category: report.Plausibility, Subcategory: report.Temporal, Severity: report.Reject, Outcome: report.Kept, Count: 4},
	}, l.Rules)
	require.EqualValues(t, 3, l.Unlisted)
}
