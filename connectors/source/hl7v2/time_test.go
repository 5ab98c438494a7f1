package hl7v2

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

func TestTimes(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("", 3600)
	for sent, want := range map[string]struct {
		text      string
		precision fhir.Precision
		zoned     bool
	}{
		"1970":                    {"1970", fhir.PrecisionYear, false},
		"197010":                  {"1970-10", fhir.PrecisionMonth, false},
		"19701031":                {"1970-10-31", fhir.PrecisionDay, false},
		"1970103103":              {"1970-10-31T03:00:00+01:00", fhir.PrecisionMinute, true},
		"197010310304":            {"1970-10-31T03:04:00+01:00", fhir.PrecisionMinute, true},
		"19701031030405":          {"1970-10-31T03:04:05+01:00", fhir.PrecisionSecond, true},
		"19701031030405.6789":     {"1970-10-31T03:04:05.6789+01:00", fhir.PrecisionSecond, true},
		"20230501102531-0400":     {"2023-05-01T10:25:31-04:00", fhir.PrecisionSecond, true},
		"202108181126+0215":       {"2021-08-18T11:26:00+02:15", fhir.PrecisionMinute, true},
		"20210817151943.4+0200":   {"2021-08-17T15:19:43.4+02:00", fhir.PrecisionSecond, true},
		"20230501+0000":           {"2023-05-01", fhir.PrecisionDay, false},
		"20200229240000":          {"2020-03-01T00:00:00+01:00", fhir.PrecisionSecond, true},
		"19800000":                {"1980", fhir.PrecisionYear, false},
		"19800100":                {"1980-01", fhir.PrecisionMonth, false},
		" 20230501 ":              {"2023-05-01", fhir.PrecisionDay, false},
		"20200508130643.000+0000": {"2020-05-08T13:06:43Z", fhir.PrecisionSecond, true},
		"":                        {"", fhir.PrecisionNone, false},
		"0000":                    {"", fhir.PrecisionNone, false},
		"00000000":                {"", fhir.PrecisionNone, false},
	} {
		got, ok := ParseTime(sent, east)
		require.True(t, ok, sent)
		require.Equal(t, want.text, got.Text, sent)
		require.Equal(t, want.precision, got.Precision, sent)
		require.Equal(t, want.zoned, got.Zoned, sent)
	}
	got, ok := ParseTime("20230501102531", nil)
	require.True(t, ok)
	require.False(t, got.Zoned, "neither the value nor MSH-7 had an offset")
	require.Equal(t, "2023-05-01T10:25:31Z", got.Text)

	for _, bad := range []string{"20231301", "20230230", "2023050", "yesterday", "20230501T10", "2023-05-01", "20230501102531+25", "202305011025311", "20230501250000", "99991231235960", "99991231240000", "20230501102531+1500", "20230501102531+0160"} {
		_, ok := ParseTime(bad, nil)
		require.False(t, ok, bad)
	}
}

// A time that is written as HL7 writes it is read as what it was.
func TestTimeIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone := time.FixedZone("", rapid.IntRange(-14*60, 14*60).Draw(t, "offset")*60)
		at := time.Unix(rapid.Int64Range(-2e9, 4e9).Draw(t, "second"), 0).In(zone)
		got, ok := ParseTime(at.Format("20060102150405-0700"), nil)
		if !ok || !got.At.Equal(at) || got.Text != at.Format(time.RFC3339) {
			t.Fatalf("%v: %v %q", at, got.At, got.Text)
		}
		if d := Day(got); d.Text != at.Format(time.DateOnly) || d.Precision != fhir.PrecisionDay {
			t.Fatalf("%v: day %q", at, d.Text)
		}
	})
}

func TestClock(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{"2231": "22:31:00", "223100.0000": "22:31:00", "07": "07:00:00", "235959.25": "23:59:59.25", "101500+0100": "10:15:00"} {
		got, ok := parseClock(sent)
		require.True(t, ok, sent)
		require.Equal(t, want, got)
	}
	for _, bad := range []string{"", "25", "7", "12:30", "noon"} {
		_, ok := parseClock(bad)
		require.False(t, ok, bad)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"98.00": "98.00", "+3": "3", "-0.50": "-0.50", ".5": "0.5", "007": "7", "5.": "5", "0": "0", " 12 ": "12", "-.1": "-0.1",
	} {
		d := ParseDecimal(sent)
		require.NotNil(t, d, sent)
		require.Equal(t, want, d.Text)
	}
	for _, bad := range []string{"", ".", "-", "1e5", "NaN", "Inf", "0x10", "1,5", "12 mg", "1.2.3", "--1", "<5", strings.Repeat("9", 400)} {
		require.Nil(t, ParseDecimal(bad), bad)
	}
	q := ParseQuantity("<= 0.01", fhir.Quantity{Code: "mg"})
	require.Equal(t, "<=", q.Comparator)
	require.Equal(t, "0.01", q.Value.Text)
	require.Equal(t, "mg", q.Code)
}

func TestReferenceRanges(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string][2]string{
		"49 - 92": {"49", "92"}, "3.5-5.3": {"3.5", "5.3"}, "[ 0.04 - 0.40 ]": {"0.04", "0.40"}, "[ < 0.21 ]": {"", "0.21"},
		"[ > 1.5]": {"1.5", ""}, "-5-10": {"-5", "10"}, "-10 - -5": {"-10", "-5"}, "[ ]": {"", ""}, "negative": {"", ""},
		"10 - 5": {"", ""}, "(1.0-2.0)": {"1.0", "2.0"},
	} {
		r := parseRange(sent, fhir.Quantity{})
		require.Equal(t, sent, r.Text)
		for i, limit := range []*fhir.Quantity{r.Low, r.High} {
			if want[i] == "" {
				require.Nil(t, limit, sent)
			} else {
				require.Equal(t, want[i], limit.Value.Text, sent)
			}
		}
	}
}
