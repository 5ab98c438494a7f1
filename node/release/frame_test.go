package release_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/release"
	"github.com/trialmesh/trialmesh/protocol/query"
)

var frameColumns = []analysis.Column{{Name: "x", Kind: analysis.Numeric, Low: 0, High: 1000}, {Name: "case", Kind: analysis.Logical}}

// model is the answer about some persons of whom the first are cases; value says x.
func model(t *testing.T, persons []omop.PersonID, cases, parameters int, value func(i int) float64) release.Answer {
	t.Helper()
	f, err := analysis.NewFrame(frameColumns)
	require.NoError(t, err)
	for i := range persons {
		row := []float64{value(i), 0}
		if i < cases {
			row[1] = 1
		}
		require.NoError(t, f.Append(row))
	}
	return frameAnswer(t, f, persons, parameters)
}

// frameAnswer is the answer of a frame with a row for each of some persons. The first column
// is the measurement.
func frameAnswer(t *testing.T, f *analysis.Frame, persons []omop.PersonID, parameters int) release.Answer {
	t.Helper()
	complete, kept, err := f.Complete(f.Columns())
	require.NoError(t, err)
	a := release.Answer{
		Frame: &release.Frame{Values: f, Views: []*analysis.Frame{complete}, Parameters: parameters},
		Used:  persons, Measure: "columns x",
		Sets: make(map[string][][]omop.PersonID), Values: make(map[string][][]release.Value),
	}
	in := make(map[omop.PersonID]bool)
	for _, rows := range complete.Crossing(f.Columns()) {
		var some []omop.PersonID
		var values []release.Value
		for _, row := range rows {
			p := persons[kept[row]]
			in[p] = true
			some, values = append(some, p), append(values, release.Value{Person: p, Number: complete.Values("x")[row]})
		}
		a.Sets["persons"], a.Sets["columns x"] = append(a.Sets["persons"], some), append(a.Sets["columns x"], some)
		a.Sets["concept 1"], a.Values["concept 1"] = append(a.Sets["concept 1"], some), append(a.Values["concept 1"], values)
	}
	// Who misses a value is in a cell all the same.
	for _, p := range persons {
		if !in[p] && len(a.Sets["persons"]) > 0 {
			last := len(a.Sets["persons"]) - 1
			a.Sets["persons"][last] = append(a.Sets["persons"][last][:len(a.Sets["persons"][last]):len(a.Sets["persons"][last])], p)
		}
	}
	return a
}

func small(i int) float64 { return 10 + float64(i%7) }

func TestFrameThatPassesIsKept(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	missing := func(i int) float64 {
		if i == 3 {
			return math.NaN()
		}
		return small(i)
	}
	first, err := gate.Release(t.Context(), ask("q"), model(t, ids(1, 40), 15, 3, missing), now)
	require.NoError(t, err)
	f, err := first.Frame(frameColumns)
	require.NoError(t, err)
	require.Equal(t, 40, f.Len())
	require.True(t, math.IsNaN(f.Values("x")[3]))
	require.Equal(t, 16.0, f.Values("x")[6])

	later := func(int) float64 { return 500 }
	again, err := gate.Release(t.Context(), ask("q"), model(t, ids(1, 40), 15, 3, later), now)
	require.NoError(t, err)
	require.Equal(t, first.Words(), again.Words(), "the same question is about the same values")
	_, err = first.Frame(append(frameColumns, analysis.Column{Name: "z", Kind: analysis.Logical}))
	require.Error(t, err)
}

// TestValuesAreForgotten: after a while, and with them the decision to repeat; the guard
// still knows whom the answer was about.
func TestValuesAreForgotten(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		gate := open(t, db)
		question, again := ask("q"), ask("q")
		_, err := gate.Release(t.Context(), question, model(t, ids(1, 40), 15, 3, small), now)
		require.NoError(t, err)
		repeat, err := gate.Release(t.Context(), again, model(t, ids(1, 40), 15, 3, small), now.Add(time.Hour))
		require.NoError(t, err)
		require.Len(t, repeat.Words(), 40*len(frameColumns))

		forgotten, err := gate.Forget(t.Context(), now)
		require.NoError(t, err)
		require.Zero(t, forgotten, "not yet")
		forgotten, err = gate.Forget(t.Context(), now.Add(time.Second))
		require.NoError(t, err)
		require.EqualValues(t, 1, forgotten, "one, which the other repeats")
		for _, id := range []query.ID{question.ID, again.ID} {
			_, found, err := gate.Recall(t.Context(), id)
			require.True(t, found)
			require.ErrorIs(t, err, release.ErrForgotten)
		}
		_, err = gate.Release(t.Context(), ask("q"), model(t, ids(1, 40), 15, 3, small), now.Add(2*time.Hour))
		require.NoError(t, err, "asked anew, of the same persons")
		_, err = gate.Release(t.Context(), ask("p"), model(t, ids(1, 38), 15, 3, small), now.Add(3*time.Hour))
		require.ErrorIs(t, err, release.ErrDifference)
	})
}

func TestFrameIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		persons    int64
		cases      int
		parameters int
		value      func(i int) float64
		want       error
	}{
		"few persons":         {10, 0, 1, small, release.ErrCells},
		"few with a value":    {40, 20, 1, func(i int) float64 { return map[bool]float64{true: 1, false: math.NaN()}[i < 10] }, release.ErrCells},
		"few cases":           {40, 10, 1, small, release.ErrLevels},
		"few others":          {40, 30, 1, small, release.ErrLevels},
		"one outweighs cases": {40, 20, 1, func(i int) float64 { return map[bool]float64{true: 1000, false: 0.1}[i == 0] }, release.ErrDominance},
		"one outweighs all":   {40, 0, 1, func(i int) float64 { return map[bool]float64{true: 1000, false: 0.1}[i == 0] }, release.ErrDominance},
		"few differ":          {40, 20, 1, func(i int) float64 { return map[bool]float64{true: 9, false: 7}[i < 5] }, release.ErrOdd},
		"too many parameters": {40, 20, 14, small, release.ErrParameters},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := open(t, sqltest.SQLite(t))
			_, err := gate.Release(t.Context(), ask("q"), model(t, ids(1, c.persons), c.cases, c.parameters, c.value), now)
			require.ErrorIs(t, err, c.want)
		})
	}
	gate := open(t, sqltest.SQLite(t))
	for cases, q := range map[int]string{0: "nobody is a case", 40: "everybody is"} {
		_, err := gate.Release(t.Context(), ask(q), model(t, ids(1, 40), cases, 1, small), now)
		require.NoError(t, err, q)
	}
}

// TestModelOfNearlyTheSamePersons: two persons less are refused, be the earlier number a
// model's or a count, and whether it was shown or not.
func TestModelOfNearlyTheSamePersons(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before release.Answer
		want   error
	}{
		"after a model":           {model(t, ids(1, 40), 15, 3, small), release.ErrDifference},
		"after a count":           {count(ids(1, 40)), release.ErrDifference},
		"after one that was kept": {model(t, ids(1, 40), 3, 3, small), release.ErrNear},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := open(t, sqltest.SQLite(t))
			_, err := gate.Release(t.Context(), ask("first"), c.before, now)
			if name != "after one that was kept" {
				require.NoError(t, err)
			}
			_, err = gate.Release(t.Context(), ask("second"), model(t, ids(1, 38), 15, 3, small), now)
			require.ErrorIs(t, err, c.want)
			_, err = gate.Release(t.Context(), ask("third"), model(t, ids(101, 140), 15, 3, small), now)
			require.NoError(t, err)
		})
	}
}

func TestModelCountsOnceAgainstTheBudget(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	q := ask("q")
	q.Policy.MaxQuestions = 1
	for range 3 {
		_, err := gate.Release(t.Context(), q, model(t, ids(1, 40), 15, 3, small), now)
		require.NoError(t, err)
	}
	other := ask("other")
	other.Policy.MaxQuestions = 1
	_, err := gate.Release(t.Context(), other, model(t, ids(101, 140), 15, 3, small), now)
	require.ErrorIs(t, err, release.ErrBudget)
}

// TestNestedEventsOnePersonApart: the coefficients of two events of which one person has only
// the wider one would add up to that person's value.
func TestNestedEventsOnePersonApart(t *testing.T) {
	t.Parallel()
	f, err := analysis.NewFrame([]analysis.Column{frameColumns[0], {Name: "e1", Kind: analysis.Logical}, {Name: "e2", Kind: analysis.Logical}})
	require.NoError(t, err)
	for i := range 100 {
		row := []float64{small(i), 0, 0}
		if i < 50 {
			row[1] = 1
		}
		if i <= 50 {
			row[2] = 1
		}
		require.NoError(t, f.Append(row))
	}
	gate := open(t, sqltest.SQLite(t))
	_, err = gate.Release(t.Context(), ask("nested"), frameAnswer(t, f, ids(1, 100), 3), now)
	require.ErrorIs(t, err, release.ErrLevels)
}

// TestNestedEventsOfTwoModels: one event in each.
func TestNestedEventsOfTwoModels(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	_, err := gate.Release(t.Context(), ask("narrow"), model(t, ids(1, 100), 50, 3, small), now)
	require.NoError(t, err)
	_, err = gate.Release(t.Context(), ask("wide"), model(t, ids(1, 100), 51, 3, small), now)
	require.ErrorIs(t, err, release.ErrDifference)
}

// TestValuesOfNearlyAllTheSame: sums over the same persons, of whom ten have another value.
func TestValuesOfNearlyAllTheSame(t *testing.T) {
	t.Parallel()
	for others, want := range map[int]error{0: nil, 1: release.ErrDifference, 10: release.ErrDifference, 11: nil} {
		gate := open(t, sqltest.SQLite(t))
		_, err := gate.Release(t.Context(), ask("a year"), model(t, ids(1, 40), 15, 3, small), now)
		require.NoError(t, err)
		changed := func(i int) float64 {
			if i >= 15 && i < 15+others {
				return 100
			}
			return small(i)
		}
		_, err = gate.Release(t.Context(), ask("a year and a day"), model(t, ids(1, 40), 15, 3, changed), now)
		require.ErrorIs(t, err, want, "%d others", others)
	}
}

// TestModelAddsUpWithheldCells: the number of a model's persons is exact.
func TestModelAddsUpWithheldCells(t *testing.T) {
	t.Parallel()
	byRace, all := ask("by race"), ask("model")
	byRace.Policy.Rounding, all.Policy.Rounding = 0, 0
	races := count(ids(1, 200), ids(201, 210), ids(211, 220), ids(221, 230))

	gate := open(t, sqltest.SQLite(t))
	_, err := gate.Release(t.Context(), byRace, races, now)
	require.NoError(t, err)
	_, err = gate.Release(t.Context(), all, model(t, ids(1, 230), 100, 3, small), now)
	require.ErrorIs(t, err, release.ErrMargins)

	gate = open(t, sqltest.SQLite(t))
	_, err = gate.Release(t.Context(), all, model(t, ids(1, 230), 100, 3, small), now)
	require.NoError(t, err)
	after, err := gate.Release(t.Context(), byRace, races, now)
	if err == nil {
		require.NotEqual(t, cell{200, 0}, cells(after)[0])
	}
}

// TestOneWayOfCutting: whoever is asked about again, with others or with fewer, is asked about
// in the same way. A question that was refused binds nobody.
func TestOneWayOfCutting(t *testing.T) {
	t.Parallel()
	cut := func(way string, persons []omop.PersonID) release.Answer {
		a := frameOfPersons(t, persons)
		a.Choices = map[string]release.Choice{"histogram age": {Way: way}}
		return a
	}
	for name, c := range map[string]struct {
		first, second release.Answer
		want          error
	}{
		"the same":             {cut("tens", ids(1, 60)), cut("tens", ids(1, 60)), nil},
		"the same of fewer":    {cut("tens", ids(1, 60)), cut("tens", ids(1, 30)), nil},
		"another":              {cut("tens", ids(1, 60)), cut("fives", ids(1, 60)), release.ErrChoice},
		"another of fewer":     {cut("tens", ids(1, 90)), cut("fives", ids(1, 30)), release.ErrChoice},
		"another of more":      {cut("tens", ids(1, 30)), cut("fives", ids(1, 90)), release.ErrChoice},
		"another of others":    {cut("tens", ids(1, 60)), cut("fives", ids(100, 160)), nil},
		"another of a half":    {cut("tens", ids(1, 60)), cut("fives", ids(31, 90)), nil},
		"after it was refused": {cut("tens", ids(1, 8)), cut("fives", ids(1, 60)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := open(t, sqltest.SQLite(t))
			_, err := gate.Release(t.Context(), ask("first"), c.first, now)
			if len(c.first.Used) > 8 {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, release.ErrCells)
			}
			_, err = gate.Release(t.Context(), ask("second"), c.second, now)
			require.ErrorIs(t, err, c.want)
		})
	}
}

// TestCovariatesThatVaryInFewSets of rows here, whatever those of other sites do.
func TestCovariatesThatVaryInFewSets(t *testing.T) {
	t.Parallel()
	for sets, want := range map[int]error{0: nil, 1: release.ErrOdd, 10: release.ErrOdd, 11: nil} {
		a := frameOfPersons(t, ids(1, 90))
		a.Frame.Varied = []analysis.Varied{{Covariate: "x", Sets: 40}, {Covariate: "age", Sets: sets}}
		_, err := open(t, sqltest.SQLite(t)).Release(t.Context(), ask("q"), a, now)
		require.ErrorIs(t, err, want, sets)
		if want != nil {
			require.ErrorContains(t, err, "age, which varies in fewer than 11 sets")
		}
	}
}

// TestChoicesInTurn: of cohorts that overlap each may be cut in its own way, until what is
// only in one and only in the other is asked for.
func TestChoicesInTurn(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	for i, c := range []struct {
		way     string
		persons []omop.PersonID
		want    error
	}{
		{"tens", ids(1, 60), nil},
		{"tens", ids(1, 30), nil},
		{"fives", ids(31, 90), nil},
		{"fives", ids(61, 90), release.ErrChoice},
		{"tens", ids(61, 90), release.ErrChoice}, // of fewer of those who were asked about with fives
		{"fives", ids(70, 130), nil},
	} {
		a := frameOfPersons(t, c.persons)
		a.Choices = map[string]release.Choice{"histogram age": {Way: c.way}}
		_, err := gate.Release(t.Context(), ask(fmt.Sprint(i)), a, now)
		require.ErrorIs(t, err, c.want, i)
	}
}

// TestClustersOfThePersonsAskedAboutBefore: the same may be put into clusters again, and others.
func TestClustersOfThePersonsAskedAboutBefore(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	for i, c := range []struct {
		persons []omop.PersonID
		want    error
	}{
		{ids(1, 90), nil},
		{ids(1, 90), nil},
		{ids(1, 60), release.ErrChoice},
		{ids(1, 120), release.ErrChoice},
		{ids(61, 150), nil},
	} {
		a := frameOfPersons(t, c.persons)
		a.Choices = map[string]release.Choice{"clusters": {Follows: true}}
		_, err := gate.Release(t.Context(), ask(fmt.Sprint(i)), a, now)
		require.ErrorIs(t, err, c.want, i)
	}
}

// frameOfPersons is the answer about some persons, each of whom has values of its own.
func frameOfPersons(t *testing.T, persons []omop.PersonID) release.Answer {
	t.Helper()
	f, err := analysis.NewFrame(frameColumns)
	require.NoError(t, err)
	for _, p := range persons {
		v, err := p.Value()
		require.NoError(t, err)
		n := v.(int64)
		require.NoError(t, f.Append([]float64{10 + float64(n*7%40), float64(n % 2)}))
	}
	return frameAnswer(t, f, persons, 3)
}

// TestChoicesOfHonestCohorts: three studies ask for histograms of cohorts of one hospital, of
// which each has a share of the persons, and of the older half of each, every study with the
// breaks that it likes. None is refused.
func TestChoicesOfHonestCohorts(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 24 {
		share := 0.05 + 0.15*random.Float64()
		var all, older []omop.PersonID
		for n := range int64(2000) {
			if random.Float64() < share {
				all = append(all, ids(n, n)...)
				if n%20 < 10 {
					older = append(older, ids(n, n)...)
				}
			}
		}
		for part, persons := range [][]omop.PersonID{all, older} {
			a := frameOfPersons(t, persons)
			a.Choices = map[string]release.Choice{"histogram age": {Way: fmt.Sprint("of study ", i%3)}}
			_, err := gate.Release(t.Context(), ask(fmt.Sprint(i, part)), a, now)
			require.NoError(t, err)
		}
	}
}

// byAge is a cohort of a hospital of 2,000, of whom a share is in it, with everybody's age.
func byAge(random *rand.Rand, share float64) (persons []omop.PersonID, ages []int) {
	for n := range int64(2000) {
		if random.Float64() < share {
			persons, ages = append(persons, ids(n, n)...), append(ages, 18+int(n*7919%2000)*72/2000)
		}
	}
	return persons, ages
}

// divided are the persons by ages that end the parts.
func divided(persons []omop.PersonID, ages []int, ends ...int) [][]omop.PersonID {
	parts := make([][]omop.PersonID, len(ends)+1)
	for i, p := range persons {
		part := sort.SearchInts(ends, ages[i])
		parts[part] = append(parts[part], p)
	}
	return parts
}

// TestCutsOfOneValueByTwoKinds: a count by groups of age and a histogram, in either order, and a
// cohort by age.
func TestCutsOfOneValueByTwoKinds(t *testing.T) {
	t.Parallel()
	persons, ages := byAge(rand.New(rand.NewPCG(1, 2)), 0.2)
	histogram := func(ends ...int) release.Answer {
		a := frameOfPersons(t, persons)
		a.Cuts = []release.Cut{{Value: "age", Parts: divided(persons, ages, ends...)}}
		return a
	}
	groups := count(divided(persons, ages, 17, 39, 64)...)
	groups.Cuts = []release.Cut{{Value: "age", Parts: groups.Sets["persons"]}}
	older := count(divided(persons, ages, 39)[1])
	for name, c := range map[string]struct {
		one, other release.Answer
		want       error
	}{
		"groups, and breaks at their ends":        {groups, histogram(39, 64), nil},
		"groups, and finer breaks":                {groups, histogram(29, 39, 49, 64, 79), nil},
		"groups, and breaks far from them":        {groups, histogram(30, 50, 70), nil},
		"groups, and a break a year beside":       {groups, histogram(38, 64), release.ErrChoice},
		"a criterion, and a break at its age":     {older, histogram(39, 59), nil},
		"a criterion, and a break a year beside":  {older, histogram(40, 59), release.ErrChoice},
		"a criterion, and groups with its ages":   {older, groups, nil},
		"a table of all, and breaks wherever":     {count(persons), histogram(38, 66), nil},
		"a cohort of others, and breaks wherever": {count(ids(5000, 5100)), histogram(38, 66), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, turn := range [][2]release.Answer{{c.one, c.other}, {c.other, c.one}} {
				gate := open(t, sqltest.SQLite(t))
				_, err := gate.Release(t.Context(), ask("first"), turn[0], now)
				require.NoError(t, err, i)
				_, err = gate.Release(t.Context(), ask("second"), turn[1], now)
				require.ErrorIs(t, err, c.want, i)
			}
		})
	}
}

// TestCutsOfHonestCohorts: of 24 cohorts of one hospital, two studies ask for counts by groups of age,
// for those of 65 years and more, and for histograms with breaks at the ends of groups and
// others; a third for histograms with breaks wherever it likes. None is refused.
func TestCutsOfHonestCohorts(t *testing.T) {
	t.Parallel()
	gate := open(t, sqltest.SQLite(t))
	random := rand.New(rand.NewPCG(1, 2))
	breaks := [][]int{{39, 64}, {29, 39, 49, 64, 79}, {25, 35, 45, 55, 66}}
	for i := range 24 {
		persons, ages := byAge(random, 0.05+0.15*random.Float64())
		groups := count(divided(persons, ages, 17, 39, 64)...)
		groups.Cuts = []release.Cut{{Value: "age", Parts: groups.Sets["persons"]}}
		histogram := frameOfPersons(t, persons)
		histogram.Cuts = []release.Cut{{Value: "age", Parts: divided(persons, ages, breaks[i%3]...)}}
		answers := []release.Answer{histogram}
		if i%3 < 2 {
			answers = append(answers, groups, count(divided(persons, ages, 64)[1]))
		}
		for k, a := range answers {
			_, err := gate.Release(t.Context(), ask(fmt.Sprint(i, k)), a, now)
			require.NoError(t, err, "%d %d", i, k)
		}
	}
}
