package report

import (
	"cmp"

	"github.com/trialmesh/trialmesh/protocol/query"
)

// scale is how many units of time a rate is by, and what that is called. Times of a unit that
// is not one of a calendar stay as they are.
func scale(u query.TimeUnit) (units float64, per string) {
	if units = u.PerYear(); units > 0 {
		return units, "1,000 person-years"
	}
	return 1, "1,000 " + cmp.Or(string(u), "units of time")
}

// called says in what unit times are. A column of a data set need not have one.
func called(u query.TimeUnit) string {
	return cmp.Or(u.Name(), "a unit that the question does not name")
}

// axis is what an axis of times is called.
func axis(u query.TimeUnit) string {
	if u == "" {
		return "Time"
	}
	return "Time (" + u.Name() + ")"
}
