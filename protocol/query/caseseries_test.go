package query_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/consent"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// bleedings asks for a case series.
func bleedings() query.Request {
	r := request()
	r.Analysis = query.Analysis{
		Kind: query.CaseSeries,
		Specs: query.Specs{CaseSeries: &query.CaseSeriesSpec{
			Events: "bleedings", Exposures: "doses", Ages: []int{18, 65}, Seasons: true, Window: &query.Window{From: -365, To: 365},
			Risks: []query.RiskPeriod{{Name: "before", Window: query.Window{From: -30, To: -1}}, {Name: "after", Window: query.Window{To: 60}}},
		}},
		Columns: []query.Column{
			{Name: "bleedings", From: query.FromDays, Domain: "ConditionOccurrence", Concepts: []int64{1}},
			{Name: "doses", From: query.FromDays, Domain: "DrugExposure", Concepts: []int64{2}},
		},
	}
	return r
}

func TestACaseSeriesSaysWhatItTakes(t *testing.T) {
	t.Parallel()
	r := bleedings()
	require.NoError(t, r.Validate())
	s := r.Analysis.CaseSeries
	require.Equal(t, []string{"baseline", "before", "after"}, s.RiskLevels())
	require.Equal(t, []string{"0-17", "18-64", "65+"}, s.AgeLevels())
	require.Len(t, s.SeasonLevels(), 4)
	scopes, err := r.Scopes()
	require.NoError(t, err)
	require.Equal(t, []consent.Scope{consent.Demographics, consent.Conditions, consent.Medications, consent.Statistics}, scopes.Scopes(), "age is demographics")
	require.Equal(t, strings.Join([]string{
		"Self-controlled case series: how often bleedings are in before (days -30 to -1 from one of doses), after (days 0 to 60 from one of doses), " +
			"and in the rest of each person's time in days -365 to 365 from entry, by age (0-17, 18-64, 65+), by quarter of the year, " +
			"over the cohort, of whom those with an event count, where",
		"  - bleedings is the days with a ConditionOccurrence of concept 1",
		"  - doses is the days with a DrugExposure of concept 2",
	}, "\n"), r.Analysis.Words())
}

func TestACaseSeriesRefuses(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*query.Request){
		"selfControlledCaseSeries.events": func(r *query.Request) { r.Analysis.CaseSeries.Exposures = "bleedings" },
		"risks: is missing":               func(r *query.Request) { r.Analysis.CaseSeries.Risks = nil },
		"risks: 1 to 10":                  func(r *query.Request) { r.Analysis.CaseSeries.Risks = make([]query.RiskPeriod, 11) },
		"risks[1].from: the periods":      func(r *query.Request) { r.Analysis.CaseSeries.Risks[1].From = -1 },
		"risks[0].name":                   func(r *query.Request) { r.Analysis.CaseSeries.Risks[0].Name = "baseline" },
		"risks[1].name":                   func(r *query.Request) { r.Analysis.CaseSeries.Risks[1].Name = "before" },
		"risks[0].window: from":           func(r *query.Request) { r.Analysis.CaseSeries.Risks[0].To = -31 },
		"Series.window: from":             func(r *query.Request) { r.Analysis.CaseSeries.Window.To = -366 },
		"ages[1]: completed":              func(r *query.Request) { r.Analysis.CaseSeries.Ages[1] = 18 },
		"ages: at most":                   func(r *query.Request) { r.Analysis.CaseSeries.Ages = make([]int, 11) },
		"columns[1].from: the columns":    func(r *query.Request) { r.Analysis.Columns[1].From = query.FromEvent },
		"columns[0].window: days":         func(r *query.Request) { r.Analysis.Columns[0].Window = &query.Window{} },
		"columns[0].concepts":             func(r *query.Request) { r.Analysis.Columns[0].Concepts = nil },
		"observation periods":             func(r *query.Request) { r.Cohort, r.Dataset = nil, "registry" },
		"columns[0].from: the columns": func(r *query.Request) {
			r.Analysis = query.Analysis{
				Kind: query.Prevalence, Specs: query.Specs{Prevalence: &query.PrevalenceSpec{Property: "bleedings"}}, Columns: r.Analysis.Columns[:1],
			}
		},
	} {
		r := bleedings()
		change(&r)
		require.ErrorContains(t, r.Validate(), want)
	}
}
