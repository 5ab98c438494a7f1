package cdm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// rowsOf reads a text without problems.
func rowsOf(t *testing.T, text string) (rows []*cdm.Row) {
	t.Helper()
	for rec, err := range cdm.Read(t.Context(), strings.NewReader(text), fhir.Options{}) {
		require.NoError(t, err)
		rows = append(rows, rec.Resource.(*cdm.Row))
	}
	return rows
}

// TestTabsQuoteNothing: a text that begins with a quote would take the rows behind it
// with it and make one row of two people.
func TestTabsQuoteNothing(t *testing.T) {
	t.Parallel()
	rows := rowsOf(t, strings.Join([]string{
		"observation_id\tperson_id\tobservation_concept_id\tobservation_date\tobservation_type_concept_id\tvalue_as_string\tobservation_source_value",
		"1\t7\t4058243\t2020-01-01\t32817\t\"cold\" for days\ta",
		"2\t8\t4058243\t2021-01-01\t32817\t\"as \"\"a whole\"\"\"\tb\r",
		"",
		"3\t9\t4058243\t2022-01-01\t32817\tstent 5\"\tc",
	}, "\n"))
	require.Len(t, rows, 3)
	for i, want := range []struct{ text, source string }{{`"cold" for days`, "a"}, {`as "a whole"`, "b"}, {`stent 5"`, "c"}} {
		require.EqualValues(t, 7+i, rows[i].Int("person_id"))
		require.Equal(t, want.text, rows[i].Text("value_as_string"))
		require.Equal(t, want.source, rows[i].Text("observation_source_value"))
	}
}

// TestADayIsThatOfItsPlace, not that of Greenwich.
func TestADayIsThatOfItsPlace(t *testing.T) {
	t.Parallel()
	const head = "death_date,person_id,death_datetime,death_type_concept_id\n"
	want, _ := rowsOf(t, head+"2020-03-01,7,,32817\n")[0].Day("death_date")
	for _, at := range []string{"2020-03-01 00:00:00+01", "2020-03-01T00:00:00+01:00", "2020-03-01T23:30:00-05:00"} {
		got, _ := rowsOf(t, head+at+",7,,32817\n")[0].Day("death_date")
		require.Equal(t, want, got, at)
	}
}

// TestAnOpenQuoteTakesOneRow and not the rest of the file, nor makes one row of two people.
func TestAnOpenQuoteTakesOneRow(t *testing.T) {
	t.Parallel()
	const head = "observation_id,person_id,observation_concept_id,observation_date,observation_type_concept_id,value_as_string\n"
	row := func(id int, text string) string {
		return fmt.Sprintf("%d,7,4058243,2020-01-01,32817,%s\n", id, text)
	}
	plain := func(from, n int) (text string) {
		for id := from; id < from+n; id++ {
			text += row(id, "x")
		}
		return text
	}
	for name, c := range map[string]struct {
		text string
		rows int
		line int // of the problem
	}{
		"to the end":           {plain(1, 3) + row(4, `"open`) + plain(5, 5), 8, 5},
		"beyond the lines":     {row(1, `"open`) + plain(2, 300), 300, 2},
		"beyond the bytes":     {row(1, `"open`) + row(2, strings.Repeat("x", 70<<10)) + plain(3, 5), 6, 2},
		"to another's quote":   {row(1, `"open`) + plain(2, 3) + row(5, `"whole"`) + plain(6, 2), 6, 2},
		"where none may stand": {plain(1, 2) + row(3, `5" stent`) + plain(4, 2), 4, 4},
		"in the last row":      {plain(1, 2) + strings.TrimSuffix(row(3, `"open`), "\n"), 2, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, problems := 0, []int{}
			for _, err := range cdm.Read(t.Context(), strings.NewReader(head+c.text), fhir.Options{}) {
				if p, bad := fhir.AsProblem(err); bad {
					require.Equal(t, cdm.RuleMalformedRow, p.Rule)
					problems = append(problems, p.Line)
					continue
				}
				require.NoError(t, err)
				rows++
			}
			require.Equal(t, c.rows, rows)
			require.Equal(t, []int{c.line}, problems)
		})
	}
	rows := rowsOf(t, head+row(1, "\"two\r\n\r\nlines, \"\"quoted\"\"\"")+row(2, "\"\"")+row(3, ""))
	require.Len(t, rows, 3)
	require.Equal(t, "two\n\nlines, \"quoted\"", rows[0].Text("value_as_string"))
}
