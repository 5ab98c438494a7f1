package table

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

func TestNumbersAreReadInTheDeclaredNotation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		comma bool
		want  string // comparator and digits; empty for a text
		rule  fhir.Rule
	}{
		{text: "5.90", want: "5.90"},
		{text: "-0.5", want: "-0.5"},
		{text: ".5", want: "0.5"},
		{text: "007", want: "7"},
		{text: "+3", want: "3"},
		{text: "5.", want: "5"},
		{text: "<0.01", want: "<0.01"},
		{text: ">= 120", want: ">=120"},
		{text: "≤ 3", want: "<=3"},
		{text: "7,4", comma: true, want: "7.4"},
		{text: "<7,40", comma: true, want: "<7.40"},
		{text: "1.5E-3", want: "1.5e-3"},
		{text: "1.23456E+05", want: "1.23456e5"},
		{text: "7,4", rule: fhir.RuleInvalidNumber},
		{text: "1,204", rule: fhir.RuleInvalidNumber},
		{text: "1 204", rule: fhir.RuleInvalidNumber},
		{text: "1'204", rule: fhir.RuleInvalidNumber},
		{text: "7.4", comma: true, rule: fhir.RuleInvalidNumber},
		{text: "1.204,5", comma: true, rule: fhir.RuleInvalidNumber},
		{text: "1,2,3", comma: true, rule: fhir.RuleInvalidNumber},
		{text: "1..2", rule: fhir.RuleInvalidNumber},
		{text: "1E+05", rule: RuleSpreadsheet},
		{text: "4.3E+14", rule: RuleSpreadsheet},
		{text: "1e999", rule: fhir.RuleInvalidNumber},
		{text: "120/80"},
		{text: "1:40"},
		{text: "2+"},
		{text: "1-2"},
		{text: "POS"},
		{text: "2024-01-31"},
		{text: "-"},
		{text: ""},
		{text: "5 mg"},
		{text: "E5"},
		{text: strings.Repeat("9", 65)},
	} {
		q, rule := parseNumber(c.text, c.comma)
		require.Equal(t, c.rule, rule, c.text)
		if c.want == "" {
			require.Nil(t, q, c.text)
			continue
		}
		require.NotNil(t, q, c.text)
		require.Equal(t, c.want, q.Comparator+q.Value.Text, c.text)
		want, err := strconv.ParseFloat(strings.TrimLeft(c.want, "<>="), 64)
		require.NoError(t, err)
		require.InDelta(t, want, q.Value.Value, 0, c.text)
	}
}

// TestNumbersKeepTheirValue: what either notation writes is read as the same number.
func TestNumbersKeepTheirValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(-1e12, 1e12).Draw(t, "x")
		text := strconv.FormatFloat(x, 'f', rapid.IntRange(0, 6).Draw(t, "places"), 64)
		want, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err)
		for _, comma := range []bool{false, true} {
			if comma {
				text = strings.Replace(text, ".", ",", 1)
			}
			q, rule := parseNumber(text, comma)
			require.Empty(t, rule)
			require.InDelta(t, want, q.Value.Value, 0)
		}
	})
}

func TestTimesAreReadInTheDeclaredForm(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for _, c := range []struct {
		text string
		form dateForm
		zone *time.Location
		want string
		rule fhir.Rule
	}{
		{text: "2024-01-31", want: "2024-01-31"},
		{text: "2024-01", want: "2024-01"},
		{text: "2024", want: "2024"},
		{text: "2024-01-31T14:05:09Z", want: "2024-01-31T14:05:09Z"},
		{text: "2024-01-31 14:05:09.25+01:00", want: "2024-01-31T14:05:09.25+01:00"},
		{text: "2024-01-31T14:05", want: "2024-01-31T14:05:00"},
		{text: "2024-01-31T14:05", zone: berlin, want: "2024-01-31T14:05:00+01:00"},
		{text: "2024-07-31T14:05", zone: berlin, want: "2024-07-31T14:05:00+02:00"},
		{text: "2024-07-31T14:05-05", zone: berlin, want: "2024-07-31T14:05:00-05:00"},
		{text: "2024-01-31 24:00", want: "2024-02-01T00:00:00"},
		{text: "2024-02-29", want: "2024-02-29"},
		{text: "1/31/2024", form: usDates, want: "2024-01-31"},
		{text: "01/31/2024 2:05 PM", form: usDates, want: "2024-01-31T14:05:00"},
		{text: "01/31/2024 12:05am", form: usDates, want: "2024-01-31T00:05:00"},
		{text: "01/31/2024 12:05:30 PM", form: usDates, want: "2024-01-31T12:05:30"},
		{text: "31.01.2024 14:05", form: euDates, want: "2024-01-31T14:05:00"},
		{text: "31/1/2024", form: euDates, want: "2024-01-31"},
		{text: "20240131", form: plainDates, want: "2024-01-31"},
		{text: "20240131140509", form: plainDates, want: "2024-01-31T14:05:09"},
		{text: "20240131 1405", form: plainDates, want: "2024-01-31T14:05:00"},
		{text: "2024-01-31", form: usDates, want: "2024-01-31"},
		{text: "2024-01-31", form: euDates, want: "2024-01-31"},
		{text: "1/31/2024", rule: fhir.RuleInvalidTime},
		{text: "31/1/2024", form: usDates, rule: fhir.RuleInvalidTime},
		{text: "1/31/2024", form: euDates, rule: fhir.RuleInvalidTime},
		{text: "1/31/24", form: usDates, rule: fhir.RuleInvalidTime},
		{text: "2023-02-29", rule: fhir.RuleInvalidTime},
		{text: "0000-01-01", rule: fhir.RuleInvalidTime},
		{text: "2024-01-31T25:00", rule: fhir.RuleInvalidTime},
		{text: "2024-01-31T14:60", rule: fhir.RuleInvalidTime},
		{text: "2024-01-31T14", rule: fhir.RuleInvalidTime},
		{text: "2024-01-31T14:05+15:00", rule: fhir.RuleInvalidTime},
		{text: "2024-01 10:00", rule: fhir.RuleInvalidTime},
		{text: "01/31/2024 13:05 PM", form: usDates, rule: fhir.RuleInvalidTime},
		{text: "yesterday", rule: fhir.RuleInvalidTime},
		{text: "44927", rule: RuleSpreadsheet},
		{text: "44927.5868", form: usDates, rule: RuleSpreadsheet},
	} {
		got, rule := parseTime(c.text, c.form, c.zone)
		require.Equal(t, c.rule, rule, c.text)
		require.Equal(t, c.want, got.Text, c.text)
		if c.rule == "" {
			require.Equal(t, got.Precision >= fhir.PrecisionMinute && (c.zone != nil || strings.ContainsAny(c.want[10:], "Z+-")), got.Zoned, c.text)
		}
	}
}

// TestEveryDayIsReadInEveryForm: a day that is written is the day that is read.
func TestEveryDayIsReadInEveryForm(t *testing.T) {
	t.Parallel()
	layouts := map[dateForm][]string{
		isoDates: {time.DateOnly}, usDates: {"1/2/2006", "01/02/2006", time.DateOnly},
		euDates: {"2.1.2006", "02/01/2006", time.DateOnly}, plainDates: {"20060102", time.DateOnly},
	}
	rapid.Check(t, func(t *rapid.T) {
		day := time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 80_000).Draw(t, "days"))
		for form, list := range layouts {
			for _, layout := range list {
				got, rule := parseTime(day.Format(layout), form, nil)
				require.Empty(t, rule)
				require.True(t, day.Equal(got.At))
				require.Equal(t, day.Format(time.DateOnly), got.Text)
			}
		}
	})
}

func TestCodesAreKnownByTheirCheckDigits(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"2823-3", "8302-2", "1-8", "94500-6", "4548-4"} {
		require.True(t, isLOINC(code), code)
	}
	for _, code := range []string{"2823-4", "8302-3", "8302", "8302-22", "", "-", "a-1", "99999999-1", "8-Jan"} {
		require.False(t, isLOINC(code), code)
	}
	for _, code := range []string{"38341003", "195662009", "44054006", "428211000124100", "10939881000119105"} {
		require.True(t, isSNOMED(code), code)
	}
	for _, code := range []string{"38341004", "195662008", "0", "", "12345", "3834100a", "1234567890123456789", "038341003"} {
		require.False(t, isSNOMED(code), code)
	}
	for code, want := range map[string]bool{"E11.9": true, "S52.501A": true, "I10": true, "C7A.00": true, "e11.9": false, "11.9": false, "E1": false, "E11.": false, "U07.1": true} {
		require.Equal(t, want, fits(icd10, code), code)
	}
	require.True(t, fits(rxnorm, "1191"))
	require.False(t, fits(cvx, "1400"))
	require.True(t, fits("urn:anything", "x"))
}

// TestACheckDigitFindsAWrongDigit: Verhoeff's finds every one, and Luhn's.
func TestACheckDigitFindsAWrongDigit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.SampledFrom([]string{"38341003", "195662009", "428211000124100", "10939881000119105"}).Draw(t, "code")
		at, digit := rapid.IntRange(0, len(code)-1).Draw(t, "at"), byte('0')+byte(rapid.IntRange(0, 9).Draw(t, "digit"))
		wrong := []byte(code)
		wrong[at] = digit
		require.Equal(t, string(wrong) == code, isSNOMED(string(wrong)))
	})
}

func TestWhatASpreadsheetDoesToCodesIsSeen(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"4.28211E+14", "1E+05", "8-Jan", "Jan-08", "2-Mar", "#N/A", "#DIV/0!", "#NAME?", "####"} {
		require.True(t, isMangled(s), s)
	}
	for _, s := range []string{"", "E11.9", "8302-2", "A-1001", "March-1", "#12", "C1", "1E5", "Mar-2024"} {
		require.False(t, isMangled(s), s)
	}
}

func TestSystemsAreKnownByTheNamesThatPeopleWrite(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"LOINC": loinc, "loinc": loinc, "SNOMED-CT": snomed, "SNOMEDCT": snomed, "snomed": snomed, "ICD-10-CM": icd10, "icd10cm": icd10, "RxNorm": rxnorm,
		"CVX": cvx, "http://loinc.org": loinc, "urn:oid:1.2": "urn:oid:1.2",
	} {
		uri, ok := uriOf(name)
		require.True(t, ok, name)
		require.Equal(t, want, uri, name)
	}
	for _, name := range []string{"", "local", "lab", "LOINCX"} {
		_, ok := uriOf(name)
		require.False(t, ok, name)
	}
	require.NotContains(t, systemNames(), "", "every system has a name")
}

func TestEverySpellingOfAUnitIsUCUM(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, spellings)
	for spelling, code := range spellings {
		require.True(t, isUnit(code), spelling)
	}
}
