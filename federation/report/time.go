package report

import "github.com/trialmesh/trialmesh/protocol/query"

// scale is how many units of time a rate is by, and what that is called. Times of a unit that
// is not one of a calendar stay as they are.
func scale(u query.TimeUnit) (units float64, per string) {
	if units = u.PerYear(); units > 0 {
		return units, "1,000 person-years"
	}
	return 1, "1,000 " + string(u)
}
