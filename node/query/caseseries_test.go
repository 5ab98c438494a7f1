package query_test

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/release"
	protocol "github.com/trialmesh/trialmesh/protocol/query"
)

// series asks how often diabetes is recorded after metformin, of those who have it.
func series(s protocol.CaseSeriesSpec) protocol.Request {
	s.Events, s.Exposures = "attacks", "doses"
	return protocol.Request{Cohort: cohort(anyWindow, hasDiabetes), Purpose: "test", Analysis: protocol.Analysis{
		Kind: protocol.CaseSeries, Specs: protocol.Specs{CaseSeries: &s},
		Columns: []protocol.Column{
			{Name: "attacks", From: protocol.FromDays, Domain: "ConditionOccurrence", Concepts: []int64{diabetes}},
			{Name: "doses", From: protocol.FromDays, Domain: "DrugExposure", Concepts: []int64{metformin}},
		},
	}}
}

func period(name string, from, to int) protocol.RiskPeriod {
	return protocol.RiskPeriod{Name: name, Window: protocol.Window{From: from, To: to}}
}

// observed adds somebody with an observation period, attacks and doses.
func (c *clinic) observed(t *testing.T, name string, born, from, to omop.Date, attacks, doses []omop.Date) {
	t.Helper()
	key := omop.NewKey(name)
	year, month, birthday := born.Time().Date()
	b := omop.Batch{
		Persons: []omop.Person{{Key: key, Pointer: "p", YearOfBirth: year, MonthOfBirth: int(month), DayOfBirth: birthday}},
		Periods: []omop.ObservationPeriod{{Person: key, Start: from, End: to, TypeConceptID: ehr}},
	}
	for _, d := range attacks {
		b.Conditions = append(b.Conditions, omop.Condition{Record: c.record(name), ConceptID: diabetes, Start: d, TypeConceptID: ehr})
	}
	for _, d := range doses {
		b.Drugs = append(b.Drugs, omop.Drug{Record: c.record(name), ConceptID: metformin, Start: d, End: d, TypeConceptID: ehr})
	}
	c.put(t, b)
}

// TestIntervalsOfACaseSeries: what is cut, and whose period a day is.
func TestIntervalsOfACaseSeries(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := newClinic(t, db)
		born, from, to := day("2002-03-01"), day("2020-01-01"), day("2020-12-31")
		c.observed(t, "twice", born, from, to, []omop.Date{day("2020-02-05"), day("2020-02-05"), day("2020-06-01")}, []omop.Date{day("2020-02-01"), day("2020-02-08")})
		c.observed(t, "never", born, from, to, []omop.Date{day("2020-06-01")}, nil)
		c.observed(t, "without", born, from, to, nil, []omop.Date{day("2020-02-01")})
		soon := period("soon", 0, 2)
		for name, of := range map[string]struct {
			spec protocol.CaseSeriesSpec
			want [][]float64 // events, days, person, levels
		}{
			"a later exposure": {
				protocol.CaseSeriesSpec{Risks: []protocol.RiskPeriod{period("soon", 0, 9), period("late", 10, 19)}},
				[][]float64{{0, 31, 0, 0}, {1, 17, 0, 1}, {0, 10, 0, 2}, {1, 308, 0, 0}, {1, 366, 1, 0}},
			},
			"before exposure, first": {
				protocol.CaseSeriesSpec{Risks: []protocol.RiskPeriod{period("before", -7, -1), period("after", 0, 3)}, First: true},
				[][]float64{{0, 24, 0, 0}, {1, 14, 0, 1}, {0, 4, 0, 2}, {0, 324, 0, 0}, {1, 366, 1, 0}},
			},
			"ages and seasons": {
				protocol.CaseSeriesSpec{Risks: []protocol.RiskPeriod{soon}, Ages: []int{18}, Seasons: true, Window: &protocol.Window{From: -5, To: 120}},
				[][]float64{
					{0, 1, 0, 0, 0, 0},
					{0, 3, 0, 1, 0, 0},
					{1, 4, 0, 0, 0, 0},
					{0, 3, 0, 1, 0, 0},
					{0, 19, 0, 0, 0, 0},
					{0, 31, 0, 0, 1, 0},
					{1, 65, 0, 0, 1, 1},
					{1, 35, 1, 0, 1, 1},
					{0, 91, 1, 0, 1, 2},
				},
			},
			"after entry": {
				protocol.CaseSeriesSpec{Risks: []protocol.RiskPeriod{soon}, Window: &protocol.Window{From: 1, To: 400}},
				[][]float64{{0, 2, 0, 0}, {0, 3, 0, 1}, {1, 325, 0, 0}},
			},
		} {
			require.NoError(t, series(of.spec).Validate())
			answer := c.evaluate(t, series(of.spec))
			require.Equal(t, of.want, rowsOf(answer.Frame.Values), name)
			require.Len(t, answer.Used, 2, name)
		}

		answer := c.evaluate(t, series(protocol.CaseSeriesSpec{Risks: []protocol.RiskPeriod{period("soon", 0, 9)}}))
		both, twice, never := answer.Used, answer.Used[:1], answer.Used[1:]
		require.Len(t, answer.Frame.Views, 3, "events, the baseline, the period")
		require.Equal(t, [][]omop.PersonID{both, both, never, twice}, answer.Sets[answer.Measure],
			"who has events; who in the baseline; who was in no period; who has some there")
		require.Equal(t, []release.Value{{Person: both[0], Number: 2}, {Person: both[1], Number: 1}}, answer.Values["count"][0])
	})
}

// TestADayMoreIsAnotherChoice: the gate sees the same persons and as many events, but one of them
// is on that day.
func TestADayMoreIsAnotherChoice(t *testing.T) {
	t.Parallel()
	c := newClinic(t, sqltest.SQLite(t))
	c.observed(t, "anna", day("1980-03-01"), day("2020-01-01"), day("2020-12-31"),
		[]omop.Date{day("2020-02-05"), day("2020-02-11"), day("2020-07-01")}, []omop.Date{day("2020-02-01")})
	until := func(name string, to int) release.Answer {
		return c.evaluate(t, series(protocol.CaseSeriesSpec{Risks: []protocol.RiskPeriod{period(name, 0, to)}}))
	}
	short, long := until("soon", 9), until("soon", 10)
	require.Equal(t, [][]any{{short.Sets, short.Values}}, [][]any{{long.Sets, long.Values}})
	require.NotEqual(t, rowsOf(short.Frame.Values), rowsOf(long.Frame.Values))
	require.Len(t, short.Choices, 1)
	require.NotEqual(t, short.Choices, long.Choices)
	require.Equal(t, short.Choices, until("early", 9).Choices, "under another name")
}

// TestACaseSeriesOfTheTablesIsThatOfR: the vaccine and purpura of 35 children, from the days on
// their records, at three sites.
//
// Source: Whitaker and others (2006), data set itpdat of R's package SCCS, and federation/analysis/testdata/conditional.
func TestACaseSeriesOfTheTablesIsThatOfR(t *testing.T) {
	t.Parallel()
	const folder = "../../federation/analysis/testdata/conditional/"
	raw, err := os.ReadFile(folder + "cases.json")
	require.NoError(t, err)
	var cases []struct {
		Name string `json:"name"`
		protocol.Conditional
	}
	require.NoError(t, json.Unmarshal(raw, &cases))
	named := make(map[string]protocol.Conditional)
	for _, c := range cases {
		named[c.Name] = c.Conditional
	}
	want := named["purpura without ages"]
	file, err := os.Open(folder + "itpdat.txt")
	require.NoError(t, err)
	defer file.Close()
	lines := csv.NewReader(file)
	lines.Comma = '\t'
	table, err := lines.ReadAll()
	require.NoError(t, err)

	r := series(protocol.CaseSeriesSpec{Risks: []protocol.RiskPeriod{period("risk1", 0, 14), period("risk2", 15, 28), period("risk3", 29, 42)}})
	born := day("2000-01-01")
	var clinics []*clinic
	for range 3 {
		clinics = append(clinics, newClinic(t, sqltest.SQLite(t)))
	}
	for i := 1; i < len(table); {
		child, days := table[i], make([]omop.Date, 5)
		var attacks []omop.Date
		for ; i < len(table) && table[i][0] == child[0]; i++ {
			for k := range days {
				n, err := strconv.Atoi(table[i][k])
				require.NoError(t, err)
				days[k] = born + omop.Date(n)
			}
			attacks = append(attacks, days[1])
		}
		clinics[int(days[0]-born)%3].observed(t, child[0], born, days[2], days[3], attacks, []omop.Date{days[4]})
	}
	var frames []*analysis.Frame
	for _, c := range clinics {
		frames = append(frames, c.evaluate(t, r).Frame.Values)
	}
	method, err := analysis.InRounds(r.Analysis, 0)
	require.NoError(t, err)
	got, err := analysis.Local(method, frames...)
	require.NoError(t, err)
	fit := got.Result.(*protocol.Conditional)
	require.Equal(t, []int64{want.Sets, want.Events}, []int64{fit.Sets, fit.Events})
	require.EqualValues(t, 31, fit.Informative, "four children have no observed day in a period")
	require.Len(t, fit.Coefficients, len(want.Coefficients))
	for i, c := range want.Coefficients {
		require.Equal(t, c.Name, fit.Coefficients[i].Name)
		require.InEpsilon(t, *c.Estimate, *fit.Coefficients[i].Estimate, 1e-8)
		require.InEpsilon(t, *c.SE, *fit.Coefficients[i].SE, 1e-8)
	}
	require.InEpsilon(t, want.LikelihoodRatio.Statistic, fit.LikelihoodRatio.Statistic, 1e-8)
}

// TestTheGuidesCaseSeries can be asked, and reads what it says.
func TestTheGuidesCaseSeries(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../deploy/docs/examples/case-series.json")
	require.NoError(t, err)
	var r protocol.Request
	require.NoError(t, json.Unmarshal(raw, &r))
	require.NoError(t, r.Validate())
	require.NoError(t, analysis.Check(r.Analysis))
	c := newClinic(t, sqltest.SQLite(t))
	c.person(t, "anna", female, white, 1950)
	c.condition(t, "anna", 192671, "2022-03-10")
	c.drug(t, "anna", 1118084, "2022-03-01")
	require.Equal(t, [][]float64{{0, 760, 0, 0, 1}, {0, 30, 0, 1, 1}, {1, 61, 0, 2, 1}, {0, 1341, 0, 0, 1}}, rowsOf(c.evaluate(t, r).Frame.Values))
}

func rowsOf(f *analysis.Frame) [][]float64 {
	var rows [][]float64
	for i := range f.Len() {
		var row []float64
		for _, c := range f.Columns() {
			row = append(row, f.Values(c.Name)[i])
		}
		rows = append(rows, row)
	}
	return rows
}
