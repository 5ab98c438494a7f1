package report

import (
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// descriptionBlocks has a line for each column and group, their tests, and the pairs.
func descriptionBlocks(d query.Description) []block {
	t := &table{head: []string{"", "", "n", "mean", "sd", "variance", "skewness", "kurtosis"}, words: 2}
	var tests lines
	for _, c := range d.Columns {
		moments, levels := []query.Moment{c.All}, []string{""}
		for _, g := range c.Groups {
			moments, levels = append(moments, g.Moment), append(levels, g.Level)
		}
		columns := make([][]*float64, 5)
		for _, m := range moments {
			for i, v := range []*float64{m.Mean, m.SD, m.Variance, m.Skewness.Type3, m.Kurtosis.Type3} {
				columns[i] = append(columns[i], v)
			}
		}
		texts := make([][]string, len(columns))
		for i := range columns {
			texts[i] = align(5, columns[i]...)
		}
		for i, m := range moments {
			t.add(c.Name, levels[i], fmt.Sprint(m.N), texts[0][i], texts[1][i], texts[2][i], texts[3][i], texts[4][i])
		}
		if w := c.Welch; w != nil && len(c.Groups) > 1 {
			tests = append(tests, fmt.Sprintf("Welch's test of %s: difference %s, 95 %% CI %s to %s, t = %s, df = %s, p-value %s", c.Name,
				one(5, &w.Estimate), one(5, &w.Lower), one(5, &w.Upper), one(5, w.Statistic), one(5, w.DF), equals(pValue(4, &w.P))))
		}
	}
	blocks := []block{lines{persons(d.N, d.LeftOut)}, t, lines{"Skewness and kurtosis by e1071's type 3."}}
	if tests != nil {
		blocks = append(blocks, tests)
	}
	if len(d.Pairs) > 0 {
		blocks = append(blocks, pairTable(d.Pairs))
	}
	if noise := noiseOfMeans(d.Columns); noise != nil {
		blocks = append(blocks, noise)
	}
	return append(blocks, warned(true, d.Warnings)...)
}

// noiseOfMeans has the standard deviation of the noise in each mean and variance, nil if
// there is none.
func noiseOfMeans(columns []query.ColumnDescription) block {
	t := &table{title: "Standard deviation of the noise", head: []string{"", "", "of the mean", "of the variance"}, words: 2}
	noised := false
	for _, c := range columns {
		for _, g := range append([]query.Grouped{{Moment: c.All}}, c.Groups...) {
			noised = noised || g.NoiseSD != nil
			t.add(c.Name, g.Level, one(3, g.NoiseSD), one(3, g.VarianceNoiseSD))
		}
	}
	if !noised {
		return nil
	}
	return t
}

// equals puts a sign before a p value that has none.
func equals(p string) string {
	if p[0] == '<' {
		return p
	}
	return "= " + p
}

func pairTable(pairs []query.Pair) *table {
	t := &table{title: "Pairs", head: []string{"", "", "n", "covariance", "correlation"}, words: 2}
	for _, p := range pairs {
		t.add(p.First, p.Second, fmt.Sprint(p.N), one(5, p.Covariance), one(5, p.Correlation))
	}
	return t
}

func descriptionRows(d query.Description) rows {
	var out rows
	out.size(d.N, d.LeftOut)
	for _, c := range d.Columns {
		at := Row{Section: "column", Name: c.Name}
		out.moment(at, c.All)
		for _, g := range c.Groups {
			at.Group = g.Level
			out.moment(at, g.Moment)
		}
		if w := c.Welch; w != nil {
			at := Row{Section: "test", Name: "welch", Group: c.Name}
			out.float(at, "estimate", w.Estimate)
			out.float(at, "lower", w.Lower)
			out.float(at, "upper", w.Upper)
			out.significance(at, w.Significance)
		}
	}
	for _, p := range d.Pairs {
		at := Row{Section: "pair", Name: p.First, Group: p.Second}
		out.count(at, "n", p.N)
		out.number(at, "covariance", p.Covariance)
		out.number(at, "correlation", p.Correlation)
	}
	out.warnings(d.Warnings)
	return out
}

func (r *rows) moment(at Row, m query.Moment) {
	r.count(at, "n", m.N)
	r.number(at, "mean", m.Mean)
	r.number(at, "variance", m.Variance)
	r.number(at, "sd", m.SD)
	r.noise(at, "mean noise sd", m.NoiseSD)
	r.noise(at, "variance noise sd", m.VarianceNoiseSD)
	for _, s := range []struct {
		name  string
		shape query.Shape
	}{{"skewness", m.Skewness}, {"kurtosis", m.Kurtosis}} {
		r.number(at, s.name+" type 1", s.shape.Type1)
		r.number(at, s.name+" type 2", s.shape.Type2)
		r.number(at, s.name+" type 3", s.shape.Type3)
	}
}
