package report_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/node/report"
)

func TestSettingsAreRead(t *testing.T) {
	t.Parallel()
	s, err := report.ParseSettings([]byte(`
checks:
  no-unit: {threshold: 10}
  measurement.no-unit: {severity: reject}
variables:
  - concept: 3022192
    unit: 8840
    outliers: [{method: iqr, limit: 6, severity: flag}]
  - {concept: 3038553, outliers: []}
`))
	require.NoError(t, err)
	require.Equal(t, report.DefaultSettings().Outliers, s.Outliers, "what is left out stays")
	require.EqualValues(t, 30, s.Least)
	require.Equal(t, report.Reject, s.Checks["measurement.no-unit"].Severity)
	require.Equal(t, []report.OutlierRule{{Method: "iqr", Limit: 6, Severity: report.Flag}}, s.Variables[0].Outliers)
	empty, err := report.ParseSettings(nil)
	require.NoError(t, err)
	require.Equal(t, report.DefaultSettings(), empty)
}

func TestWrongSettingsSayWhatToChange(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"check: {}":                                              "check",
		"checks: {no-such: {threshold: 1}}":                      `no rule "no-such"`,
		"checks: {no-unit: {threshold: 101}}":                    "0 to 100 percent",
		"checks: {no-unit: {severity: fatal}}":                   "log, flag or reject",
		"checks: {iqr: {severity: flag}}":                        "under outliers",
		"least: 2":                                               "5 to 1000000",
		"outliers: [{method: grubbs, limit: 3, severity: flag}]": "iqr or robust-z",
		"outliers: [{method: iqr, limit: 0, severity: flag}]":    "limit",
		"outliers: [{method: iqr, limit: 3}]":                    "severity",
		"outliers: [{method: iqr, limit: 3, severity: log}, {method: iqr, limit: 1.5, severity: log}]": "named twice",
		"variables: [{outliers: []}]": "entry 1: concept",
		"variables: [{concept: 1, outliers: [{method: iqr, limit: .nan, severity: log}]}]": "entry 1: limit",
	} {
		_, err := report.ParseSettings([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
}
