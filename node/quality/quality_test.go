package quality_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/omop"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/quality"
	"github.com/trialmesh/trialmesh/node/reference/variable"
)

var (
	now    = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	today  = sqldb.DateOf(now)
	person = omop.NewKey("p")
)

// someone was born on 2000-06-15 and, if died is not 0, died that day.
func someone(died omop.Date) omop.Batch {
	b := omop.Batch{Persons: []omop.Person{{Key: person, YearOfBirth: 2000, MonthOfBirth: 6, DayOfBirth: 15}}}
	if died != 0 {
		b.Deaths = []omop.Death{{Person: person, Date: died}}
	}
	return b
}

// measured is a row with a number in a unit.
func measured(concept int64, number float64, unit int64) omop.Measurement {
	return omop.Measurement{
		Record:    omop.Record{Key: omop.NewKey("m"), Person: person},
		ConceptID: concept, Start: today - 100, Number: &number, UnitConceptID: unit, UnitSource: "sent",
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	const (
		systolic, height, weight, bmi, hba1c, glucose, ldl, triglycerides, temperature, filtration = 3004249, 3036277, 3025315,
			3038553, 3004410, 3000483, 3009966, 3022192, 3020891, 3049187
		mmHg, cm, meter, kg, kgPerM2, percent, mgPerDL, mmolPerL, celsius, fahrenheit, mlPerMin = 8876, 8582, 9546, 9529, 9531,
			8554, 8840, 8753, 586323, 9289, 720870
	)
	for name, c := range map[string]struct {
		row  omop.Measurement
		want quality.Rule // empty for none
	}{
		"a usual pressure":              {measured(systolic, 120, mmHg), ""},
		"the lowest plausible":          {measured(systolic, 10, mmHg), ""},
		"a crisis":                      {measured(systolic, 260, mmHg), quality.Implausible},
		"a pressure that nobody had":    {measured(systolic, 1200, mmHg), quality.Impossible},
		"a negative pressure":           {measured(systolic, -1, mmHg), quality.Impossible},
		"a height":                      {measured(height, 172, cm), ""},
		"meters sent as centimeters":    {measured(height, 1.72, cm), quality.Impossible},
		"meters":                        {measured(height, 1.72, meter), ""},
		"centimeters sent as meters":    {measured(height, 172, meter), quality.Impossible},
		"a weight":                      {measured(weight, 70, kg), ""},
		"grams sent as kilograms":       {measured(weight, 70_000, kg), quality.Impossible},
		"a weight in millimeters":       {measured(weight, 70, mmHg), quality.WrongUnit},
		"a child's body mass index":     {measured(bmi, 13, kgPerM2), quality.Implausible},
		"a hemoglobin A1c":              {measured(hba1c, 5.7, percent), ""},
		"mmol/mol sent as percent":      {measured(hba1c, 48, percent), quality.Impossible},
		"glucose in either unit":        {measured(glucose, 5.5, mmolPerL), ""},
		"a coma":                        {measured(glucose, 900, mgPerDL), quality.Implausible},
		"LDL":                           {measured(ldl, 190, mgPerDL), ""},
		"triglycerides of pancreatitis": {measured(triglycerides, 4000, mgPerDL), quality.Implausible},
		"a fever":                       {measured(temperature, 39.5, celsius), ""},
		"Fahrenheit":                    {measured(temperature, 98.6, fahrenheit), ""},
		"Fahrenheit sent as Celsius":    {measured(temperature, 98.6, celsius), quality.Impossible},
		"a filtration rate":             {measured(filtration, 60, mlPerMin), ""},
		"a variable without bounds":     {measured(1, 1e12, mmHg), ""},
		"a unit without a concept":      {measured(systolic, 1e12, 0), quality.UnknownUnit},
		"no unit":                       {func() omop.Measurement { m := measured(systolic, 1e12, 0); m.UnitSource = ""; return m }(), quality.NoUnit},
		"no number":                     {func() omop.Measurement { m := measured(systolic, 0, 0); m.Number = nil; return m }(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := someone(0)
			b.Measurements = []omop.Measurement{c.row}
			found := quality.New(now, variable.Shipped()).Check(&b)
			want := map[quality.Rule]int{}
			if c.want != "" {
				want[c.want] = 1
			}
			require.Equal(t, want, found)
			reject := c.want == quality.Impossible || c.want == quality.WrongUnit
			require.Equal(t, reject, b.Measurements[0].Invalid)
			require.Equal(t, c.want == quality.Implausible, b.Measurements[0].Outlier)
		})
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	birth, died := sqldb.Day(2000, 6, 15), sqldb.Day(2020, 1, 1)
	for name, c := range map[string]struct {
		start, end omop.Date
		alive      bool
		want       quality.Rule
	}{
		"in life":                        {start: died - 10, end: died - 5},
		"on the day of birth":            {start: birth, end: birth},
		"before birth":                   {start: birth - 1, end: birth, want: quality.BeforeBirth},
		"examined soon after death":      {start: died + quality.Grace, end: died + quality.Grace},
		"long after death":               {start: died + quality.Grace + 1, end: died + quality.Grace + 1, want: quality.AfterDeath},
		"the same of someone alive":      {start: died + quality.Grace + 1, end: died + quality.Grace + 1, alive: true},
		"today, and elsewhere tomorrow":  {start: today + 1, end: today + 1, alive: true},
		"in the future":                  {start: today + 2, end: today + 2, alive: true, want: quality.InFuture},
		"an end before the start":        {start: died - 10, end: died - 11, want: quality.EndBeforeStart},
		"a plan that ends in the future": {start: today, end: today + 90, alive: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := someone(map[bool]omop.Date{true: 0, false: died}[c.alive])
			r := omop.Record{Key: omop.NewKey("r"), Person: person}
			b.Visits = []omop.Visit{{Record: r, Start: c.start, End: c.end}}
			b.Conditions = []omop.Condition{{Record: r, Start: c.start, End: &c.end}, {Record: omop.Record{Key: omop.NewKey("open"), Person: person}, ConceptID: 1, Start: birth}}
			b.Drugs = []omop.Drug{{Record: r, Start: c.start, End: c.end}}
			b.Procedures = []omop.Procedure{{Record: r, Start: c.start, End: &c.end}}
			found := quality.New(now, variable.Shipped()).Check(&b)
			want := map[quality.Rule]int{}
			if c.want != "" {
				want[c.want] = 4
			}
			require.Equal(t, want, found)
			require.False(t, b.Conditions[1].Invalid)
			for _, r := range []omop.Record{b.Visits[0].Record, b.Conditions[0].Record, b.Drugs[0].Record, b.Procedures[0].Record} {
				require.Equal(t, c.want == quality.EndBeforeStart, r.Outlier)
				require.Equal(t, c.want != "" && c.want != quality.EndBeforeStart, r.Invalid)
			}
		})
	}
}

func TestPersonsOfEarlierBatchesAreKnown(t *testing.T) {
	t.Parallel()
	c := quality.New(now, variable.Shipped())
	first := someone(sqldb.Day(2020, 1, 1))
	require.Empty(t, c.Check(&first))
	late := omop.Batch{Observations: []omop.Observation{{Record: omop.Record{Key: omop.NewKey("o"), Person: person}, Start: today}}}
	require.Equal(t, map[quality.Rule]int{quality.AfterDeath: 1}, c.Check(&late))
	stranger := omop.Batch{Observations: []omop.Observation{{Record: omop.Record{Key: omop.NewKey("o"), Person: omop.NewKey("q")}, Start: today}}}
	require.Empty(t, c.Check(&stranger), "of whom nothing is known nothing is said")
}

func TestTheSameFactTwice(t *testing.T) {
	t.Parallel()
	row := func(key string, number float64) omop.Measurement {
		m := measured(3004249, number, 8876)
		m.Key = omop.NewKey(key)
		return m
	}
	b := someone(0)
	b.Measurements = []omop.Measurement{row("a", 120), row("b", 120), row("c", 121), row("a", 120)}
	require.Equal(t, map[quality.Rule]int{quality.Duplicate: 1}, quality.New(now, variable.Shipped()).Check(&b), "the same key is the same record")
	for _, m := range b.Measurements {
		require.False(t, m.Invalid || m.Outlier, "it is only counted")
	}
}

// TestChecksOnlyMark states two laws for any batch: no row and no value changes but
// for the marks, and a mark that mapping has set stays.
func TestChecksOnlyMark(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		b := someone(rapid.SampledFrom([]omop.Date{0, today - 1000}).Draw(rt, "died"))
		b.Measurements = rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) omop.Measurement {
			m := measured(rapid.SampledFrom([]int64{3004249, 3036277, 1}).Draw(rt, "concept"),
				rapid.Float64Range(-1e6, 1e6).Draw(rt, "number"), rapid.SampledFrom([]int64{0, 8876, 8582}).Draw(rt, "unit"))
			m.Start = omop.Date(rapid.Int32Range(0, 30_000).Draw(rt, "day"))
			m.Invalid = rapid.Bool().Draw(rt, "invalid")
			return m
		}), 0, 20).Draw(rt, "rows")
		before := append([]omop.Measurement(nil), b.Measurements...)
		quality.New(now, variable.Shipped()).Check(&b)
		require.Len(rt, b.Measurements, len(before))
		for i, m := range b.Measurements {
			require.True(rt, m.Invalid || !before[i].Invalid)
			m.Invalid, m.Outlier = before[i].Invalid, before[i].Outlier
			require.True(rt, m == before[i])
		}
	})
}
