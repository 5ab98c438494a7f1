package ucum_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/ucum"
)

func TestDecimalText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "007": "7", "+5": "5", ".5": "0.5", "5.": "5", "-1.50": "-1.50", "0.0": "0.0", "0.00": "0.00",
		"1e3": "1000", "1.0E+3": "1000", "1.000e3": "1000", "1e-6": "0.000001", "1e-7": "1e-7", "1.50e-7": "1.50e-7",
		"1e20": "100000000000000000000", "1e21": "1e21", "1.20e999": "1.20e999", "1000000000000000000000": "1e21",
		"123456789012345678901234567890": "1.23456789012345678901235e29", // an exact number to 24 digits
	} {
		require.Equal(t, want, decimal(t, text).String(), text)
	}
}

func TestDecimalRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "-", ".", "+.", "e5", "1e", "1e+", "1e1000", "1e-1000", "--1", "+-1", "1.2.3", "1,5", "1 ", " 1", "0x10", "1/2", "1_0", "NaN", "Inf", "<5",
		"\u0661", strings.Repeat("1", 129),
	} {
		_, err := ucum.ParseDecimal(text)
		require.ErrorIs(t, err, ucum.ErrDecimal, text)
	}
}

func TestDecimalArithmetic(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ a, b, product, quotient string }{
		{"1.5", "2", "3.0", "0.75"},
		{"2", "1.5", "3.0", "1.3"},
		{"1.50", "2.0", "3.0", "0.75"},
		{"1", "3", "3", "0.333333333333333333333333"},
		{"0.0", "2.00", "0.0", "0.0"},
		{"-6", "4", "-24", "-1.5"},
		{"9.96", "1.0", "10", "10"},
	} {
		a, b := decimal(t, c.a), decimal(t, c.b)
		quotient, err := a.Over(b)
		require.NoError(t, err)
		require.Equal(t, c.product, a.Times(b).String(), "%v", c)
		require.Equal(t, c.quotient, quotient.String(), "%v", c)
	}
	_, err := decimal(t, "1").Over(decimal(t, "0.0"))
	require.ErrorIs(t, err, ucum.ErrZero)
}

func TestDecimalFloat64(t *testing.T) {
	t.Parallel()
	require.Equal(t, 0.1, decimal(t, "0.1").Float64())
	require.True(t, math.IsInf(decimal(t, "-1e400").Float64(), -1))
	require.Zero(t, decimal(t, "1e-400").Float64())
}
