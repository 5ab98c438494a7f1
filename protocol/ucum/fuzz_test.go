package ucum_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/ucum"
)

// FuzzParse looks for a code that panics, is refused without a place, or means
// another thing when it is read again.
func FuzzParse(f *testing.F) {
	for _, code := range []string{
		"", "m", "mg/dL", "10*9/L", "4.[pi].10*-7.N/A2", "mmol/(8.h.kg)", "{a}.rad2{b}", "dB[10.nV]", "/[HPF]", "[m/s2/Hz^(1/2)]", "((m))", "Cel", "Cel/h",
		"m-", "10+3/ul", "m[Hg", "g{", "\u00b5g", "(", "m999.m", "1{c}", "%[slope]", "cal_[15]", "Ym999", "B.2/3",
	} {
		f.Add(code)
	}
	f.Fuzz(func(t *testing.T, code string) {
		u, err := ucum.Parse(code)
		if err != nil {
			var syntax *ucum.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.GreaterOrEqual(t, syntax.Offset, 0)
			require.LessOrEqual(t, syntax.Offset, len(code))
			require.NotEmpty(t, syntax.Rule)
			return
		}
		require.Equal(t, code, u.String())
		require.NotEmpty(t, u.Display())
		require.True(t, u.Commensurable(u))
		_, base := u.Canonical()
		require.True(t, unit(t, base).Commensurable(u))
		inverse, err := unit(t, "1").Over(u)
		if err == nil {
			back, err := unit(t, "1").Over(inverse)
			require.True(t, err != nil || back.Equal(u))
		}
	})
}

// FuzzParseDecimal looks for a number that panics or changes when it is read again.
func FuzzParseDecimal(f *testing.F) {
	for _, text := range []string{"0", "-1.50", "1e3", ".5", "5.", "1.0E-999", "0.00e5", "99999.9999e-4", "+7", "1e1000", "NaN"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ucum.ParseDecimal(text)
		if err != nil {
			require.ErrorIs(t, err, ucum.ErrDecimal)
			return
		}
		again, err := ucum.ParseDecimal(d.String())
		if err != nil {
			require.Contains(t, d.String(), "e", "only exponents can grow out of bounds")
			return
		}
		require.Equal(t, d.String(), again.String())
	})
}
