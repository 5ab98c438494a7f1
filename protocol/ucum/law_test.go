package ucum_test

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/trialmesh/trialmesh/protocol/ucum"
)

// codes draws a code of the grammar from all units. Special ones stand alone.
func codes() *rapid.Generator[string] {
	var special, proper []ucum.Definition
	for _, d := range ucum.Units() {
		if d.Special {
			special = append(special, d)
		} else {
			proper = append(proper, d)
		}
	}
	simple := func(r *rapid.T, from []ucum.Definition) string {
		d := rapid.SampledFrom(from).Draw(r, "unit")
		if d.Metric {
			return rapid.SampledFrom([]string{"", "k", "da", "m", "u", "n", "Mi"}).Draw(r, "prefix") + d.Code
		}
		return d.Code
	}
	var term func(r *rapid.T, depth int) string
	component := func(r *rapid.T, depth int) string {
		kind := rapid.IntRange(0, 9).Draw(r, "kind")
		switch {
		case kind == 0:
			return strconv.Itoa(rapid.IntRange(1, 5000).Draw(r, "number"))
		case kind == 1:
			return "{note}"
		case kind <= 3 && depth < 2:
			return "(" + term(r, depth+1) + ")"
		}
		exponent := rapid.SampledFrom([]string{"", "", "", "2", "3", "-1", "+2", "-2"}).Draw(r, "exponent")
		return simple(r, proper) + exponent + rapid.SampledFrom([]string{"", "", "{a.b/c}"}).Draw(r, "annotation")
	}
	term = func(r *rapid.T, depth int) string {
		code := component(r, depth)
		for range rapid.IntRange(0, 2).Draw(r, "operators") {
			code += rapid.SampledFrom([]string{".", "/"}).Draw(r, "operator") + component(r, depth)
		}
		return code
	}
	return rapid.Custom(func(r *rapid.T) string {
		switch rapid.IntRange(0, 9).Draw(r, "form") {
		case 0:
			return simple(r, special)
		case 1:
			return "/" + term(r, 0)
		case 2:
			return rapid.SampledFrom([]string{"", "(Cel)", "2.[degF]", "B/10"}).Draw(r, "odd")
		}
		return term(r, 0)
	})
}

// drawUnit draws a unit whose magnitude is within bounds.
func drawUnit(r *rapid.T, label string) ucum.Unit {
	code := codes().Draw(r, label)
	u, err := ucum.Parse(code)
	var syntax *ucum.SyntaxError
	if errors.As(err, &syntax) && syntax.Rule == ucum.RuleSize {
		r.SkipNow()
	}
	require.NoError(r, err, code)
	return u
}

// member is a unit, with a prefix or without, and what it is defined as.
type member struct {
	code string
	ucum.Definition
}

// curved reports whether conversions from and to m are rounded.
func (m member) curved() bool { return m.Special && m.Property != "temperature" }

// kinds has all units by what they measure.
func kinds(t *testing.T) [][]member {
	byBase := make(map[string][]member)
	for _, d := range ucum.Units() {
		_, base := unit(t, d.Code).Canonical()
		byBase[base] = append(byBase[base], member{d.Code, d})
		if d.Metric {
			byBase[base] = append(byBase[base], member{"m" + d.Code, d}, member{"k" + d.Code, d})
		}
	}
	return slices.SortedFunc(maps.Values(byBase), func(a, b []member) int { return cmp.Compare(a[0].code, b[0].code) })
}

func drawRational(r *rapid.T) *big.Rat {
	return big.NewRat(rapid.Int64Range(-1e9, 1e9).Draw(r, "numerator"), rapid.Int64Range(1, 1e6).Draw(r, "denominator"))
}

// TestPrintParse is about the codes of units, of products and of quotients.
func TestPrintParse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		u := drawUnit(r, "code")
		again := unit(r, u.String())
		require.True(r, again.Equal(u))
		require.Equal(r, u.String(), again.String())

		magnitude, base := u.Canonical()
		require.Positive(r, magnitude.Sign())
		proper := unit(r, base)
		require.True(r, proper.Commensurable(u))
		_, same := proper.Canonical()
		require.Equal(r, base, same)
	})
}

// TestUnitsAreAGroup multiplies and divides.
//
// Source: UCUM 2.2, section 3.0.3: proper units are an Abelian group.
func TestUnitsAreAGroup(t *testing.T) {
	t.Parallel()
	one := unit(t, "1")
	rapid.Check(t, func(r *rapid.T) {
		u, v, w := drawUnit(r, "u"), drawUnit(r, "v"), drawUnit(r, "w")
		times := func(a, b ucum.Unit) ucum.Unit { return within(r, ucum.Unit.Times, a, b) }
		over := func(a, b ucum.Unit) ucum.Unit { return within(r, ucum.Unit.Over, a, b) }
		require.True(r, times(u, v).Equal(times(v, u)))
		require.True(r, times(times(u, v), w).Equal(times(u, times(v, w))))
		require.True(r, over(times(u, v), v).Equal(u))
		require.True(r, over(u, over(u, v)).Equal(v))
		require.True(r, over(u, u).Equal(one))
		require.True(r, times(u, one).Equal(u))
		require.True(r, over(one, over(one, u)).Equal(u))
	})
}

// within computes a product or quotient, and skips what has none.
func within(r *rapid.T, operation func(a, b ucum.Unit) (ucum.Unit, error), a, b ucum.Unit) ucum.Unit {
	result, err := operation(a, b)
	if err != nil {
		var syntax *ucum.SyntaxError
		require.ErrorAs(r, err, &syntax)
		require.Contains(r, []ucum.Rule{ucum.RuleSpecial, ucum.RuleSize, ucum.RuleLength}, syntax.Rule)
		r.SkipNow()
	}
	return result
}

// TestCommensurableIsAnEquivalence draws units of which many measure the same.
func TestCommensurableIsAnEquivalence(t *testing.T) {
	t.Parallel()
	few := []string{"m", "[ft_i]", "s", "h", "Cel", "K", "[degF]", "1", "%", "[pH]", "mol/L", "/m3", "[iU]", "k[IU]", "[arb'U]", "[iU]/L", "B[V]", "V", "J/C", "rad", "deg", "%[slope]"}
	rapid.Check(t, func(r *rapid.T) {
		draw := func(label string) ucum.Unit {
			if rapid.Bool().Draw(r, "any") {
				return drawUnit(r, label)
			}
			return unit(r, rapid.SampledFrom(few).Draw(r, label))
		}
		a, b, c := draw("a"), draw("b"), draw("c")
		require.True(r, a.Commensurable(a))
		require.Equal(r, a.Commensurable(b), b.Commensurable(a))
		if a.Commensurable(b) && b.Commensurable(c) {
			require.True(r, a.Commensurable(c))
		}
		_, err := ucum.NewConversion(a, b)
		require.Equal(r, a.Commensurable(b), err == nil)
		if err != nil {
			require.ErrorIs(r, err, ucum.ErrIncommensurable)
			require.False(r, a.Equal(b))
		}
	})
}

// TestArbitraryUnitsConvertToThemselves tries each with every other unit.
func TestArbitraryUnitsConvertToThemselves(t *testing.T) {
	t.Parallel()
	for _, a := range ucum.Units() {
		for _, b := range ucum.Units() {
			if a.Arbitrary && a.Code != b.Code && a.Code+b.Code != "[iU][IU]" && a.Code+b.Code != "[IU][iU]" {
				require.False(t, unit(t, a.Code).Commensurable(unit(t, b.Code)), "%s and %s", a.Code, b.Code)
			}
		}
	}
}

// TestConversionLaws converts between any two units of a kind: there and back is
// where it began, and a way through a third unit leads to the same value.
func TestConversionLaws(t *testing.T) {
	t.Parallel()
	all := kinds(t)
	rapid.Check(t, func(r *rapid.T) {
		kind := rapid.SampledFrom(all).Draw(r, "kind")
		var u [3]ucum.Unit
		exact := true
		for i := range u {
			m := rapid.SampledFrom(kind).Draw(r, "unit")
			u[i], exact = unit(r, m.code), exact && !m.curved()
		}
		x := ucum.Exact(drawRational(r))
		y, err := ucum.Convert(x, u[0], u[1])
		if errors.Is(err, ucum.ErrDomain) {
			require.False(r, exact)
			return
		}
		require.NoError(r, err)
		back, err := ucum.Convert(y, u[1], u[0])
		if errors.Is(err, ucum.ErrDomain) {
			require.False(r, exact) // rounded to the edge of a curve
			return
		}
		require.NoError(r, err)
		through, err := ucum.Convert(y, u[1], u[2])
		if !exact {
			requireClose(r, x, back)
			return
		}
		require.NoError(r, err)
		require.Zero(r, x.Rat().Cmp(back.Rat()), "there and back")
		direct, err := ucum.Convert(x, u[0], u[2])
		require.NoError(r, err)
		require.Zero(r, direct.Rat().Cmp(through.Rat()), "through a third unit")
	})
}

// requireClose allows what 24 digits lose on a curve.
func requireClose(r *rapid.T, want, got ucum.Decimal) {
	difference := new(big.Rat).Sub(want.Rat(), got.Rat())
	bound := new(big.Rat).Abs(want.Rat())
	bound.Add(bound, big.NewRat(1, 1)).Mul(bound, big.NewRat(1, 1e12))
	require.LessOrEqual(r, difference.Abs(difference).Cmp(bound), 0, "%s and %s", want, got)
}

// TestApplyAgrees compares the fast path with the exact one.
func TestApplyAgrees(t *testing.T) {
	t.Parallel()
	all := kinds(t)
	rapid.Check(t, func(r *rapid.T) {
		kind := rapid.SampledFrom(all).Draw(r, "kind")
		from, to := rapid.SampledFrom(kind).Draw(r, "from"), rapid.SampledFrom(kind).Draw(r, "to")
		conversion, err := ucum.NewConversion(unit(r, from.code), unit(r, to.code))
		require.NoError(r, err)
		x := rapid.Float64Range(-100, 100).Draw(r, "x")
		if x != 0 && math.Abs(x) < 1e-250 {
			return // times a factor, float64 has few digits left: a logarithm would show it
		}
		got := conversion.Apply(x)
		want, err := conversion.Decimal(ucum.Exact(new(big.Rat).SetFloat64(x)))
		if err != nil {
			require.ErrorIs(r, err, ucum.ErrDomain)
			return
		}
		exact := want.Float64()
		if math.IsInf(exact, 0) || math.Abs(exact) < 1e-290 {
			return // float64 has no such numbers
		}
		tolerance := 1e-9 * math.Abs(exact)
		if from.Special || to.Special { // a small value can be the difference of larger ones
			tolerance += 1e-9
		}
		require.InDelta(r, exact, got, tolerance, "%v %s in %s", x, from.code, to.code)
	})
}

// TestFactorsRoundOnce is about the many conversions by a power of ten: there the
// fast path gives the float64 next to the exact result.
func TestFactorsRoundOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		units := rapid.SampledFrom([][2]string{{"mg/dL", "g/L"}, {"g/L", "mg/dL"}, {"mmol/L", "umol/mL"}, {"mm", "m"}, {"10*9/L", "10*3/uL"}, {"h", "min"}, {"d", "wk"}}).Draw(r, "units")
		conversion, err := ucum.NewConversion(unit(r, units[0]), unit(r, units[1]))
		require.NoError(r, err)
		x := rapid.Float64Range(-1e9, 1e9).Draw(r, "x")
		want, err := conversion.Decimal(ucum.Exact(new(big.Rat).SetFloat64(x)))
		require.NoError(r, err)
		require.Equal(r, want.Float64(), conversion.Apply(x))
	})
}

// TestDecimalKeepsItsDigits writes decimals as they came, and keeps their number of
// significant digits over a factor.
func TestDecimalKeepsItsDigits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.StringMatching(`-?[1-9][0-9]{0,8}\.[0-9]{1,8}`).Draw(r, "text")
		d := decimal(r, text)
		require.Equal(r, text, d.String())
		conversion, err := ucum.NewConversion(unit(r, "mm[Hg]"), unit(r, rapid.SampledFrom([]string{"Pa", "kPa", "[psi]", "GPa", "nPa"}).Draw(r, "unit")))
		require.NoError(r, err)
		there, err := conversion.Decimal(d)
		require.NoError(r, err)
		written := decimal(r, there.String())
		if strings.Contains(there.String(), ".") {
			require.Equal(r, digits(text), digits(there.String()), "%s in %s", text, there)
			require.Equal(r, there.String(), written.String())
		}
	})
}

// digits counts the significant digits of a number that is not 0.
func digits(text string) int {
	mantissa, _, _ := strings.Cut(strings.TrimPrefix(text, "-"), "e")
	return len(strings.TrimLeft(strings.Replace(mantissa, ".", "", 1), "0"))
}
