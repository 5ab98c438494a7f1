package report

import (
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// crossTabBlocks shows a table of two factors, for each level of a third, and its tests.
func crossTabBlocks(c query.ContingencyTable) []block {
	var blocks []block
	sizes := make([]int, 0, len(c.Factors))
	names := make([]string, 0, len(c.Factors))
	for _, f := range c.Factors {
		sizes, names = append(sizes, len(f.Levels)), append(names, f.Name)
	}
	blocks = append(blocks, lines{strings.Join(names, " by "), persons(c.N, c.LeftOut)})
	if len(c.Factors) == 0 {
		return blocks
	}
	layers := 1
	if len(sizes) > 2 {
		layers = sizes[2]
	}
	for layer := range layers {
		t := &table{words: 1}
		if len(sizes) > 2 {
			t.title = c.Factors[2].Name + " = " + c.Factors[2].Levels[layer]
		}
		t.head = []string{names[0]}
		levels := []string{"n"}
		if len(sizes) > 1 {
			t.head[0] += " \\ " + names[1]
			levels = c.Factors[1].Levels
		}
		t.head = append(t.head, levels...)
		for i, level := range c.Factors[0].Levels {
			cells := []string{level}
			for j := range levels {
				at := i
				for _, step := range [][2]int{{1, j}, {2, layer}} {
					if len(sizes) > step[0] {
						at = at*sizes[step[0]] + step[1]
					}
				}
				cells = append(cells, countAt(c.Counts, at))
			}
			t.add(cells...)
		}
		blocks = append(blocks, t)
	}
	var l lines
	for _, test := range crossTabTests(c) {
		if test.outcome != nil {
			l = append(l, test.title+": "+significance(*test.outcome))
		}
	}
	for _, r := range crossTabRatios(c) {
		if r.ratio != nil {
			l = append(l, fmt.Sprintf("%s: %s, 95 %% CI %s to %s", r.title, one(4, r.ratio.Estimate), one(4, r.ratio.Lower), one(4, r.ratio.Upper)))
		}
	}
	if l != nil {
		blocks = append(blocks, l)
	}
	return append(blocks, warned(true, c.Warnings)...)
}

func countAt(counts []int64, i int) string {
	if i >= len(counts) {
		return "NA"
	}
	return fmt.Sprint(counts[i])
}

type namedTest struct {
	title, name string
	outcome     *query.Significance
}

func crossTabTests(c query.ContingencyTable) []namedTest {
	return []namedTest{
		{"Pearson's chi-squared test", "chi-squared", c.ChiSquared},
		{"Chi-squared test with Yates' continuity correction", "yates", c.Yates},
		{"Fisher's exact test", "fisher", c.Fisher},
		{"Cochran-Mantel-Haenszel test", "cmh", c.CMH},
		{"Mantel-Haenszel test with continuity correction", "cmh corrected", c.CMHCorrected},
	}
}

type namedRatio struct {
	title, name string
	ratio       *query.OddsRatio
}

func crossTabRatios(c query.ContingencyTable) []namedRatio {
	return []namedRatio{
		{"Conditional odds ratio", "odds ratio", c.OddsRatio},
		{"Common odds ratio", "common odds ratio", c.CommonRatio},
	}
}

// significance writes a test as R's print.htest does.
func significance(s query.Significance) string {
	text := ""
	if s.Statistic != nil {
		text = "X-squared = " + one(5, s.Statistic) + ", "
	}
	if s.DF != nil {
		text += "df = " + one(5, s.DF) + ", "
	}
	p := pValue(4, &s.P)
	if strings.HasPrefix(p, "<") {
		return text + "p-value " + p
	}
	return text + "p-value = " + p
}

func crossTabRows(c query.ContingencyTable) rows {
	var out rows
	out.size(c.N, c.LeftOut)
	for i, n := range c.Counts {
		at, rest := Row{Section: "cell"}, i
		levels := make([]string, len(c.Factors))
		names := make([]string, len(c.Factors))
		for f := len(c.Factors) - 1; f >= 0; f-- {
			if size := len(c.Factors[f].Levels); size > 0 {
				names[f], levels[f] = c.Factors[f].Name, c.Factors[f].Levels[rest%size]
				rest /= size
			}
		}
		at.Name, at.Group = strings.Join(names, ", "), strings.Join(levels, ", ")
		out.count(at, "n", n)
	}
	for _, t := range crossTabTests(c) {
		if t.outcome != nil {
			out.significance(Row{Section: "test", Name: t.name}, *t.outcome)
		}
	}
	for _, r := range crossTabRatios(c) {
		if r.ratio != nil {
			at := Row{Section: "test", Name: r.name}
			out.number(at, "estimate", r.ratio.Estimate)
			out.number(at, "lower", r.ratio.Lower)
			out.number(at, "upper", r.ratio.Upper)
		}
	}
	out.warnings(c.Warnings)
	return out
}

func (r *rows) significance(at Row, s query.Significance) {
	if s.Statistic != nil {
		r.number(at, "statistic", s.Statistic)
	}
	if s.DF != nil {
		r.number(at, "df", s.DF)
	}
	r.float(at, "p", s.P)
}
