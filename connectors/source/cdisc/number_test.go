package cdisc

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

func TestNumbersKeepTheirDigits(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"39": "39", "5.10": "5.10", ".09": "0.09", "+7": "7", "-0.5": "-0.5", "007": "7", "5.": "5", "1E-3": "1e-3", "0": "0", "<0.5": "0.5", ">= 10": "10",
	} {
		q := quantity(s)
		require.NotNil(t, q, s)
		require.Equal(t, want, q.Value.Text)
	}
	for _, s := range []string{"", "N", ".", "-", "<", "1,5", "1-2", "1e", "1e9999", "0x10", "NaN", "Inf", "1_000", "1 000", "3+", "e5", "12e999"} {
		require.Nil(t, quantity(s), s)
	}
}

// TestDatesOfSDTM: the examples of the implementation guide's section on precision, and
// dates that are none.
func TestDatesOfSDTM(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"2003-12-15T13:14:17.123":   "2003-12-15T13:14:17.123",
		"2003-12-15T13:14:17":       "2003-12-15T13:14:17",
		"2003-12-15T13:14":          "2003-12-15T13:14",
		"2003-12-15T13":             "2003-12-15",
		"2003-12-15":                "2003-12-15",
		"2003-12":                   "2003-12",
		"2003":                      "2003",
		"2003---15":                 "2003",
		"2003-12-15T-:15":           "2003-12-15",
		"2003-12--T13:14":           "2003-12",
		"2003-12-15/2003-12-20":     "2003-12-15",
		"2003-12-15T13:14Z":         "2003-12-15T13:14Z",
		"2003-12-15T13:14:17+05:30": "2003-12-15T13:14:17+05:30",
		"2003-12-15T24:00":          "2003-12-16T00:00",
	} {
		got, ok := parseDTC(s)
		require.True(t, ok, s)
		require.Equal(t, want, got.Text, s)
	}
	for _, s := range []string{
		"", "--12-15", "-----T07:15", "15DEC2003", "12/15/2003", "2003-13", "2003-02-30", "0000", "2003-12-15T25:00", "2003-12-15T13:60", "2003-12-15 13:14",
		"2003-12-15T13:14+15:00", "20031215", "2003-1-5", "2003-12-15T", "P1D",
	} {
		_, ok := parseDTC(s)
		require.False(t, ok, s)
	}
}

// TestDatesOfSAS: the pairs are TRTSDT and RFSTDTC of five subjects in the ADSL of CDISC's
// example (DataExchange-DatasetJson, examples/adam), and the ends of SAS's calendar.
func TestDatesOfSAS(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"19725": "2014-01-02", "19210": "2012-08-05", "19558": "2013-07-19", "19800": "2014-03-18", "19196": "2012-07-22",
		"0": "1960-01-01", "-138061": "1582-01-01", "2936549": "9999-12-31", "2014-01-02": "2014-01-02",
	} {
		got, ok := parseSASDate(s)
		require.True(t, ok, s)
		require.Equal(t, want, got.Text)
		require.Equal(t, fhir.PrecisionDay, got.Precision)
	}
	for _, s := range []string{"0.5", "2936550", "-138062", "NaN", "Inf", "1e300", "", "x"} {
		_, ok := parseSASDate(s)
		require.False(t, ok, s)
	}
}
