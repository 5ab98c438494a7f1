package formula_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

// The order and coding of terms is compared with R's in federation/analysis, where the
// design matrix is made.
func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"y~x":                                "y ~ x",
		" y ~ x ":                            "y ~ x",
		"y ~ b*a":                            "y ~ b + a + b:a",
		"y ~ a:b + b + a":                    "y ~ b + a + a:b",
		"y ~ (a + b + c)^2 - a:b":            "y ~ a + b + c + a:c + b:c",
		"y ~ a/b":                            "y ~ a + a:b",
		"y ~ x - 1":                          "y ~ x - 1",
		"y ~ 0 + x":                          "y ~ x - 1",
		"y ~ x - 1 + 1":                      "y ~ x",
		"y ~ x - 0":                          "y ~ x",
		"y ~ 1":                              "y ~ 1",
		"y ~ -1":                             "y ~ 0",
		"~ x":                                "~x",
		"log(y) ~ I(x^2) + sqrt(x)":          "log(y) ~ I(x^2) + sqrt(x)",
		"y ~ x + offset(log(n))":             "y ~ x + offset(log(n))",
		"y ~ factor(g):x.1_b":                "y ~ factor(g):x.1_b",
		"Surv(time, status) ~ x + strata(s)": "Surv(time, status) ~ x + strata(s)",
		"Surv(from, to, dead) ~ x":           "Surv(from, to, dead) ~ x",
	} {
		f, err := formula.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, f.String(), text)
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	f, err := formula.Parse("Surv(t, d) ~ x*log(z) + I(x^2) + offset(o) + strata(s)")
	require.NoError(t, err)
	require.Equal(t, []string{"t", "d", "x", "z", "o", "s"}, f.Columns())
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                     "query: formula",
		"y":                                    "want ~",
		"y ~":                                  "want the name of a column",
		"y ~ x +":                              "want the name of a column",
		"y ~ x x":                              "want an operator, or the end",
		"y ~ (x":                               "want )",
		"y ~ x ~ z":                            "want an operator",
		"y ~ mean(x)":                          "no function of that name",
		"y ~ log(x + 1)":                       "want )",
		"y ~ I(x)":                             "want ^",
		"y ~ I(x^9)":                           "want a whole number from 1 to 6",
		"y ~ Surv(t, d)":                       "no function of that name",
		"Surv(t) ~ x":                          "want a comma",
		"factor(y) ~ x":                        "no function of that name",
		"y ~ y + x":                            "the response stands on the right side too",
		"y ~ x - offset(o)":                    "offset and strata cannot be taken away",
		"y ~ x:offset(o)":                      "neither 0, offset nor strata",
		"y ~ x*0":                              "neither 0, offset nor strata",
		"y ~ (x + offset(o))":                  "outside parentheses",
		"y ~ x^0":                              "want a whole number",
		"y ~ x %in% z":                         "want an operator",
		"y ~ `odd name`":                       "want the name of a column",
		"y ~ x; system()":                      "want an operator",
		strings.Repeat("(", 3000):              "longer than",
		"y ~ (a+b+c+d+e+f+g+h)^6":              "more than 200 terms",
		"y ~ " + strings.Repeat("(", 30) + "x": "want fewer parentheses",
	} {
		_, err := formula.Parse(text)
		require.ErrorContains(t, err, strings.TrimPrefix(want, "query: "), text)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"y ~ a*b + log(x) + factor(z) + offset(o) - 1", "Surv(t,d)~(a+b)^3/c:d", "~0", "y ~ I(x^2)", "y~-(a-a)"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := formula.Parse(text)
		if err != nil {
			return
		}
		again, err := formula.Parse(parsed.String())
		require.NoError(t, err, parsed.String())
		require.Len(t, again.Terms, len(parsed.Terms))
		require.Equal(t, parsed.Intercept, again.Intercept)
		require.ElementsMatch(t, parsed.Columns(), again.Columns())
	})
}

func TestErrorsPointAtTheirPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"y ~ age + + sex":  "y ~ age + + sex\n          ^",
		"y ~ log(age":      "y ~ log(age\n           ^",
		"y ~\tage + µ":     "y ~ age + µ\n          ^",
		"y ~ sin(age)":     "y ~ sin(age)\n        ^",
		"y ~ µ + age + ) ": "y ~ µ + age + ) \n    ^",
	} {
		_, err := formula.Parse(text)
		var e *formula.Error
		require.ErrorAs(t, err, &e, text)
		require.Equal(t, want, e.Pointer())
		var p *problem.Error
		require.ErrorAs(t, err, &p, text)
		require.NotContains(t, p.Public, text)
	}
}
