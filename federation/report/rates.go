package report

import (
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/federation/report/figure"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// ratesBlocks has a line for all and for each level.
func ratesBlocks(r query.Rates) []block {
	incidence := r.All.Time != nil
	t := &table{head: []string{"", "n", "events"}, words: 1}
	if incidence {
		t.head = append(t.head, "time", "rate", "lower .95", "upper .95")
	} else {
		t.head = append(t.head, "share", "lower .95", "upper .95", "Wilson lower", "Wilson upper")
	}
	levels, list := []string{"all"}, []query.Rate{r.All}
	for _, g := range r.Groups {
		levels, list = append(levels, g.Level), append(list, g.Rate)
	}
	for i, x := range list {
		cells := []string{levels[i], fmt.Sprint(x.N), fmt.Sprint(x.Events)}
		if incidence {
			cells = append(cells, one(7, x.Time))
		}
		cells = append(cells, one(4, x.Estimate))
		cells = append(cells, limitCells(limitsOf(x))...)
		if !incidence {
			cells = append(cells, limitCells(x.Wilson)...)
		}
		t.add(cells...)
	}
	note := "Exact limits by Garwood."
	if !incidence {
		note = "Exact limits by Clopper and Pearson."
	}
	if r.All.NoiseSD != nil {
		note = fmt.Sprintf("Normal limits, which allow for the noise: its standard deviation in the estimate of all is %s.", one(3, r.All.NoiseSD))
	}
	return []block{lines{persons(r.N, r.Omitted)}, t, lines{note}}
}

// limitsOf are the exact limits, or those that allow for noise where there is some.
func limitsOf(x query.Rate) *query.Limits {
	if x.Noised != nil {
		return x.Noised
	}
	return x.Exact
}

func limitCells(l *query.Limits) []string {
	if l == nil {
		return []string{"NA", "NA"}
	}
	return []string{one(4, &l.Lower), one(4, &l.Upper)}
}

func ratesRows(r query.Rates) rows {
	var out rows
	out.size(r.N, r.Omitted)
	out.rate(Row{Section: "rate"}, r.All)
	for _, g := range r.Groups {
		out.rate(Row{Section: "rate", Group: g.Level}, g.Rate)
	}
	return out
}

func (r *rows) rate(at Row, x query.Rate) {
	r.count(at, "n", x.N)
	r.count(at, "events", x.Events)
	if x.Time != nil {
		r.number(at, "time", x.Time)
	}
	r.number(at, "estimate", x.Estimate)
	r.noise(at, "noise sd", x.NoiseSD)
	for _, l := range []struct {
		name   string
		limits *query.Limits
	}{{"exact", x.Exact}, {"wilson", x.Wilson}, {"noised", x.Noised}} {
		if l.limits != nil {
			r.float(at, l.name+" lower", l.limits.Lower)
			r.float(at, l.name+" upper", l.limits.Upper)
		}
	}
}

// ratesFigure draws the rates with their exact limits, all last.
func ratesFigure(r query.Rates) drawing {
	p := figure.Forest{Title: "Rates with 95 % confidence intervals", Names: "Group", Effect: "Share (95 % CI)", Numbers: "Share (95 % CI)", None: math.NaN()}
	if r.All.Time != nil {
		p.Effect, p.Numbers = "Rate (95 % CI)", "Rate (95 % CI)"
	}
	for _, g := range append(append([]query.GroupRate{}, r.Groups...), query.GroupRate{Level: "All", Rate: r.All}) {
		e := figure.Effect{Name: g.Level, Estimate: math.NaN(), Text: "not estimable", Pooled: g.Level == "All"}
		if limits := limitsOf(g.Rate); g.Estimate != nil && limits != nil {
			e.Estimate, e.Low, e.High = *g.Estimate, limits.Lower, limits.Upper
			e.Text = interval(e.Estimate, e.Low, e.High)
		}
		p.Rows = append(p.Rows, e)
	}
	return p
}
