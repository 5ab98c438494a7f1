package variable_test

import (
	"context"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/localstore/sqldb/sqltest"
	"github.com/trialmesh/trialmesh/node/reference"
	"github.com/trialmesh/trialmesh/node/reference/variable"
)

var now = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// words is a vocabulary of one code and one unit.
type words struct{}

func (words) Concept(_ context.Context, system, code string) (int64, error) {
	if system == "http://loinc.org" && code == "41950-7" {
		return 40758552, nil
	}
	return 0, nil
}

func (words) UnitConcept(_ context.Context, code string) (int64, error) {
	if code == "{steps}/d" {
		return 44777560, nil
	}
	return 0, nil
}

func open(t *testing.T, db *sqldb.DB) *variable.Store {
	t.Helper()
	kept, err := reference.Open(t.Context(), db)
	require.NoError(t, err)
	s, err := variable.Open(t.Context(), kept, words{}, now)
	require.NoError(t, err)
	return s
}

const steps = "system,code,category,unit,max\nhttp://loinc.org,41950-7,activity,{steps}/d,200000\n"

func TestShippedVariablesAreWhatTheChecksHadBefore(t *testing.T) {
	t.Parallel()
	all := variable.Shipped().All()
	require.Len(t, all, 26)
	v, known := variable.Shipped().At(3004249, sqldb.DateOf(now))
	require.True(t, known)
	require.Equal(t, "8480-6", v.Code)
	require.Equal(t, "mm[Hg]", v.Units[0].Code)
	u, ok := v.Unit(8876)
	require.True(t, ok)
	require.Equal(t, [4]float64{10, 250, 0, 480}, [4]float64{u.Low, u.High, u.Min, u.Max})
	_, ok = v.Unit(8582)
	require.False(t, ok, "a pressure has no length")
}

func TestASiteAddsAndChangesVariables(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := open(t, db)
		first, err := s.InForce(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, first)
		added, err := s.Import(t.Context(), []byte(steps), false, now)
		require.NoError(t, err)
		require.Equal(t, 2, added.Number)
		require.Equal(t, 27, added.Entries)
		again, err := s.Import(t.Context(), []byte(steps), false, now.Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, added, again, "the same makes no version")

		// Weight has other bounds from a day on; before that the earlier ones hold.
		changed := `variables:
  - system: http://loinc.org
    code: 29463-7
    category: vital-signs
    concept: 3025315
    valid_to: 2019-12-31
    units: [{unit: kg, concepts: [9529], low: 2, high: 500}]
  - system: http://loinc.org
    code: 29463-7
    category: vital-signs
    concept: 3025315
    valid_from: 2020-01-01
    units: [{unit: kg, concepts: [9529], low: 2, high: 300}]
`
		_, err = s.Import(t.Context(), []byte(changed), false, now)
		require.NoError(t, err)
		list, err := s.List(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, 3, list.Version)
		for day, high := range map[sqldb.Date]float64{sqldb.Day(2019, 12, 31): 500, sqldb.Day(2020, 1, 1): 300} {
			v, known := list.At(3025315, day)
			require.True(t, known)
			require.Equal(t, high, v.Units[0].High)
			require.True(t, math.IsInf(v.Units[0].Max, 1), "no bound was given")
			require.True(t, v.Site)
		}
		v, known := list.At(40758552, sqldb.DateOf(now))
		require.True(t, known, "what was added before stays")
		require.Equal(t, []int64{44777560}, v.Units[0].Concepts, "looked up in the vocabulary")

		old, err := s.List(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, variable.Shipped().All(), old.All(), "any version can be had")
		_, err = s.List(t.Context(), 9)
		require.ErrorIs(t, err, reference.ErrVersion)
		versions, err := s.Versions(t.Context())
		require.NoError(t, err)
		require.Len(t, versions, 3)

		_, err = s.Import(t.Context(), []byte(steps), true, now)
		require.NoError(t, err)
		list, err = s.List(t.Context(), 0)
		require.NoError(t, err)
		require.Len(t, list.All(), 27, "the shipped weight is back")
		reopened := open(t, db)
		again2, err := reopened.InForce(t.Context())
		require.NoError(t, err)
		require.Equal(t, 4, again2, "opening again makes no version")
	})
}

func TestFaultsOfAListAreNamed(t *testing.T) {
	t.Parallel()
	s := open(t, sqltest.SQLite(t))
	const head = "system,code,category,unit,concept_id,unit_concept_ids,low,high,min,max,valid_from,valid_to\n"
	const good = "http://loinc.org,1-8,laboratory,mg/dL,7,8840,1,2,0,3,2020-01-01,2021-01-01\n"
	for name, c := range map[string]struct{ file, says string }{
		"empty":                {"", "no header"},
		"unknown column":       {strings.Replace(head, "low", "lower", 1) + good, `no column "lower"`},
		"missing column":       {"system,code,unit\n", `"category" is missing`},
		"no UCUM":              {head + strings.Replace(good, "mg/dL", "mgs/dL", 1), "line 2: unit is no UCUM code"},
		"bounds out of order":  {head + strings.Replace(good, ",1,2,", ",2,1,", 1), "min <= low <= high <= max"},
		"low below min":        {head + strings.Replace(good, ",0,3,", ",1.5,3,", 1), "min <= low <= high <= max"},
		"dates out of order":   {head + strings.Replace(good, "2021", "2019", 1), "valid_to is before valid_from"},
		"no date":              {head + strings.Replace(good, "2021-01-01", "soon", 1), "valid_to is not a date"},
		"no concept":           {head + strings.Replace(good, ",7,", ",,", 1), "concept_id is missing"},
		"no unit's concept":    {head + strings.Replace(good, ",8840,", ",,", 1), "unit_concept_ids is missing"},
		"a shipped concept":    {head + strings.Replace(good, ",7,", ",3004249,", 1), "8480-6 on the same days"},
		"a unit twice":         {head + good + good, "unit mg/dL comes twice"},
		"no URI":               {head + strings.Replace(good, "http://loinc.org", "LOINC", 1), "system is no URI"},
		"two validities meet":  {head + good + strings.Replace(good, "2020-01-01,2021", "2020-06-01,2022", 1), "on the same days"},
		"a number too few":     {head + "http://loinc.org,1-8\n", "wrong number of fields"},
		"YAML, unknown name":   {"variables:\n  - sistem: x\n", "sistem"},
		"YAML, not a number":   {"variables:\n  - {system: 'http://x.y', code: a, category: b, concept: 7, units: [{unit: g, concepts: [1], low: .nan}]}\n", "min <= low"},
		"infinity in a column": {head + strings.Replace(good, ",1,2,", ",1,Inf,", 1), "high is not a number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.Import(t.Context(), []byte(c.file), false, now)
			var faults reference.Faults
			require.ErrorAs(t, err, &faults)
			require.ErrorContains(t, err, c.says)
		})
	}
	t.Cleanup(func() {
		n, err := s.InForce(context.WithoutCancel(t.Context()))
		require.NoError(t, err)
		require.Equal(t, 1, n, "a file with a fault makes no version")
	})
}

// TestWrittenListsReadBack is a law of any list that can be imported.
func TestWrittenListsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var b strings.Builder
		b.WriteString("system,code,category,display,unit,concept_id,unit_concept_ids,low,high\n")
		for i := range rapid.IntRange(1, 8).Draw(rt, "variables") {
			low := rapid.Float64Range(-1e9, 1e9).Draw(rt, "low")
			bounds := rapid.SampledFrom([]string{",", number(low) + ",", number(low) + "," + number(low+1)}).Draw(rt, "bounds")
			b.WriteString("urn:site:lab,c" + number(float64(i)) + `,laboratory,"` + rapid.StringMatching(`[A-Za-z ,é]{0,20}[a-z]`).Draw(rt, "display") +
				`",mmol/L,` + number(float64(100+i)) + ",8753 9557," + bounds + "\n")
		}
		once, err := variable.Rewrite([]byte(b.String()))
		require.NoError(rt, err)
		require.Equal(rt, strings.Count(b.String(), "\n"), strings.Count(string(once), "\n"), "a row for each")
		twice, err := variable.Rewrite(once)
		require.NoError(rt, err)
		require.Equal(rt, string(once), string(twice))
	})
}

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// FuzzList reads arbitrary bytes as a list: what is taken can be written and taken again.
func FuzzList(f *testing.F) {
	f.Add([]byte(steps))
	f.Add(variable.Shipped().CSV())
	f.Add([]byte("variables:\n  - {system: 'http://x.y', code: a, category: b, concept: 7, units: [{unit: g, concepts: [1], low: 1e3}]}\n"))
	f.Add([]byte("\uFEFF# a\n---\nvariables: &a []\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		once, err := variable.Rewrite(data)
		if err != nil {
			return
		}
		twice, err := variable.Rewrite(once)
		require.NoError(t, err)
		require.Equal(t, string(once), string(twice))
	})
}
