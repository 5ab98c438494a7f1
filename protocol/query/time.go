package query

import (
	"cmp"
	"fmt"

	"github.com/trialmesh/trialmesh/protocol/formula"
)

// TimeUnit is the UCUM code of the unit of a time.
type TimeUnit string

// The units of a time of which nobody says another, and of ages.
const (
	Days  TimeUnit = "d"
	Years TimeUnit = "a"
)

// daysInYear is how many days a year has on average, as UCUM defines a_j.
const daysInYear = 365.25

// calendar is how many of a unit a year has, and what they are called.
var calendar = map[TimeUnit]struct {
	perYear float64
	name    string
}{"h": {24 * daysInYear, "hours"}, Days: {daysInYear, "days"}, "wk": {daysInYear / 7, "weeks"}, "mo": {12, "months"}, Years: {1, "years"}}

// PerYear is how many of the units a year has, 0 of one that no calendar has.
func (u TimeUnit) PerYear() float64 { return calendar[u].perYear }

// Name is what the unit is called: its code, if no calendar has it.
func (u TimeUnit) Name() string { return cmp.Or(calendar[u].name, string(u)) }

// UnitOf is the UCUM code of the unit that a column's values are in, empty for none.
func (a Analysis) UnitOf(column string) string {
	for _, c := range a.Columns {
		switch {
		case c.Name != column:
		case c.From == FromAge:
			return string(Years)
		case c.From == FromFollowUp:
			return string(Days)
		default:
			return c.Unit
		}
	}
	return ""
}

// watchedTime is the column with the times of an analysis on a grid of times.
func (a Analysis) watchedTime() string {
	text, _ := a.Watched()
	f, err := formula.Parse(text)
	if err != nil || f.Response == nil {
		return ""
	}
	return f.Response.Columns[0]
}

// WatchedUnit is the unit of the times of an analysis on a grid of times, empty where a data
// set's column has none.
func (a Analysis) WatchedUnit() TimeUnit { return TimeUnit(a.UnitOf(a.watchedTime())) }

// gridWords say what grid of times an analysis has, nothing if it has none. A unit that the
// question leaves out is not made up.
func (a Analysis) gridWords() string {
	_, g := a.Watched()
	if g == nil {
		return ""
	}
	text := fmt.Sprintf(", in steps of %g up to %g", g.Width, g.Horizon)
	if unit := a.WatchedUnit(); unit != "" {
		return text + " " + unit.Name()
	}
	return text + " in the unit of " + a.watchedTime() + ", which the question does not name"
}
