package anonymity_test

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/extract/anonymity"
)

// same is the hierarchy of an attribute that is not generalized.
var same = anonymity.Level{Name: "written", Of: func(v int64) int64 { return v }}

var any1 = anonymity.Level{Name: "any", Of: func(int64) int64 { return 0 }}

// words numbers texts.
type words map[string]int64

func (w words) of(text string) int64 {
	n, known := w[text]
	if !known {
		n = int64(len(w)) + 1
		w[text] = n
	}
	return n
}

func flat(names ...string) (list []anonymity.Attribute) {
	for _, n := range names {
		list = append(list, anonymity.Attribute{Name: n, Levels: []anonymity.Level{same}})
	}
	return list
}

func table(t testing.TB, attributes []anonymity.Attribute, sensitive []string, rows [][]int64) *anonymity.Table {
	t.Helper()
	out, err := anonymity.NewTable(attributes, sensitive)
	require.NoError(t, err)
	for _, r := range rows {
		require.NoError(t, out.Add(r[:len(attributes)], r[len(attributes):]))
	}
	return out
}

// search finds a solution that may suppress all but one record.
func search(t testing.TB, tab *anonymity.Table, g anonymity.Goal) *anonymity.Solution {
	t.Helper()
	s, err := anonymity.Search(tab, g)
	require.NoError(t, err)
	return s
}

func TestAgreesWithPyCANON(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/pycanon.json")
	require.NoError(t, err)
	var cases []struct {
		File             string
		Quasi, Sensitive []string
		K, L             int
		EntropyL         int     `json:"entropy_l"`
		MaxRisk          float64 `json:"max_risk"`
		Classes, Records int
	}
	require.NoError(t, json.Unmarshal(raw, &cases))
	require.Len(t, cases, 10)
	for _, c := range cases {
		f, err := os.Open("testdata/" + c.File)
		require.NoError(t, err)
		lines, err := csv.NewReader(f).ReadAll()
		require.NoError(t, f.Close())
		require.NoError(t, err)
		numbered := words{}
		var rows [][]int64
		for _, line := range lines[1:] {
			var row []int64
			for _, name := range slices.Concat(c.Quasi, c.Sensitive) {
				row = append(row, numbered.of(line[slices.Index(lines[0], name)]))
			}
			rows = append(rows, row)
		}
		tab := table(t, flat(c.Quasi...), c.Sensitive, rows)
		s := search(t, tab, anonymity.Goal{K: 2}) // they have k of 2 and more: nothing is suppressed
		m := s.Measure()
		require.Equal(t, c.Records, m.Records, c.File)
		require.Equal(t, c.Classes, m.Classes, c.File)
		require.Equal(t, c.K, m.K, c.File)
		l, entropy := math.MaxInt, math.Inf(1)
		for _, d := range m.Sensitive {
			l, entropy = min(l, d.L), min(entropy, d.EntropyL)
		}
		require.Equal(t, c.L, l, c.File)
		require.Equal(t, c.EntropyL, int(entropy+1e-9), c.File)
		require.InDelta(t, c.MaxRisk, s.Risk(nil).Prosecutor, 1e-12, c.File)
	}
}

// hospital is the table that ANJANA's example makes anonymous.
func hospital(t *testing.T, of words) [][]int64 {
	t.Helper()
	f, err := os.Open("testdata/hospital_extended.csv")
	require.NoError(t, err)
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	var rows [][]int64
	for _, line := range lines[1:] {
		age, err := strconv.ParseInt(line[1], 10, 64)
		require.NoError(t, err)
		rows = append(rows, []int64{age, of.of(line[2]), of.of(line[3]), of.of(line[5])})
	}
	return rows
}

func band(width int64) anonymity.Level {
	return anonymity.Level{Name: "band", Of: func(v int64) int64 { return v / width * width }}
}

// TestIsNoCoarserThanANJANA: its k-anonymous table is the best; its 2-diverse one has ages
// in bands of 10 years, where bands of 5 do.
func TestIsNoCoarserThanANJANA(t *testing.T) {
	t.Parallel()
	attributes := []anonymity.Attribute{
		{Name: "age", Levels: []anonymity.Level{same, band(5), band(10)}},
		{Name: "gender", Levels: []anonymity.Level{same, any1}},
		{Name: "city", Levels: []anonymity.Level{same, any1}},
	}
	tab := table(t, attributes, []string{"disease"}, hospital(t, words{}))
	require.Equal(t, []int{2, 0, 0}, search(t, tab, anonymity.Goal{K: 2}).Levels)
	diverse := search(t, tab, anonymity.Goal{K: 2, L: 2})
	require.Equal(t, []int{1, 0, 1}, diverse.Levels)
	require.Equal(t, 13, diverse.Measure().Records)
	require.Equal(t, 2, diverse.Measure().K)
	require.Equal(t, 2, diverse.Measure().Sensitive[0].L)
}

// inpatients is figure 1 of the paper on l-diversity: zip code, age, nationality,
// condition (1 heart disease, 2 viral infection, 3 cancer).
var inpatients = [][]int64{
	{13053, 28, 1, 1},
	{13068, 29, 2, 1},
	{13068, 21, 3, 2},
	{13053, 23, 2, 2},
	{14853, 50, 4, 3},
	{14853, 55, 1, 1},
	{14850, 47, 2, 2},
	{14850, 49, 2, 2},
	{13053, 31, 2, 3},
	{13053, 37, 4, 3},
	{13068, 36, 3, 3},
	{13068, 35, 2, 3},
}

func TestTheInpatientsOfThePaperOnLDiversity(t *testing.T) {
	t.Parallel()
	anyone := anonymity.Attribute{Name: "nationality", Levels: []anonymity.Level{any1}}
	// Figure 2: 130** below 30, 1485* from 40, 130** of 30 to 39.
	four := search(t, table(t, []anonymity.Attribute{
		{Name: "zip", Levels: []anonymity.Level{{Name: "130**, 1485*", Of: func(v int64) int64 { return v / 1000 }}}},
		{Name: "age", Levels: []anonymity.Level{{Name: "below 30, 3*, from 40", Of: func(v int64) int64 { return min(max(v/10, 2), 4) }}}},
		anyone,
	}, []string{"condition"}, inpatients), anonymity.Goal{K: 4})
	require.Equal(t, anonymity.Measured{Records: 12, Classes: 3, K: 4, Sensitive: []anonymity.Diversity{{Name: "condition", L: 1, EntropyL: 1}}}, four.Measure())

	// Figure 3 is what the search comes to from the usual hierarchies.
	attributes := []anonymity.Attribute{
		{Name: "zip", Levels: []anonymity.Level{same, band(10), band(100), any1}},
		{Name: "age", Levels: []anonymity.Level{same, {Name: "to 40", Of: func(v int64) int64 { return (v - 1) / 40 }}, any1}},
		{Name: "nationality", Levels: []anonymity.Level{same, any1}},
	}
	diverse := search(t, table(t, attributes, []string{"condition"}, inpatients), anonymity.Goal{K: 4, L: 3})
	require.Equal(t, []int{1, 1, 1}, diverse.Levels)
	m := diverse.Measure()
	require.Equal(t, 3, m.Classes)
	require.Equal(t, 4, m.K)
	require.Equal(t, 3, m.Sensitive[0].L)
	require.InDelta(t, math.Pow(2, 1.5), m.Sensitive[0].EntropyL, 1e-12) // of 1/4, 1/4 and 1/2
	require.Zero(t, diverse.Small+diverse.Uniform)

	_, err := anonymity.Search(table(t, attributes, []string{"condition"}, inpatients), anonymity.Goal{K: 4, EntropyL: 3})
	require.ErrorIs(t, err, anonymity.ErrUnreachable, "three values that are not equally frequent, even all together")
}

// TestAgreesWithSdcMicro: its fk of these eight records is 3 1 3 1 2 2 1 3, and three
// classes of its other table have 3, 2 and 2 values.
func TestAgreesWithSdcMicro(t *testing.T) {
	t.Parallel()
	keys := [][]int64{{2, 3, 1}, {3, 3, 3}, {2, 3, 1}, {2, 3, 2}, {3, 3, 1}, {3, 3, 1}, {1, 4, 1}, {2, 3, 1}}
	tab := table(t, flat("A", "B", "C"), nil, keys)
	two := search(t, tab, anonymity.Goal{K: 2, Limit: 0.9})
	require.Equal(t, 3, two.Small)
	require.Equal(t, 5, search(t, tab, anonymity.Goal{K: 3, Limit: 0.9}).Small)
	for i, fk := range []int{3, 1, 3, 1, 2, 2, 1, 3} {
		require.Equal(t, fk < 2, two.Reason(i) == anonymity.Small, i)
	}

	rows := [][]int64{{1, 0, 1, 1}, {1, 0, 1, 0}, {1, 0, 1, 2}, {2, 1, 1, 1}, {2, 1, 1, 0}, {1, 2, 2, 0}, {1, 2, 2, 1}}
	tab = table(t, flat("sex", "occupation", "ethnicity"), []string{"sensitive"}, rows)
	require.Equal(t, 2, search(t, tab, anonymity.Goal{K: 2}).Measure().Sensitive[0].L)
	three := search(t, tab, anonymity.Goal{K: 2, L: 3, Limit: 0.9})
	require.Equal(t, 4, three.Uniform)
	require.Equal(t, 3, three.Measure().Sensitive[0].L)
}
