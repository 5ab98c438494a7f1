package cdm_test

import (
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
