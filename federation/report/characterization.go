package report

import (
	"fmt"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// characterizationBlocks is the first table of a paper.
func characterizationBlocks(c query.Characterization) []block {
	t := &table{head: []string{"", fmt.Sprintf("All (n = %d)", c.N)}, words: 1}
	for _, a := range c.Arms {
		t.head = append(t.head, fmt.Sprintf("%s (n = %d)", a.Level, a.N))
	}
	compared := len(c.Arms) == 2
	if compared {
		t.head = append(t.head, "SMD")
	}
	for _, v := range c.Variables {
		addVariate(t, v, len(c.Arms), compared)
	}
	blocks := append([]block{t}, warned(true, c.Warnings)...)
	var notes lines
	if left := leftOut(c.LeftOut, "because their arm is missing"); left != "" {
		notes = append(notes, left)
	}
	if compared {
		notes = append(notes, "SMD: standardized mean difference of "+c.Arms[0].Level+" from "+c.Arms[1].Level+".")
	}
	for _, v := range c.Variables {
		if v.Withheld {
			return append(blocks, append(notes, "Withheld: a group of the variable has fewer persons than may be shown."))
		}
	}
	if notes != nil {
		blocks = append(blocks, notes)
	}
	return blocks
}

// addVariate adds a variable's lines.
func addVariate(t *table, v query.Variate, arms int, compared bool) {
	difference := ""
	if v.Difference != nil {
		difference = fmt.Sprintf("%.3f", *v.Difference)
	}
	if v.Withheld || v.All == nil {
		t.add(filled(v.Name, withheld, 1+arms, compared, "")...)
		return
	}
	groups := append([]query.VariateGroup{*v.All}, v.Arms...)
	line := func(name, difference string, of func(query.VariateGroup) string) {
		cells := []string{name}
		for i := range 1 + arms {
			if i < len(groups) {
				cells = append(cells, of(groups[i]))
			} else {
				cells = append(cells, "NA")
			}
		}
		if compared {
			cells = append(cells, difference)
		}
		t.add(cells...)
	}
	if v.Levels == nil {
		line(v.Name+", mean (SD)", difference, func(g query.VariateGroup) string {
			if g.Mean == nil {
				return "NA"
			}
			return one(4, g.Mean) + " (" + one(3, g.SD) + ")"
		})
		line("  median [Q1, Q3]", "", quartileText)
	} else {
		t.add(filled(v.Name+", n (%)", "", 1+arms, compared, difference)...)
		for i, level := range v.Levels {
			line("  "+level, "", func(g query.VariateGroup) string {
				text := countAt(g.Counts, i)
				if i < len(g.Shares) && g.Shares[i] != nil {
					text += fmt.Sprintf(" (%.1f)", 100**g.Shares[i])
				}
				return text
			})
		}
	}
	for _, g := range groups {
		if g.Missing > 0 {
			line("  missing", "", func(g query.VariateGroup) string { return fmt.Sprint(g.Missing) })
			break
		}
	}
}

// filled is a line with the same text in each group.
func filled(name, text string, groups int, compared bool, difference string) []string {
	cells := []string{name}
	for range groups {
		cells = append(cells, text)
	}
	if compared {
		cells = append(cells, difference)
	}
	return cells
}

func quartileText(g query.VariateGroup) string {
	if len(g.Quartiles) != 3 {
		return "NA"
	}
	texts := make([]string, 3)
	for i, q := range g.Quartiles {
		texts[i] = strings.ReplaceAll(quantileText(q), " to ", "–")
	}
	return texts[1] + " [" + texts[0] + ", " + texts[2] + "]"
}

func characterizationRows(c query.Characterization) rows {
	var out rows
	out.size(c.N, c.LeftOut)
	for _, a := range c.Arms {
		out.count(Row{Section: "arm", Name: c.Arm, Group: a.Level}, "n", a.N)
	}
	for _, v := range c.Variables {
		at := Row{Section: "variable", Name: v.Name}
		if v.Withheld || v.All == nil {
			out.withheld(at, "n")
			continue
		}
		out.variate(at, v, *v.All)
		for i, g := range v.Arms {
			if i < len(c.Arms) {
				at.Group = c.Arms[i].Level
				out.variate(at, v, g)
			}
		}
		if v.Difference != nil {
			out.number(Row{Section: "variable", Name: v.Name}, "standardized difference", v.Difference)
		}
	}
	out.warnings(c.Warnings)
	return out
}

// variate adds a variable in one group. A level is part of the figure's name, after a colon.
func (r *rows) variate(at Row, v query.Variate, g query.VariateGroup) {
	r.count(at, "n", g.N)
	r.count(at, "missing", g.Missing)
	r.noise(at, "mean noise sd", g.NoiseSD)
	for i, level := range v.Levels {
		if i < len(g.Counts) {
			r.count(at, "count: "+level, g.Counts[i])
		}
		if i < len(g.Shares) {
			r.number(at, "share: "+level, g.Shares[i])
		}
	}
	if v.Levels == nil {
		r.number(at, "mean", g.Mean)
		r.number(at, "sd", g.SD)
		r.quantiles(at, g.Quartiles)
	}
}
