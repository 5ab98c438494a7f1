package report

import (
	"fmt"
	"math"

	"github.com/trialmesh/trialmesh/federation/report/figure"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// timedRates are incidence rates by persons' time in a unit that the question knows.
type timedRates struct {
	query.Rates
	unit query.TimeUnit
}

// perThousand is a rate by thousand times so many units of the persons' time, with its limits
// and its noise.
func perThousand(x query.Rate, units float64) query.Rate {
	times := func(v *float64) *float64 {
		if v == nil {
			return nil
		}
		return new(*v * 1000 * units)
	}
	limits := func(l *query.Limits) *query.Limits {
		if l == nil {
			return nil
		}
		return &query.Limits{Lower: *times(&l.Lower), Upper: *times(&l.Upper)}
	}
	x.Estimate, x.NoiseSD = times(x.Estimate), times(x.NoiseSD)
	x.Exact, x.Noised = limits(x.Exact), limits(x.Noised)
	return x
}

// inDays are rates by the unit that a time has if nobody says another.
func inDays(r query.Rates) timedRates { return timedRates{r, query.Days} }

// ratesBlocks has a line for all and for each level.
func ratesBlocks(r query.Rates) []block { return timedRatesBlocks(inDays(r)) }

func timedRatesBlocks(r timedRates) []block {
	incidence := r.All.Time != nil
	units, per := scale(r.unit)
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
			x = perThousand(x, units)
		}
		cells = append(cells, one(4, x.Estimate))
		cells = append(cells, limitCells(limitsOf(x))...)
		if !incidence {
			cells = append(cells, limitCells(x.Wilson)...)
		}
		t.add(cells...)
	}
	notes := lines{"Exact limits by Clopper and Pearson."}
	if incidence {
		notes = lines{fmt.Sprintf("Rates are per %s; the time is in %s.", per, called(r.unit)), "Exact limits by Garwood."}
	}
	if sd := r.All.NoiseSD; sd != nil {
		if incidence {
			sd = perThousand(r.All, units).NoiseSD
		}
		notes[len(notes)-1] = fmt.Sprintf("Normal limits, which allow for the noise: its standard deviation in the estimate of all is %s.", one(3, sd))
	}
	return []block{lines{persons(r.N, r.LeftOut)}, t, notes}
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

func ratesRows(r query.Rates) rows { return timedRatesRows(inDays(r)) }

// timedRatesRows has the estimates by one unit of time, as the result has them, and what that is.
func timedRatesRows(r timedRates) rows {
	var out rows
	out.size(r.N, r.LeftOut)
	if r.All.Time != nil {
		out.text(Row{Section: "model"}, "time unit", string(r.unit))
	}
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

func ratesFigure(r query.Rates) drawing { return timedRatesFigure(inDays(r)) }

// timedRatesFigure draws the rates with their exact limits, all last.
func timedRatesFigure(r timedRates) drawing {
	p := figure.Forest{Title: "Shares with 95 % confidence intervals", Names: "Group", Effect: "Share (95 % CI)", Numbers: "Share (95 % CI)", None: math.NaN()}
	incidence := r.All.Time != nil
	units, per := scale(r.unit)
	if incidence {
		p.Title, p.Effect, p.Numbers = "Rates with 95 % confidence intervals", "Rate per "+per+" (95 % CI)", "Rate (95 % CI)"
	}
	for _, g := range append(append([]query.GroupRate{}, r.Groups...), query.GroupRate{Level: "All", Rate: r.All}) {
		e := figure.Effect{Name: g.Level, Estimate: math.NaN(), Text: "not estimable", Pooled: g.Level == "All"}
		x := g.Rate
		if incidence {
			x = perThousand(x, units)
		}
		if limits := limitsOf(x); x.Estimate != nil && limits != nil {
			e.Estimate, e.Low, e.High = *x.Estimate, limits.Lower, limits.Upper
			e.Text = interval(e.Estimate, e.Low, e.High)
		}
		p.Rows = append(p.Rows, e)
	}
	return p
}
