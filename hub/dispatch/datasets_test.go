package dispatch_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/localstore/dataset"
	"github.com/trialmesh/trialmesh/node/peer/peertest"
	"github.com/trialmesh/trialmesh/protocol/disclosure"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// open are limits under which a survival analysis is R's: no least cell.
var open = disclosure.Policy{MinCell: 1, MinSites: 3, MaxQuestions: 100}

// births and lungs are the schemas of the files in testdata.
func births() dataset.Schema {
	return dataset.Schema{
		Name: "birthwt", Version: "MASS", Person: dataset.Person{Column: "pid", System: dataset.FHIR},
		Columns: []dataset.Column{
			{Name: "low", Kind: query.LogicalValues, Domain: "ConditionOccurrence", True: "1", False: "0"},
			{Name: "age", Kind: query.NumericValues, Domain: "Person", High: 60, Unit: "a"},
			{Name: "lwt", Kind: query.NumericValues, Domain: "Measurement", High: 300, Unit: "lb"},
			{Name: "race", Kind: query.FactorValues, Domain: "Person", Levels: []string{"1", "2", "3"}},
			{Name: "smoke", Kind: query.LogicalValues, Domain: "Measurement", True: "1", False: "0"},
		},
	}
}

func lungs() dataset.Schema {
	return dataset.Schema{
		Name: "lung", Version: "survival 3.5-3", Person: dataset.Person{Column: "pid", System: dataset.FHIR},
		Columns: []dataset.Column{
			{Name: "time", Kind: query.NumericValues, Domain: "Death", High: 1100, Unit: "d"},
			{Name: "status", Kind: query.LogicalValues, Domain: "Death", True: "2", False: "1"},
			{Name: "age", Kind: query.NumericValues, Domain: "Person", High: 130, Unit: "a"},
			{Name: "sex", Kind: query.FactorValues, Domain: "Person", Levels: []string{"1", "2"}},
			{Name: "ph.ecog", Kind: query.NumericValues, Domain: "Measurement", High: 4},
		},
	}
}

// table reads a file of testdata.
func table(t testing.TB, name string) [][]string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	require.NoError(t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	return rows
}

// shared gives each row of a table to the site of its number, under the name of a person there.
func shared(t testing.TB, rows [][]string, sites int, siteOf func(row int) int) []string {
	t.Helper()
	files, next := make([]strings.Builder, sites), make([]int, sites)
	for i := range files {
		fmt.Fprintf(&files[i], "pid,%s\n", strings.Join(rows[0], ","))
	}
	for i, row := range rows[1:] {
		s := siteOf(i)
		fmt.Fprintf(&files[s], "p%d,%s\n", next[s], strings.Join(row, ","))
		next[s]++
	}
	texts := make([]string, sites)
	for i := range files {
		texts[i] = files[i].String()
	}
	return texts
}

// columns are those of a data set that a question names.
func columns(set dataset.Schema, names ...string) []query.Column {
	var list []query.Column
	for _, name := range names {
		for _, c := range set.Columns {
			if c.Name == name {
				list = append(list, c.Asked(set.Name))
			}
		}
	}
	return list
}

// over asks over a data set alone.
func (w *world) over(set string, a query.Analysis) query.Request {
	return query.Request{Trial: w.trial.Design.ID, Dataset: set, Purpose: "test", Analysis: a}
}

func threeWays(row int) int { return row % 3 }

func requireComplete(t testing.TB, r query.Result) {
	t.Helper()
	require.Equal(t, query.Complete, r.State, "%s %+v", r.Reason, r.Refused)
}

func requireCoefficients(t testing.TB, want []query.Coefficient, got []query.Coefficient) {
	t.Helper()
	require.Len(t, got, len(want))
	for i, c := range want {
		require.Equal(t, c.Name, got[i].Name)
		require.InEpsilon(t, *c.Estimate, *got[i].Estimate, 1e-8, c.Name)
		require.InEpsilon(t, *c.SE, *got[i].SE, 1e-8, c.Name)
	}
}

// TestDatasetsAreAnsweredAsByR: a regression and a table over the births of three sites
// are R's of all births together.
func TestDatasetsAreAnsweredAsByR(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorldUnder(t, open, peertest.People(63, 0), peertest.People(63, 0), peertest.People(63, 0))
		for i, text := range shared(t, table(t, "birthwt.csv"), 3, threeWays) {
			w.sites[i].LoadDataset(t, births(), text)
		}
		w.run(t)
		fit := w.result(t, w.put(t, w.over("birthwt", query.Analysis{
			Kind: query.GLM, Specs: query.Specs{GLM: &query.GLMSpec{Formula: "low ~ age + lwt + race + smoke", Family: query.Binomial}},
			Columns: columns(births(), "low", "age", "lwt", "race", "smoke"),
		}), time.Minute))
		requireComplete(t, fit)
		requireCoefficients(t, []query.Coefficient{
			{Name: "(Intercept)", Estimate: number(0.33245157195226888), SE: number(1.1076724792785708)},
			{Name: "age", Estimate: number(-0.022478279874472491), SE: number(0.034170475593510136)},
			{Name: "lwt", Estimate: number(-0.012525664016390103), SE: number(0.0063858292067484022)},
			{Name: "race2", Estimate: number(1.2316713730676183), SE: number(0.51715154220140591)},
			{Name: "race3", Estimate: number(0.9432626532799866), SE: number(0.41623187117093619)},
			{Name: "smokeTRUE", Estimate: number(1.0544386478146017), SE: number(0.37999960461128973)},
		}, fit.Regression.Coefficients)
		require.InEpsilon(t, 214.57723453407363, fit.Regression.Deviance, 1e-8)
		require.EqualValues(t, 189, fit.Regression.N)

		tab := w.result(t, w.put(t, w.over("birthwt", query.Analysis{
			Kind: query.CrossTab, Specs: query.Specs{CrossTab: &query.CrossTabSpec{Factors: []string{"race", "smoke"}}}, Columns: columns(births(), "race", "smoke"),
		}), time.Minute))
		requireComplete(t, tab)
		require.Equal(t, []int64{44, 52, 16, 10, 55, 12}, tab.CrossTab.Counts)
		require.InEpsilon(t, 21.779019280349583, *tab.CrossTab.ChiSquared.Statistic, 1e-8)
		require.InEpsilon(t, 1.8652886715583795e-05, tab.CrossTab.ChiSquared.P, 1e-8)

		count := w.result(t, w.put(t, w.over("birthwt", query.Analysis{Kind: query.Count}), time.Minute))
		requireComplete(t, count)
		require.EqualValues(t, 189, count.Cells[0].N)

		narrow := columns(births(), "lwt")
		narrow[0].High = 200
		refused := w.result(t, w.put(t, w.over("birthwt", query.Analysis{
			Kind: query.Describe, Specs: query.Specs{Describe: &query.DescribeSpec{Values: []string{"lwt"}}}, Columns: narrow,
		}), time.Minute))
		require.Equal(t, query.Withheld, refused.State)
		require.Len(t, refused.Refused, 3)
		require.Equal(t, "query.dataset", refused.Refused[0].Problem.Rule)
		require.Contains(t, refused.Refused[0].Problem.Title, "analysis.columns[0].high: the site allows values up to 300")
	})
}

// abortions is the schema of R's infert: cases of infertility with their controls.
func abortions() dataset.Schema {
	numeric := func(name string, high float64) dataset.Column {
		return dataset.Column{Name: name, Kind: query.NumericValues, Domain: "ConditionOccurrence", High: high}
	}
	return dataset.Schema{
		Name: "infert", Version: "R 4.2.2", Person: dataset.Person{Column: "pid", System: dataset.FHIR},
		Columns: []dataset.Column{
			{Name: "case", Kind: query.LogicalValues, Domain: "ConditionOccurrence", True: "1", False: "0"},
			numeric("spontaneous", 2), numeric("induced", 2), numeric("stratum", 1000),
		},
	}
}

// example is a request of the researchers' guide, asked in the world's trial.
func (w *world) example(t *testing.T, name string) query.Request {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../../deploy/docs/examples", name))
	require.NoError(t, err)
	var r query.Request
	require.NoError(t, json.Unmarshal(raw, &r))
	require.NoError(t, r.Validate())
	r.Trial = w.trial.Design.ID
	return r
}

// TestMatchedSetsAreAnsweredAsByR: the guide's example. Under the limits that a hub has by default
// few of the 28 cases of a site have each number of abortions.
func TestMatchedSetsAreAnsweredAsByR(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorldUnder(t, open, peertest.People(90, 0), peertest.People(90, 0), peertest.People(90, 0))
		rows := table(t, "../../../federation/analysis/testdata/conditional/infert.csv")
		set := slices.Index(rows[0], "stratum")
		for i, text := range shared(t, rows, 3, func(row int) int {
			number, err := strconv.Atoi(rows[1+row][set])
			require.NoError(t, err)
			return number % 3
		}) {
			w.sites[i].LoadDataset(t, abortions(), text)
		}
		w.run(t)
		fit := w.result(t, w.put(t, w.example(t, "matched.json"), time.Minute))
		requireComplete(t, fit)
		require.Equal(t, []int64{248, 83, 83}, []int64{fit.Conditional.N, fit.Conditional.Sets, fit.Conditional.Informative})
		requireCoefficients(t, []query.Coefficient{
			{Name: "spontaneous", Estimate: number(1.9858755166777202), SE: number(0.35244353980716997)},
			{Name: "induced", Estimate: number(1.4090116318751364), SE: number(0.36071243624892346)},
		}, fit.Conditional.Coefficients)
	})
}

// TestTimesOfADatasetAreAnsweredAsByR: a time and whether it ended with the event are columns
// like others, and however the rows are split, the answer is R's of all together.
func TestTimesOfADatasetAreAnsweredAsByR(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorldUnder(t, open, peertest.People(76, 0), peertest.People(108, 0), peertest.People(108, 0))
		splits := []func(row int) int{
			threeWays,
			func(row int) int { return row / 76 },
			func(row int) int {
				if row < 12 {
					return 0
				}
				return 1 + row%2
			},
		}
		var sets []dataset.Schema
		for i, siteOf := range splits {
			set := lungs()
			set.Name = fmt.Sprint("lung-", i)
			sets = append(sets, set)
			for site, text := range shared(t, table(t, "lung.csv"), 3, siteOf) {
				w.sites[site].LoadDataset(t, set, text)
			}
		}
		w.run(t)
		grid := query.Grid{Width: 1, Horizon: 1100}
		for _, set := range sets {
			fit := w.result(t, w.put(t, w.over(set.Name, query.Analysis{
				Kind: query.Cox, Specs: query.Specs{Cox: &query.CoxSpec{Formula: "Surv(time, status) ~ sex + age + ph.ecog", Grid: grid}},
				Columns: columns(set, "time", "status", "sex", "age", "ph.ecog"),
			}), time.Minute))
			requireComplete(t, fit)
			requireCoefficients(t, []query.Coefficient{
				{Name: "sex2", Estimate: number(-0.55261239570363052), SE: number(0.16773905378726353)},
				{Name: "age", Estimate: number(0.01106676456007348), SE: number(0.00926741101370053)},
				{Name: "ph.ecog", Estimate: number(0.46372847537042777), SE: number(0.11357726616199661)},
			}, fit.Hazards.Coefficients)
			require.InEpsilon(t, -729.23012137486251, fit.Hazards.LogLikelihood, 1e-8)
			require.EqualValues(t, 227, fit.Hazards.N)
			require.EqualValues(t, 1, *fit.Hazards.Omitted)
		}
		requireCurves(t, w.result(t, w.put(t, w.over(sets[0].Name, query.Analysis{
			Kind: query.KaplanMeier, Specs: query.Specs{KaplanMeier: &query.KaplanMeierSpec{Formula: "Surv(time, status) ~ sex", Grid: grid}},
			Columns: columns(sets[0], "time", "status", "sex"),
		}), time.Minute)))

		r := w.trial.CountBySex() // of whom some have no row, and so no age
		r.Analysis = query.Analysis{
			Kind: query.Describe, Specs: query.Specs{Describe: &query.DescribeSpec{Values: []string{"age"}}}, Columns: columns(sets[0], "age"),
		}
		described := w.result(t, w.put(t, r, time.Minute))
		requireComplete(t, described)
		require.EqualValues(t, 228, described.Description.N)
		require.EqualValues(t, 76+108+108-228, *described.Description.Omitted)
	})
}

// requireCurves requires what R says of survfit and survdiff(Surv(time, status) ~ sex).
func requireCurves(t *testing.T, r query.Result) {
	t.Helper()
	requireComplete(t, r)
	require.InEpsilon(t, 10.326741954885632, r.Survival.LogRank.Statistic, 1e-8)
	for i, want := range []struct {
		n, events    int64
		median, year float64
	}{{138, 112, 270, 0.33608783463937864}, {90, 53, 426, 0.52646303018590557}} {
		arm := r.Survival.Arms[i]
		require.Equal(t, want.n, arm.N)
		require.Equal(t, want.events, arm.Events)
		require.InDelta(t, want.median, *arm.Median, 0)
		year := 0.0
		for _, p := range arm.Curve {
			if p.Time <= 365 {
				year = p.Survival
			}
		}
		require.InEpsilon(t, want.year, year, 1e-8)
	}
}
