package ucum_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDisplay has what the published cases leave open.
func TestDisplay(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"/m":          "1 / (meter)",
		"/{tot}":      "1 / {tot}",
		"{cfu}":       "{cfu}",
		"kg{body_wt}": "(kilogram){body_wt}",
		"mg/(kg.d)":   "(milligram) / ((kilogram) * (day))",
		"10*+3/uL":    "(the number ten for arbitrary powers ^ 3) / (microliter)",
		"dB[10.nV]":   "(decibel 10 nanovolt)",
		"[wood'U]":    "(Wood unit)",
	} {
		require.Equal(t, want, unit(t, code).Display())
	}
}
