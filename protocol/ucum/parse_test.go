package ucum_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/problem"
	"github.com/trialmesh/trialmesh/protocol/ucum"
)

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("(", n) + "m" + strings.Repeat(")", n) }
	for name, c := range map[string]struct {
		code   string
		rule   ucum.Rule
		offset int
	}{
		"nothing after a solidus":                   {"m/", ucum.RuleOperand, 2},
		"nothing after a period":                    {"m.", ucum.RuleOperand, 2},
		"two operators":                             {"m./s", ucum.RuleOperand, 2},
		"empty parentheses":                         {"()", ucum.RuleOperand, 1},
		"a leading solidus in parentheses":          {"m.(/s)", ucum.RuleOperand, 3},
		"a leading period":                          {".m", ucum.RuleOperand, 0},
		"a number before a unit":                    {"mL/12h", ucum.RuleSymbol, 3},
		"a number before parentheses":               {"8(h)", ucum.RuleOperator, 1},
		"an annotation before a unit":               {"{a}rad2", ucum.RuleOperator, 3},
		"two annotations":                           {"g{a}{b}", ucum.RuleOperator, 4},
		"an annotation on parentheses":              {"(g.m){a}", ucum.RuleOperator, 5},
		"an exponent on a number":                   {"10+3/ul", ucum.RuleExponent, 2},
		"an exponent on parentheses":                {"(m)2", ucum.RuleOperator, 3},
		"a sign without an exponent":                {"m-", ucum.RuleExponent, 2},
		"two exponents":                             {"m2-3", ucum.RuleExponent, 2},
		"an unknown symbol":                         {"g/molv", ucum.RuleSymbol, 2},
		"a unit without its brackets":               {"iU", ucum.RuleSymbol, 0},
		"the other case":                            {"MMOL", ucum.RuleSymbol, 0},
		"a prefix on a customary unit":              {"k[in_i]", ucum.RuleSymbol, 0},
		"two prefixes":                              {"mkg", ucum.RuleSymbol, 0},
		"a prefix alone":                            {"k", ucum.RuleSymbol, 0},
		"zero":                                      {"m/0", ucum.RuleNumber, 2},
		"a space":                                   {"mg /dL", ucum.RuleCharacter, 2},
		"a space in an annotation":                  {"g{wet tissue}", ucum.RuleCharacter, 5},
		"a space in brackets":                       {"[in i]", ucum.RuleCharacter, 3},
		"a micro sign":                              {"\u00b5g", ucum.RuleCharacter, 0},
		"a zero-width space":                        {"mg\u200b", ucum.RuleCharacter, 2},
		"a byte of zero":                            {"m\x00", ucum.RuleCharacter, 1},
		"an asterisk and a unit":                    {"m*s", ucum.RuleSymbol, 0},
		"an open parenthesis":                       {"m.(s", ucum.RuleParenthesis, 2},
		"a closing parenthesis":                     {"m)", ucum.RuleParenthesis, 1},
		"an open bracket":                           {"m[Hg", ucum.RuleBracket, 1},
		"a closing bracket":                         {"]", ucum.RuleBracket, 0},
		"a closing bracket in a symbol":             {"mHg]", ucum.RuleBracket, 3},
		"nested brackets":                           {"m[[Hg]]", ucum.RuleBracket, 2},
		"an open annotation":                        {"g{a", ucum.RuleAnnotation, 1},
		"nested annotations":                        {"g{a{b}}", ucum.RuleAnnotation, 3},
		"the end of an annotation":                  {"g}", ucum.RuleAnnotation, 1},
		"a power of a special unit alone":           {"Cel2", ucum.RuleSpecial, 0},
		"a power of a special unit":                 {"m.Cel2", ucum.RuleSpecial, 2},
		"a special unit and another":                {"Cel/h", ucum.RuleSpecial, 4},
		"another unit and a special one":            {"W.dB", ucum.RuleSpecial, 2},
		"two special units":                         {"B.Np", ucum.RuleSpecial, 2},
		"one over a special unit":                   {"/Cel", ucum.RuleSpecial, 1},
		"a special unit in parentheses":             {"m.(2.Cel)", ucum.RuleSpecial, 2},
		"an exponent beyond any use":                {"m.s1000", ucum.RuleSize, 2},
		"an exponent of which a product wraps to 0": {"10*-4611686018427387904", ucum.RuleSize, 0},
		"an exponent too far below zero":            {"s-1000", ucum.RuleSize, 0},
		"an exponent beyond the machine":            {"s99999999999999999999", ucum.RuleSize, 0},
		"a sum of exponents beyond any use":         {"s999.s", ucum.RuleSize, 5},
		"a magnitude beyond any use":                {"m/10*999.[pi]99", ucum.RuleSize, 9},
		"a scale beyond any use":                    {"Cel.10*900.10*900", ucum.RuleSize, 11},
		"a long code":                               {strings.Repeat("m.", ucum.MaxLength/2) + "m", ucum.RuleLength, ucum.MaxLength},
		"deep parentheses":                          {deep(ucum.MaxDepth + 1), ucum.RuleDepth, ucum.MaxDepth},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ucum.Parse(c.code)
			var syntax *ucum.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.Equal(t, ucum.SyntaxError{Offset: c.offset, Rule: c.rule}, *syntax)
			require.Regexp(t, `^unit: character \d+: [a-z].*[a-z0-9]$`, syntax.Error(), "every rule has a sentence")
			var public *problem.Error
			require.ErrorAs(t, err, &public)
			require.Equal(t, problem.Invalid, public.Kind)
		})
	}
	_, err := ucum.Parse(deep(ucum.MaxDepth))
	require.NoError(t, err)
}

// TestSameUnit lists codes that are one unit.
func TestSameUnit(t *testing.T) {
	t.Parallel()
	for _, codes := range [][]string{
		{"", "1", "{cfu}", "1{c}", "m0", "m/m", "10*0", "(1)", "/1", "{}"},
		{"L", "l", "dm3", "10*-3.m3", "m3/1000", "L{total}", "(L)"},
		{"s/m", "/m.s", "1/m.s", "s.m-1", "s.m-1{x}", "(s)/(m)"},
		{"m/s/kg", "m/(s.kg)", "m.s-1.kg-1", "m/s.kg-1"},
		{"10*3", "10^3", "1000", "10*+3", "10.10.10", "0010.100"},
		{"Pa", "N/m2", "kg.m-1.s-2"},
		{"cd", "lm/sr"},
		{"%{vol}", "%", "10*-2", "/100"},
		{"[iU]/mL", "[IU]/mL", "k[iU]/L"},
		{"Cel", "(Cel)", "1.Cel", "Cel{oral}", "1000.mCel", "100.Cel.%"},
		{"dB", "B/10", "10*-1.B"},
		{"mg%", "mg/dL"},
	} {
		for _, code := range codes {
			require.True(t, unit(t, codes[0]).Equal(unit(t, code)), "%s and %s", codes[0], code)
		}
	}
}

func TestOtherUnit(t *testing.T) {
	t.Parallel()
	for _, codes := range [][2]string{
		{"m", "s"},
		{"m", "cm"},
		{"m/s.kg", "m/(s.kg)"},
		{"Cel", "K"},
		{"Cel", "mCel"},
		{"Cel", "[degF]"},
		{"B", "Np"},
		{"B[V]", "B[mV]"},
		{"2.5", "5/2"},
		{"min", "mo"},
		{"rad", "1"},
		{"[iU]", "1"},
		{"[iU]", "[arb'U]"},
	} {
		require.False(t, unit(t, codes[0]).Equal(unit(t, codes[1])), codes)
	}
}
