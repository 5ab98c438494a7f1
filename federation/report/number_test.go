package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// known is what R prints.
type known struct {
	Coefficients []struct {
		Kind, Name         string
		Printed, Intervals []string
	}
	Formats []struct {
		Digits int
		X      []float64
		Text   []string
	}
	PS []struct {
		Digits int
		P      []float64
		Text   []string
	}
}

func readKnown(t *testing.T) known {
	t.Helper()
	var k known
	read(t, "testdata/print.json", &k)
	return k
}

func read(t *testing.T, path string, out any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.FromSlash(path))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, out))
}

// cases are the models of package analysis with what R says of them.
func cases(t *testing.T) (regressions map[string]query.Regression, hazards map[string]query.Hazards, survivals map[string]query.Survival) {
	t.Helper()
	regressions, hazards, survivals = map[string]query.Regression{}, map[string]query.Hazards{}, map[string]query.Survival{}
	var models []struct {
		Name string
		query.Regression
	}
	read(t, "../analysis/testdata/glm/cases.json", &models)
	for _, m := range models {
		regressions[m.Name] = m.Regression
	}
	var times []struct {
		Name, Kind, Formula string
		Survival            query.Survival
		Hazards             query.Hazards
	}
	read(t, "../analysis/testdata/survival/cases.json", &times)
	for _, c := range times {
		c.Survival.Formula, c.Hazards.Formula = c.Formula, c.Formula
		if c.Kind == "cox" {
			hazards[c.Name] = c.Hazards
		} else {
			survivals[c.Name] = c.Survival
		}
	}
	return regressions, hazards, survivals
}

func pointers(values []float64) []*float64 {
	out := make([]*float64, len(values))
	for i := range values {
		out[i] = &values[i]
	}
	return out
}

func TestNumbersAreWrittenAsByR(t *testing.T) {
	t.Parallel()
	k := readKnown(t)
	require.Len(t, k.Formats, 300)
	for _, c := range k.Formats {
		require.Equal(t, c.Text, align(c.Digits, pointers(c.X)...), "%d digits of %v", c.Digits, c.X)
	}
	require.Len(t, k.PS, 200)
	for _, c := range k.PS {
		require.Equal(t, c.Text, pValues(c.Digits, pointers(c.P)...), "%d digits of %v", c.Digits, c.P)
	}
	require.Equal(t, []string{"NA", "1.5"}, align(7, nil, new(1.5)))
	require.Equal(t, "NA", pValue(3, nil))
}

// TestCoefficientsArePrintedAsByR compares with R's printCoefmat of the same numbers.
func TestCoefficientsArePrintedAsByR(t *testing.T) {
	t.Parallel()
	regressions, hazards, _ := cases(t)
	lines := func(tables ...*table) []string {
		var w textWriter
		for _, x := range tables {
			x.title = ""
			x.text(&w)
		}
		return strings.Split(strings.TrimSuffix(w.String(), "\n"), "\n")
	}
	trimmed := func(list []string) []string {
		out := make([]string, len(list))
		for i, l := range list {
			out[i] = strings.TrimRight(l, " ")
		}
		return out
	}
	list := readKnown(t).Coefficients
	require.Len(t, list, len(regressions)+len(hazards))
	for _, c := range list {
		if c.Kind == "glm" {
			require.Equal(t, trimmed(c.Printed), lines(regressionBlocks(regressions[c.Name])[1].(*table)), c.Name)
			continue
		}
		var tables []*table
		for _, b := range hazardsBlocks(hazards[c.Name]) {
			if x, ok := b.(*table); ok {
				tables = append(tables, x)
			}
		}
		require.Len(t, tables, 2)
		require.Equal(t, trimmed(c.Printed), lines(tables[0]), c.Name)
		require.Equal(t, trimmed(c.Intervals), lines(tables[1]), c.Name)
	}
}
