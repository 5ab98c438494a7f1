package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// printRegression prints a model as R's summary(glm(…)) does.
func printRegression(out io.Writer, r query.Regression) error {
	fmt.Fprintf(out, "\nglm(%s, family = %s(%q))\n\nCoefficients:\n", r.Formula, r.Family, string(r.Link))
	letter := "z"
	if r.Family == query.Gaussian {
		letter = "t"
	}
	width := 0
	for _, c := range r.Coefficients {
		width = max(width, utf8.RuneCountInString(c.Name))
	}
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\tEstimate\tStd. Error\t%s value\tPr(>|%s|)\t\n", letter, letter)
	for _, c := range r.Coefficients {
		fmt.Fprintf(w, "%-*s\t%s\t%s\t%s\t%s\t%s\n", width, c.Name,
			figure(c.Estimate, 6), figure(c.SE, 6), figure(c.Statistic, 4), pValue(c.P), stars(c.P))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprint(out, "---\nSignif. codes:  0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1\n\n")
	fmt.Fprintf(out, "(Dispersion parameter for %s family taken to be %s)\n\n", r.Family, figure(r.Dispersion, 6))
	w = tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "Null deviance:\t%s\ton %d\t degrees of freedom\n", figure(&r.NullDeviance, 6), r.NullDF)
	fmt.Fprintf(w, "Residual deviance:\t%s\ton %d\t degrees of freedom\n", figure(&r.Deviance, 6), r.DF)
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d persons", r.N)
	if r.Omitted > 0 {
		fmt.Fprintf(out, ", %d left out for a missing value", r.Omitted)
	}
	fmt.Fprintf(out, "\nAIC: %s\n\nNumber of Fisher Scoring iterations: %d\n", figure(r.AIC, 6), r.Iterations)
	for _, warning := range r.Warnings {
		fmt.Fprintf(out, "Warning: %s\n", warning)
	}
	return nil
}

// figure writes a number with some significant digits, NA for none.
func figure(v *float64, digits int) string {
	if v == nil {
		return "NA"
	}
	return strconv.FormatFloat(*v, 'g', digits, 64)
}

// pValue writes a p value; below the precision of a double R writes a bound.
func pValue(p *float64) string {
	const least = 2.2e-16
	if p != nil && *p < least {
		return "<2e-16"
	}
	return figure(p, 3)
}

// stars are R's marks of significance, after a space.
func stars(p *float64) string {
	switch {
	case p == nil:
		return ""
	case *p < 0.001:
		return " ***"
	case *p < 0.01:
		return " **"
	case *p < 0.05:
		return " *"
	case *p < 0.1:
		return " ."
	}
	return ""
}
