package ucum_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/ucum"
)

// TestSpecialUnits converts special units both ways. An exact value gives what the
// definition gives to 24 digits; constants are from their published expansions.
func TestSpecialUnits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ value, from, to, outcome string }{
		{"0", "Cel", "K", "273.15"},
		{"0", "K", "Cel", "-273.15"},
		{"100", "Cel", "[degF]", "212"},
		{"-40", "[degF]", "Cel", "-40"},
		{"80", "[degRe]", "Cel", "100"},
		{"32", "[degF]", "[degRe]", "0"},
		{"671.67", "[degR]", "[degF]", "212.00"},
		{"1000", "mCel", "K", "274.15"},

		{"7", "[pH]", "mol/L", "1e-7"},
		{"100", "nmol/L", "[pH]", "7"},
		{"0", "[pH]", "mmol/mL", "1"},
		{"7", "[pH]", "/L", "60221407600000000"},

		{"1", "Np", "1", "2.71828182845904523536029"},
		{"10", "1", "Np", "2.30258509299404568401799"},
		{"2", "1", "B", "0.301029995663981195213739"},
		{"30", "dB", "1", "1000"},
		{"0", "B[SPL]", "uPa", "20"},
		{"20", "uPa", "dB[SPL]", "0"},
		{"1", "V", "dB[mV]", "60"},
		{"1", "V", "dB[uV]", "120"},
		{"120", "dB[uV]", "dB[10.nV]", "160"},
		{"1", "B[V]", "V2", ""},
		{"6", "B[W]", "B[kW]", "3"},
		{"60", "dB[W]", "MW", "1"},
		{"8", "bit_s", "1", "256"},
		{"10", "1", "bit_s", "3.32192809488736234787032"},

		{"100", "%[slope]", "deg", "45"},
		{"1", "rad", "%[slope]", "155.740772465490223050697"},
		{"100", "[p'diop]", "rad", "0.785398163397448309615661"},
		{"-45", "deg", "[p'diop]", "-100"},
		{"2", "m2/s3", "[m/s2/Hz^(1/2)]", "1.41421356237309504880169"},
		{"3", "[m/s2/Hz^(1/2)]", "m2/s4/Hz", "9"},

		{"3", "[hp'_X]", "1", "0.001"},
		{"30", "[hp'_C]", "1", "1e-60"},
		{"2", "[hp'_M]", "1", "0.000001"},
		{"1", "[hp'_Q]", "1", "0.00002"},
		{"30", "[hp'_C]", "[hp'_X]", "60"},
	} {
		got, err := ucum.Convert(decimal(t, c.value), unit(t, c.from), unit(t, c.to))
		if c.outcome == "" {
			require.ErrorIs(t, err, ucum.ErrIncommensurable, "%v", c)
			continue
		}
		require.NoError(t, err, "%v", c)
		require.Equal(t, c.outcome, got.String(), "%s %s in %s", c.value, c.from, c.to)
	}
}

// TestCurvesEndAt24Digits is about numbers, not their text: what is behind the last
// digit would make two nodes with other series differ.
func TestCurvesEndAt24Digits(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{{"7", "[pH]", "mol/L"}, {"7.4", "[pH]", "mol/L"}, {"1", "Np", "dB"}, {"20", "1", "dB"}, {"30", "deg", "%[slope]"}} {
		got, err := ucum.Convert(ucum.Exact(decimal(t, c[0]).Rat()), unit(t, c[1]), unit(t, c[2]))
		require.NoError(t, err, "%v", c)
		require.Zero(t, decimal(t, got.String()).Rat().Cmp(got.Rat()), "%v", c)
	}
}

// TestSP811 compares the essence with the factors to SI that NIST prints.
//
// Source: NIST Special Publication 811 (2008), appendix B.8, to the 7 digits given.
func TestSP811(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, to, factor string }{
		{"[acr_us]", "m2", "4.046873e3"},
		{"atm", "Pa", "1.01325e5"},
		{"[Btu_IT]", "J", "1.055056e3"},
		{"[Btu_th]", "J", "1.054350e3"},
		{"cal_IT", "J", "4.1868e0"},
		{"cal_th", "J", "4.184e0"},
		{"Ci", "Bq", "3.7e10"},
		{"deg", "rad", "1.745329e-2"},
		{"dyn", "N", "1e-5"},
		{"erg", "J", "1e-7"},
		{"[foz_us]", "m3", "2.957353e-5"},
		{"[ft_i]", "m", "3.048e-1"},
		{"[ft_us]", "m", "3.048006e-1"},
		{"[gal_br]", "m3", "4.54609e-3"},
		{"[gal_us]", "m3", "3.785412e-3"},
		{"G", "T", "1e-4"},
		{"[gr]", "kg", "6.479891e-5"},
		{"[HP]", "W", "7.456999e2"},
		{"kgf", "N", "9.80665e0"},
		{"Lmb", "cd/m2", "3.183099e3"},
		{"[lb_av]", "kg", "4.535924e-1"},
		{"[lb_tr]", "kg", "3.732417e-1"},
		{"[lbf_av]", "N", "4.448222e0"},
		{"Mx", "Wb", "1e-8"},
		{"[mi_i]", "m", "1.609344e3"},
		{"[mi_us]", "m", "1.609347e3"},
		{"[nmi_i]", "m", "1.852e3"},
		{"Oe", "A/m", "7.957747e1"},
		{"[oz_av]", "kg", "2.834952e-2"},
		{"[oz_tr]", "kg", "3.110348e-2"},
		{"pc", "m", "3.085678e16"},
		{"[pt_us]", "m3", "4.731765e-4"},
		{"P", "Pa.s", "1e-1"},
		{"[psi]", "Pa", "6.894757e3"},
		{"[pwt_tr]", "kg", "1.555174e-3"},
		{"[qt_us]", "m3", "9.463529e-4"},
		{"RAD", "Gy", "1e-2"},
		{"REM", "Sv", "1e-2"},
		{"R", "C/kg", "2.58e-4"},
		{"St", "m2/s", "1e-4"},
		{"sb", "cd/m2", "1e4"},
		{"[den]", "kg/m", "1.111111e-7"},
		{"[yd_i]", "m", "9.144e-1"},
		{"[bu_us]", "m3", "3.523907e-2"},
		{"[in_i'H2O]", "Pa", "2.490889e2"},
	} {
		conversion, err := ucum.NewConversion(unit(t, c.from), unit(t, c.to))
		require.NoError(t, err, "%v", c)
		want := decimal(t, c.factor)
		require.InEpsilon(t, want.Float64(), conversion.Apply(1), 5e-7, "%v", c)
	}
}

// TestSignificantDigits is about values as a laboratory writes them.
func TestSignificantDigits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ value, from, to, outcome string }{
		{"98.6", "[degF]", "Cel", "37.0"},
		{"100.4", "[degF]", "Cel", "38.0"},
		{"37.0", "Cel", "[degF]", "98.6"},
		{"36.65", "Cel", "K", "309.80"},
		{"98", "[degF]", "Cel", "36.6666666666666666666667"},
		{"-0.5", "Cel", "K", "272.7"},
		{"36600", "mCel", "Cel", "36.6"},
		{"7.40", "[pH]", "nmol/L", "40"},
		{"7.4", "[pH]", "mol/L", "4e-8"},
		{"7.400", "[pH]", "nmol/L", "39.8"},
		{"40", "nmol/L", "[pH]", "7.39794000867203760957252"},
		{"4.0e1", "nmol/L", "[pH]", "7.40"},
		{"5.40", "mg/dL", "g/L", "0.0540"},
		{"5.40e-9", "g", "kg", "5.40e-12"},
		{"0.99", "g", "[gr]", "15"},
		{"9.96", "1", "%", "996"},
		{"0.00", "mg", "g", "0.00000"},
		{"0.0", "kg", "g", "0"},
		{"1e3", "m", "km", "1"},
		{"1.000e3", "m", "km", "1.000"},
		{"-12.50", "mm[Hg]", "Pa", "-1667"},
		{"10.0", "%[slope]", "deg", "5.71"},
	} {
		got, err := ucum.Convert(decimal(t, c.value), unit(t, c.from), unit(t, c.to))
		require.NoError(t, err, "%v", c)
		require.Equal(t, c.outcome, got.String(), "%s %s in %s", c.value, c.from, c.to)
	}
}

// TestNoCounterpart converts what the other unit cannot express.
func TestNoCounterpart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ value, from, to string }{
		"level of nothing":           {"0", "Pa", "B[SPL]"},
		"acidity below nothing":      {"-1", "mmol/L", "[pH]"},
		"slope of a right angle":     {"90", "deg", "%[slope]"},
		"slope beyond a right angle": {"-135", "deg", "[p'diop]"},
		"root below zero":            {"-4", "m2/s3", "[m/s2/Hz^(1/2)]"},
		"square of a negative root":  {"-2", "[m/s2/Hz^(1/2)]", "m2/s3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conversion, err := ucum.NewConversion(unit(t, c.from), unit(t, c.to))
			require.NoError(t, err)
			_, err = conversion.Decimal(decimal(t, c.value))
			require.ErrorIs(t, err, ucum.ErrDomain)
			got := conversion.Apply(decimal(t, c.value).Float64())
			require.True(t, math.IsNaN(got) || math.IsInf(got, 0), got)
		})
	}
	// Beyond what is computed exactly; float64 has run out of numbers long before.
	_, err := ucum.Convert(decimal(t, "5000"), unit(t, "B"), unit(t, "1"))
	require.ErrorIs(t, err, ucum.ErrDomain)
}

func TestZeroValues(t *testing.T) {
	t.Parallel()
	var u ucum.Unit
	require.True(t, u.Equal(unit(t, "1")))
	require.Equal(t, "(unity)", u.Display())
	magnitude, base := u.Canonical()
	require.Zero(t, magnitude.Cmp(big.NewRat(1, 1)))
	require.Equal(t, "1", base)
	require.Empty(t, u.String())

	var d ucum.Decimal
	require.Equal(t, "0", d.String())
	require.Zero(t, d.Float64())
	got, err := ucum.Convert(d, u, unit(t, "%"))
	require.NoError(t, err)
	require.Equal(t, "0", got.String())

	var c ucum.Conversion
	require.Equal(t, 6.3, c.Apply(6.3))
	got, err = c.Decimal(decimal(t, "6.30"))
	require.NoError(t, err)
	require.Equal(t, "6.30", got.String())
}
