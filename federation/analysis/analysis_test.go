package analysis_test

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/federation/analysis"
)

// each yields rows one by one.
func each(rows []analysis.Row) analysis.Rows {
	return func(yield func(analysis.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// method is what the tests need of a method's site half.
type method interface {
	Tabulate(analysis.Rows) (analysis.Table, error)
	Words() int
}

// summed encodes every site's table and adds the words modulo 2^64.
func summed(t require.TestingT, m method, sites [][]analysis.Row) []uint64 {
	sum := make([]uint64, m.Words())
	for _, rows := range sites {
		table, err := m.Tabulate(each(rows))
		require.NoError(t, err)
		words, err := analysis.Encode(table)
		require.NoError(t, err)
		require.Len(t, words, m.Words())
		for i, w := range words {
			sum[i] += w
		}
	}
	return sum
}

// person is one row of the CNSIM extract; -1 stands for a missing level.
type person struct {
	study, gender, diabetes int
	tsc                     float64
	hasTSC                  bool
}

func cnsim(t *testing.T) []person {
	t.Helper()
	file, err := os.Open("testdata/cnsim.csv.gz")
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	unzipped, err := gzip.NewReader(file)
	require.NoError(t, err)
	records, err := csv.NewReader(unzipped).ReadAll()
	require.NoError(t, err)
	people := make([]person, 0, len(records)-1)
	for _, r := range records[1:] {
		p := person{study: level(t, r[0]) - 1, gender: level(t, r[2]), diabetes: level(t, r[3])}
		if r[1] != "" {
			p.hasTSC = true
			p.tsc, err = strconv.ParseFloat(r[1], 64)
			require.NoError(t, err)
		}
		people = append(people, p)
	}
	require.Len(t, people, 2163+3088+4128)
	return people
}

func level(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

var (
	gender   = analysis.Stratifier{Name: "gender", Levels: []string{"male", "female"}}
	diabetes = analysis.Stratifier{Name: "diabetes", Levels: []string{"no", "yes"}}
)

func TestParametersAreRefused(t *testing.T) {
	t.Parallel()
	wide := make([]string, 101)
	for i := range wide {
		wide[i] = fmt.Sprint(i)
	}
	for name, by := range map[string][]analysis.Stratifier{
		"no levels":           {{Name: "a"}},
		"no name":             {{Levels: []string{"x"}}},
		"name too long":       {{Name: string(make([]byte, 129)), Levels: []string{"x"}}},
		"repeated stratifier": {gender, gender},
		"repeated level":      {{Name: "a", Levels: []string{"x", "x"}}},
		"empty level":         {{Name: "a", Levels: []string{""}}},
		"too many cells":      {{Name: "a", Levels: wide}, {Name: "b", Levels: wide}},
		"too many stratifiers": {
			{Name: "a", Levels: wide[:1]},
			{Name: "b", Levels: wide[:1]},
			{Name: "c", Levels: wide[:1]},
			{Name: "d", Levels: wide[:1]},
			{Name: "e", Levels: wide[:1]},
			{Name: "f", Levels: wide[:1]},
			{Name: "g", Levels: wide[:1]},
			{Name: "h", Levels: wide[:1]},
			{Name: "i", Levels: wide[:1]},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := analysis.Count{By: by}.Tabulate(each(nil))
			require.Error(t, err)
			require.Error(t, analysis.Moments{By: by, High: 1}.Validate())
			_, err = analysis.Count{By: by}.Pool(nil, 1)
			require.Error(t, err)
		})
	}
}

func TestSiteDataRefusesToPrintOrMarshal(t *testing.T) {
	t.Parallel()
	row := analysis.Row{Strata: []int{7}, Value: 4711, HasValue: true}
	table := analysis.Table{Cells: []analysis.Cell{{N: 4711}}}
	for _, v := range []any{row, &row, table, &table, table.Cells[0], table.Cells} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
			require.NotContains(t, fmt.Sprintf(verb, v), "4711")
		}
		_, err := json.Marshal(v)
		require.Error(t, err)
	}
}

func TestReadingErrorNamesTheRow(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk")
	rows := func(yield func(analysis.Row, error) bool) {
		if yield(analysis.Row{}, nil) {
			yield(analysis.Row{}, broken)
		}
	}
	_, err := analysis.Count{}.Tabulate(rows)
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "row 1")
	_, err = analysis.Moments{High: 1}.Tabulate(rows)
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "row 1")
}
