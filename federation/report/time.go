package report

// timeUnit is the UCUM code of the column that a time comes from.
type timeUnit string

// The units of a time of which nobody says another, and of ages.
const (
	days  timeUnit = "d"
	years timeUnit = "a"
)

// daysInYear is how many days a year has on average, as UCUM defines a_j.
const daysInYear = 365.25

// calendar is how many of a unit a year has, and what they are called.
var calendar = map[timeUnit]struct {
	perYear float64
	name    string
}{"h": {24 * daysInYear, "hours"}, days: {daysInYear, "days"}, "wk": {daysInYear / 7, "weeks"}, "mo": {12, "months"}, years: {1, "years"}}

// scale is how many units of time a rate is by, and what that and the unit are called. Times
// of a unit that is not one of a calendar stay as they are.
func (u timeUnit) scale() (units float64, per, name string) {
	if unit, known := calendar[u]; known {
		return unit.perYear, "1,000 person-years", unit.name
	}
	return 1, "1,000 " + string(u), string(u)
}

// name is what the unit is called.
func (u timeUnit) name() string {
	_, _, name := u.scale()
	return name
}
